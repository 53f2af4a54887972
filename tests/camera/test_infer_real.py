"""`propose` on every camera of the reference data: few or no edits, and every lie of the headers is named."""

from __future__ import annotations

import pytest

from cpp_framework.camera.catalogue import parse_instrument
from cpp_framework.camera.check import check_instrument
from cpp_framework.camera.infer import propose
from cpp_framework.camera.reader import read_exposures


def _proposed(shared, folder, *names):
    paths = [shared(f"data/{folder}/{name}") for name in names]
    text = propose(paths)
    return text, parse_instrument(text)


def _kinds(shared, folder, instrument, pattern):
    files = sorted(shared(f"data/{folder}").glob(pattern))
    return {path.name.split(".")[0]: read_exposures(path, instrument)[0].kind for path in files}


def test_nickel_needs_no_edit(shared):
    names = ("bias_d3021.fits.gz", "dark30s_d3018.fits.gz", "flatV_d3009.fits.gz")
    text, instrument = _proposed(shared, "real/nickel-ccd2", *names)
    (amp,) = instrument.layout(0).amplifiers
    assert (amp.data, amp.serial_overscan) == ("[1:1024,1:1024]", "[1025:1056,1:1024]")
    assert (amp.gain, amp.adc_maximum, instrument.binning) == (None, 65535, (2, 2))
    assert "GAIN = 1 looks like an index" in text
    assert "OBSTYPE never says bias here: a DARK of 0 s is taken as one" in text
    kinds = _kinds(shared, "real/nickel-ccd2", instrument, "*.fits.gz")
    assert {name[:4]: kind for name, kind in kinds.items()} == {
        "bias": "bias", "dark": "dark", "flat": "flat", "linf": "flat"
    }  # fmt: skip


def test_nickel_header_values(shared):
    _, instrument = _proposed(shared, "real/nickel-ccd2", "dark30s_d3018.fits.gz", "flatV_d3009.fits.gz")
    (flat,) = read_exposures(shared("data/real/nickel-ccd2/flatV_d3009.fits.gz"), instrument)
    assert (flat.filter, flat.exposure_time, flat.number, flat.day_obs) == ("V", 10.0, 3009, 20190923)
    assert flat.end - flat.begin == 10_000_000_000
    assert flat.temperature == pytest.approx(-110.2)


@pytest.mark.parametrize("first", ["bias_r3074.fits.gz", "dark360s_r3039.fits.gz", "specflat_r3082.fits.gz"])
def test_kast_split_is_found_whatever_the_order_of_examples(shared, first):
    others = {"bias_r3074.fits.gz", "dark360s_r3073.fits.gz", "specflat_r3083.fits.gz"}
    text, instrument = _proposed(shared, "real/kast-red-2amp", first, *sorted(others))
    left, right = instrument.layout(0).amplifiers
    assert (left.data, left.serial_overscan) == ("[1:62,1:2725]", "[351:450,1:2725]")
    assert (right.data, right.serial_overscan) == ("[63:350,1:2725]", "[451:550,1:2725]")
    assert (left.readout, right.readout) == ("LL", "LR")
    assert "columns 62 and 63 meet where the bias level steps" in text
    assert "OBSTYPE is in the header 2 times (" in text
    assert "which of these is the filter? BLFILT_N (Open)" in text
    kinds = _kinds(shared, "real/kast-red-2amp", instrument, "*.fits.gz")
    assert {name[:4]: kind for name, kind in kinds.items()} == {"bias": "bias", "dark": "dark", "spec": "flat"}


