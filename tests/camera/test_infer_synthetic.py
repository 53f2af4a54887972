"""`propose` on headers of cameras that are not in the reference data, in the styles of several observatories."""

from __future__ import annotations

import numpy as np
import pytest

from cpp_framework.camera.catalogue import parse_instrument
from cpp_framework.camera.infer import propose
from cpp_framework.camera.reader import read_exposures
from cpp_framework.errors import InputsMissingError, RawFileError


def _proposed(*paths):
    text = propose(paths)
    return text, parse_instrument(text)


def test_noao_mosaic_two_ccds_one_amplifier_per_hdu(write_fits, noise):
    primary = {"INSTRUME": "Mosaic2", "OBSTYPE": "zero", "EXPTIME": 0.0, "DATE-OBS": "2010-05-06T07:08:09.1"}
    primary |= {"FILTER": "R Harris", "OBSID": "ct4m.20100506T070809"}
    hdus = [(primary, None)]
    for i, (ccd, amp) in enumerate([("SITe1", "a"), ("SITe1", "b"), ("SITe2", "a"), ("SITe2", "b")]):
        x = 200 * (i // 2) + 100 * (i % 2)
        cards = {"EXTNAME": f"im{i + 1}", "CCDNAME": ccd, "AMPNAME": f"{ccd}{amp}", "CCDSUM": "1 1"}
        cards |= {"DATASEC": "[25:124,1:80]", "TRIMSEC": "[27:122,1:80]", "BIASSEC": "[125:164,1:80]"}
        cards |= {"DETSEC": f"[{x + 1}:{x + 100},1:80]", "CCDSEC": f"[{x % 200 + 1}:{x % 200 + 100},1:80]"}
        cards |= {"AMPSEC": "[1:100,1:80]" if amp == "a" else "[100:1,1:80]", "GAIN": 2.5 + i, "RDNOISE": 6.0 + i}
        hdus.append((cards, noise((80, 164), seed=i)))
    text, instrument = _proposed(write_fits("zero.fits", hdus))
    assert [layout.name for layout in instrument.detectors] == ["SITe1", "SITe2"]
    second = instrument.layout(1)
    assert (second.size, second.amplifiers[1].detector, second.amplifiers[1].readout) == (
        (200, 80),
        "[101:200,1:80]",
        "LR",
    )
    assert (second.amplifiers[1].gain, second.amplifiers[1].read_noise) == (5.5, 9.0)
    assert (second.amplifiers[0].data, second.amplifiers[0].serial_overscan) == ("[25:124,1:80]", "[125:164,1:80]")
    assert second.amplifiers[0].serial_prescan == "[1:24,1:80]"
    assert "serial_prescan is assumed" in text
    exposures = read_exposures(write_fits("again.fits", hdus), instrument)
    assert [(one.detector, one.kind, one.id) for one in exposures] == [
        (0, "bias", "ct4m.20100506T070809"), (1, "bias", "ct4m.20100506T070809")
    ]  # fmt: skip


def test_decam_two_amplifiers_in_one_hdu(write_fits, noise):
    primary = {"INSTRUME": "DECam", "OBSTYPE": "dome flat", "EXPTIME": 10.0, "DARKTIME": 11.0, "FILTER": "g DECam SDSS"}
    primary |= {"DATE-OBS": "2015-01-02T03:04:05", "TIMESYS": "UTC", "EXPNUM": 400123}
    hdus = [(primary, None)]
    for ccd in (25, 26):
        cards = {"EXTNAME": f"S{ccd}", "CCDNUM": ccd, "CCDSUM": "1 1"}
        cards |= {"DATASECA": "[129:228,6:85]", "BIASSECA": "[229:248,6:85]", "CCDSECA": "[101:200,1:80]"}
        cards |= {"DATASECB": "[29:128,6:85]", "BIASSECB": "[9:28,6:85]", "CCDSECB": "[1:100,1:80]"}
        cards |= {"AMPSECA": "[200:101,1:80]", "AMPSECB": "[1:100,1:80]", "GAINA": 4.1, "GAINB": 4.2}
        cards |= {"RDNOISEA": 6.1, "RDNOISEB": 6.2, "SATURATA": 41000.0, "SATURATB": 42000.0}
        hdus.append((cards, noise((90, 256), level=3000, seed=ccd)))
    _, instrument = _proposed(write_fits("flat.fits", hdus))
    assert [layout.name for layout in instrument.detectors] == ["25", "26"]
    amp_a, amp_b = instrument.layout(1).amplifiers
    assert (amp_a.name, amp_a.hdu, amp_a.detector, amp_a.readout) == ("A", 2, "[101:200,1:80]", "LR")
    assert (amp_b.name, amp_b.serial_overscan, amp_b.readout) == ("B", "[9:28,6:85]", "LL")
    assert (amp_a.gain, amp_b.read_noise, amp_a.adc_maximum, amp_b.adc_maximum) == (4.1, 6.2, 41000, 42000)
    exposures = read_exposures(write_fits("again.fits", hdus), instrument)
    assert [(one.kind, one.filter, one.dark_time, one.number) for one in exposures] == [
        ("flat", "g DECam SDSS", 11.0, 400123)
    ] * 2


def test_eso_counts_in_hierarch_keywords(write_fits, noise):
    cards = {"INSTRUME": "UVES", "EXPTIME": 0.0, "MJD-OBS": 55000.25, "HIERARCH ESO DPR TYPE": "BIAS"}
    cards |= {"HIERARCH ESO DET OUTPUTS": 2, "HIERARCH ESO DET CHIP1 NX": 200, "HIERARCH ESO DET CHIP1 NY": 60}
    cards |= {"ARCFILE": "UVES.2009-06-18T06:00:00.000.fits", "HIERARCH ESO DET WIN1 BINX": 1}
    cards |= {"HIERARCH ESO DET WIN1 BINY": 1}
    for i, corner in ((1, 1), (2, 200)):
        base = f"HIERARCH ESO DET OUT{i}"
        cards |= {f"{base} X": corner, f"{base} Y": 1, f"{base} NX": 100, f"{base} NY": 60, f"{base} PRSCX": 10}
        cards |= {f"{base} OVSCX": 15, f"{base} CONAD": 1.4 + i, f"{base} GAIN": 0.5, f"{base} RON": 2.0 + i}
    _, instrument = _proposed(write_fits("uves.fits", [(cards, noise((60, 250)))]))
    left, right = instrument.layout(0).amplifiers
    assert (left.serial_prescan, left.data, left.serial_overscan) == ("[1:10,1:60]", "[11:110,1:60]", "[111:125,1:60]")
    assert (right.serial_overscan, right.data, right.serial_prescan) == (
        "[126:140,1:60]",
        "[141:240,1:60]",
        "[241:250,1:60]",
    )
    assert (left.detector, right.detector, left.readout, right.readout) == (
        "[1:100,1:60]",
        "[101:200,1:60]",
        "LL",
        "LR",
    )
    assert (left.gain, right.read_noise) == (2.4, 4.0)
    (exposure,) = read_exposures(write_fits("again.fits", [(cards, noise((60, 250)))]), instrument)
    assert (exposure.kind, exposure.day_obs, exposure.id) == ("bias", 20090617, "UVES.2009-06-18T06:00:00.000.fits")


@pytest.mark.parametrize(
    ("words", "software"),
    [
        (("Bias Frame", "Dark Frame", "Flat Field", "Light Frame"), "MaxIm DL Version 6"),
        (("BIAS", "DARK", "FLAT", "LIGHT"), "N.I.N.A. 3.0"),
    ],
)
def test_bare_cmos_frames(write_fits, noise, words, software):
    paths = []
    for i, (word, seconds) in enumerate(zip(words, (0.001, 60.0, 2.0, 30.0), strict=True)):
        cards = {"INSTRUME": "ZWO ASI2600MM Pro", "IMAGETYP": word, "EXPOSURE": seconds, "EXPTIME": seconds}
        cards |= {"DATE-OBS": f"2024-03-0{i + 1}T20:00:00.123", "GAIN": 100, "OFFSET": 50, "EGAIN": 0.25, "FILTER": "L"}
        cards |= {"XBINNING": 1, "YBINNING": 1, "CCD-TEMP": -10.0, "SWCREATE": software, "OBJECT": "M 31"}
        paths.append(write_fits(f"{i}.fits", [(cards, noise((50, 70)))]))
    text, instrument = _proposed(*paths)
    (amp,) = instrument.layout(0).amplifiers
    assert (amp.gain, amp.data, amp.serial_overscan, instrument.overscan.serial.method) == (
        0.25,
        "[1:70,1:50]",
        "",
        "none",
    )
    assert instrument.name == "ZWO-ASI2600MM-Pro"
    exposures = [read_exposures(path, instrument)[0] for path in paths]
    assert [one.kind for one in exposures] == ["bias", "dark", "flat", "science"]
    assert {one.mode for one in exposures} == {"100/50"}
    assert exposures[0].temperature == -10.0
    assert "not known: without it products stay in ADU" not in text


def test_mef_with_table_and_dead_amplifier(write_fits, noise):
    hdus = [({"INSTRUME": "Lab", "IMAGETYP": "DARK", "EXPTIME": 5.0, "DATE-OBS": "2024-01-01T00:00:00"}, None)]
    for i, frame in enumerate((noise((40, 60)), np.zeros((40, 60), np.uint16))):
        x = f"[{50 * i + 1}:{50 * i + 50},1:40]"
        hdus.append(({"EXTNAME": f"amp{i}", "DATASEC": "[1:50,1:40]", "BIASSEC": "[51:60,1:40]", "DETSEC": x}, frame))
    text, instrument = _proposed(write_fits("lab.fits", hdus, table=True))
    assert [amp.name for amp in instrument.layout(0).amplifiers] == ["amp0", "amp1"]
    assert "1 of 2 amplifiers have no data" in text
    assert text.index("all pixels are the same") > text.index("name: amp1")


def test_hdus_without_detsec_are_laid_side_by_side_with_a_remark(write_fits, noise):
    hdus = [({"IMAGETYP": "BIAS", "EXPTIME": 0.0}, None)]
    hdus += [({"DATASEC": "[1:50,1:40]"}, noise((40, 60), seed=i)) for i in range(3)]
    text, instrument = _proposed(write_fits("x.fits", hdus))
    assert instrument.layout(0).size == (150, 40)
    assert "no DETSEC: the HDUs are laid side by side" in text
    assert instrument.name == "camera"
    assert "give it a name" in text


def test_contradicting_detsec_is_not_used(write_fits, noise):
    hdus = [({"IMAGETYP": "BIAS", "EXPTIME": 0.0}, None)]
    hdus += [({"DATASEC": "[1:50,1:40]", "DETSEC": "[1:50,1:40]"}, noise((40, 60), seed=i)) for i in range(2)]
    text, instrument = _proposed(write_fits("x.fits", hdus))
    assert instrument.layout(0).size == (100, 40)
    assert "contradict" in text


def test_binned_detsec_counts_unbinned_pixels(write_fits, noise):
    cards = {
        "IMAGETYP": "BIAS",
        "EXPTIME": 0.0,
        "CCDSUM": "2 4",
        "DATASEC": "[1:50,1:40]",
        "DETSEC": "[201:300,401:560]",
    }
    text, instrument = _proposed(write_fits("x.fits", [(cards, noise((40, 60)))]))
    assert instrument.binning == (2, 4)
    assert instrument.layout(0).amplifiers[0].detector == "[1:50,1:40]"
    assert "counted from pixel [101,101] of DETSEC/CCDSEC" in text


def test_sections_that_cannot_be_true_are_named(write_fits, noise):
    cards = {
        "IMAGETYP": "BIAS",
        "EXPTIME": 0.0,
        "DATASEC": "[1:60,1:40]",
        "BIASSEC": "[51:60,1:40]",
        "PRESEC": "[0:0,0:0]",
    }
    text, instrument = _proposed(write_fits("x.fits", [(cards, noise((40, 60)))]))
    (amp,) = instrument.layout(0).amplifiers
    assert (amp.data, amp.serial_overscan, amp.serial_prescan) == ("[1:50,1:40]", "[51:60,1:40]", "")
    assert "DATASEC [1:60,1:40] overlaps BIASSEC" in text
    cards["DATASEC"] = "[1:1200,1:40]"
    text, instrument = _proposed(write_fits("y.fits", [(cards, noise((40, 60)))]))
    assert "DATASEC [1:1200,1:40] leaves the frame of 60x40" in text


def test_old_style_date_and_missing_kind(write_fits, noise):
    cards = {"EXPTIME": 0.0, "DATE-OBS": "2003-04-05", "UT": "01:02:03", "OBJECT": "bias"}
    text, instrument = _proposed(write_fits("x.fits", [(cards, noise((40, 60)))]))
    (exposure,) = read_exposures(write_fits("y.fits", [(cards, noise((40, 60)))]), instrument)
    assert (exposure.kind, exposure.day_obs) == ("bias", 20030404)
    assert "no keyword tells the kind of frame" in text


def test_gain_in_adu_per_electron_is_inverted(write_fits, noise):
    cards = {"IMAGETYP": "BIAS", "EXPTIME": 0.0, "GAIN": (0.5, "[ADU/e-] gain")}
    text, instrument = _proposed(write_fits("x.fits", [(cards, noise((40, 60)))]))
    assert instrument.layout(0).amplifiers[0].gain == 2.0
    assert "inverted" in text


def test_no_frame_and_no_image_are_named_errors(write_fits):
    with pytest.raises(InputsMissingError, match="no example frame"):
        propose([])
    with pytest.raises(RawFileError, match="none of its 2 HDUs holds an image"):
        propose([write_fits("t.fits", [({}, None)], table=True)])


def _random_cards(rng):
    """Section, count and text keywords with values that are true, absurd, or no sections at all."""
    cards = {}
    numbers = (0, 1, 2, 5, 30, 60, -1, 2.5, "x")
    texts = ("BIAS", "dark: x", "2 2", "'q' #", "[a]", "~", "2020-01-01T00:00:00", "off")
    sections = ("[1:50,1:40]", "[51:60,1:40]", "[50:1,40:1]", "[1:60,1:40]", "[0:0,0:0]", "junk", "")
    for keyword in ("DATASEC", "BIASSEC", "TRIMSEC", "DETSEC", "AMPSEC", "PRESEC", "DATASECA", "DATASECB", "BIASSECA"):
        x, y = sorted(rng.integers(0, 70, 2)), sorted(rng.integers(0, 50, 2))
        cards[keyword] = rng.choice([*sections, f"[{x[0]}:{x[1]},{y[0]}:{y[1]}]"])
    for keyword in (
        "COVER",
        "ROVER",
        "AMPSROW",
        "HIERARCH ESO DET OUT1 NX",
        "HIERARCH ESO DET OUT2 X",
        "GAIN",
        "EXPTIME",
    ):
        cards[keyword] = numbers[rng.integers(len(numbers))]
    for keyword in ("INSTRUME", "OBSTYPE", "OBJECT", "DATE-OBS", "CCDSUM", "FILTER", "AMPNAME"):
        cards[keyword] = texts[rng.integers(len(texts))]
    return {keyword: value for keyword, value in cards.items() if rng.random() < 0.5}


def test_every_proposal_is_a_valid_file_whatever_the_headers_say(write_fits, noise):
    rng = np.random.default_rng(20261122)
    for i in range(60):
        hdus = [(_random_cards(rng), noise((40, 60), seed=i))]
        hdus += [(_random_cards(rng), noise((40, 60), seed=i)) for _ in range(i % 3)]
        text, instrument = _proposed(write_fits("x.fits", hdus))
        assert len(instrument.detectors[0].amplifiers) >= 1, text