def test_emva_has_no_date_and_a_twelve_bit_adc(shared):
    text, instrument = _proposed(shared, "real/emva1288-ccd-12bit", "middark_01.fits.fz", "midflat_01.fits.fz")
    (amp,) = instrument.layout(0).amplifiers
    assert (amp.hdu, amp.data, amp.serial_overscan, amp.adc_maximum) == (1, "[1:640,1:480]", "", 4095)
    assert instrument.overscan.serial.method == "none"
    assert "no date found" in text
    (exposure,) = read_exposures(shared("data/real/emva1288-ccd-12bit/middark_02.fits.fz"), instrument)
    assert (exposure.begin, exposure.id, exposure.kind, exposure.exposure_time) == (None, "middark_02", "dark", 0.00516)


def test_sbig_gain_is_believed(shared):
    _, instrument = _proposed(shared, "real/sbig-st7-darks", "dark120s_001.fit.gz")
    (amp,) = instrument.layout(0).amplifiers
    assert amp.gain == pytest.approx(2.55)
    assert instrument.layout(0).size == (765, 510)
    assert set(_kinds(shared, "real/sbig-st7-darks", instrument, "*.fit.gz").values()) == {"dark"}


def test_ts8_sixteen_segments_fifteen_without_data(shared):
    name = "201807241028453-RTM-010-S11-det067.fits"
    text, instrument = _proposed(shared, "real/lsst-ts8-e2v-segment", name)
    layout = instrument.layout(0)
    assert (layout.size, layout.frame, layout.serial, len(layout.amplifiers)) == (
        (4096, 4004), (576, 2048), "E2V-CCD250-179", 16
    )  # fmt: skip
    amp = layout.amplifiers[15]
    assert (amp.name, amp.data, amp.serial_prescan) == ("Segment00", "[11:522,1:2002]", "[1:10,1:2002]")
    assert (amp.serial_overscan, amp.parallel_overscan) == ("[523:576,1:2002]", "[11:522,2003:2048]")
    assert amp.detector == "[1:512,4004:2003]"
    assert "15 of 16 amplifiers have no data" in text
    assert "CCDGAIN = 1 looks like an index, setting or placeholder" in text
    (report,) = check_instrument(instrument, [shared(f"data/real/lsst-ts8-e2v-segment/{name}")])
    assert report.problem == ""
    (warning,) = report.warnings
    assert "all pixels are 0" in warning
    assert "Segment00" not in warning


@pytest.mark.parametrize(
    ("folder", "names", "prescan", "second"),
    [
        ("galsim-ptc", ("GSA000003_bias.fits.fz", "GSA000032_flat.fits.fz"), "", "[800:401,1:400]"),
        ("cti-arctic", ("GSC000001_bias.fits.fz", "GSC000026_flat.fits.fz"), "[1:8,1:100]", "[1024:513,1:100]"),
    ],
)
def test_simulated_sets_need_no_edit(shared, folder, names, prescan, second):
    _, instrument = _proposed(shared, folder, *names)
    amplifiers = instrument.layout(0).amplifiers
    assert [amp.name for amp in amplifiers] == ["C00", "C01"]
    assert (amplifiers[0].serial_prescan, amplifiers[1].detector) == (prescan, second)
    assert instrument.detector(0).amplifier("C01").flip_x
    for name, kind in _kinds(shared, folder, instrument, "*.fits.fz").items():
        assert name.endswith(kind)


@pytest.mark.parametrize(
    ("folder", "examples"),
    [
        ("real/kast-red-2amp", ("bias_r3074.fits.gz", "dark360s_r3073.fits.gz", "specflat_r3082.fits.gz")),
        ("real/sbig-st7-darks", ("dark120s_001.fit.gz",)),
        ("galsim-ptc", ("GSA000003_bias.fits.fz", "GSA000011_dark.fits.fz", "GSA000032_flat.fits.fz")),
        ("cti-arctic", ("GSC000001_bias.fits.fz", "GSC000026_flat.fits.fz")),
    ],
)
def test_right_geometry_gives_no_warning(shared, folder, examples):
    _, instrument = _proposed(shared, folder, *examples)
    for report in check_instrument(instrument, [shared(f"data/{folder}/{name}") for name in examples]):
        assert (report.problem, report.warnings) == ("", ())
