from __future__ import annotations

import numpy as np
import pytest

from cpp_framework.camera.catalogue import load_instrument, parse_instrument
from cpp_framework.camera.reader import read_exposures
from cpp_framework.errors import RawFileError

TWO_CHIPS = """\
name: pair
detectors:
  - {id: 3, name: left, size: [8, 4], frame: [8, 4],
     amplifiers: [{name: A, hdu: 1, data: '[1:8,1:4]', detector: '[1:8,1:4]'}]}
  - {id: 5, name: right, size: [8, 4], frame: [8, 4],
     amplifiers: [{name: A, hdu: RIGHT, data: '[1:8,1:4]', detector: '[1:8,1:4]'}]}
header:
  kind: {keyword: IMAGETYP, map: {BIAS: bias}}
  exposure_time: EXPTIME
  temperature: TEMP
"""
PIXELS = np.zeros((4, 8), np.int16)
PRIMARY = {"IMAGETYP": "BIAS", "EXPTIME": 0.0, "OBSID": "B17"}


def _simcam_cards(**changes):
    cards = {"INSTRUME": "simcam", "OBSID": "S1", "SEQNUM": 1, "IMAGETYP": "FLAT", "EXPTIME": 2.0, "FILTER": "r"}
    cards |= {"DATE-OBS": "2031-01-02T03:04:05", "TIMESYS": "TAI", "MONDIODE": 3.5, "MONERR": 0.1, "CCDTEMP": -100.0}
    return {key: value for key, value in (cards | changes).items() if value is not None}


def _simcam_file(write_fits, name="a.fits", shape=(110, 156), **changes):
    frame = np.zeros(shape, np.uint16)
    return write_fits(name, [(_simcam_cards(**changes), None)] + [({"EXTNAME": f"A{i}"}, frame) for i in range(4)])


def test_simcam_exposure(write_fits):
    path = _simcam_file(write_fits)
    (exposure,) = read_exposures(path, load_instrument("simcam"))
    assert (exposure.instrument, exposure.detector, exposure.id, exposure.number) == ("simcam", 0, "S1", 1)
    assert (exposure.kind, exposure.exposure_time, exposure.filter) == ("flat", 2.0, "r")
    assert exposure.records["monitor_charge"].error == 0.1
    assert exposure.path == str(path)


def test_one_exposure_per_detector_with_its_own_header(write_fits):
    hdus = [(PRIMARY, None), ({"TEMP": -90.0}, PIXELS), ({"EXTNAME": "RIGHT", "TEMP": -95.0}, PIXELS)]
    exposures = read_exposures(write_fits("b.fits", hdus), parse_instrument(TWO_CHIPS))
    assert [(one.detector, one.temperature) for one in exposures] == [(3, -90.0), (5, -95.0)]


@pytest.mark.parametrize("value", [5, "right"])
def test_detector_named_by_a_keyword(write_fits, value):
    text = TWO_CHIPS.replace("hdu: RIGHT", "hdu: 1") + "  detector: CHIP\n"
    path = write_fits("b.fits", [(PRIMARY | {"CHIP": value}, None), ({}, PIXELS)])
    assert [one.detector for one in read_exposures(path, parse_instrument(text))] == [5]


def test_unknown_detector_is_refused(write_fits):
    text = TWO_CHIPS.replace("hdu: RIGHT", "hdu: 1") + "  detector: CHIP\n"
    path = write_fits("b.fits", [(PRIMARY | {"CHIP": 9}, None), ({}, PIXELS)])
    with pytest.raises(RawFileError, match=r"detector 9 \(from CHIP\) is none of pair's: 3 \(left\), 5 \(right\)"):
        read_exposures(path, parse_instrument(text))


def test_missing_hdu_table_and_wrong_size_are_refused(write_fits):
    instrument = parse_instrument(TWO_CHIPS)
    path = write_fits("short.fits", [(PRIMARY, None), ({}, PIXELS)])
    with pytest.raises(RawFileError, match="HDU 'RIGHT' is not there; the file has 2 HDUs"):
        read_exposures(path, instrument)
    path = write_fits("table.fits", [(PRIMARY, None)], table=True)
    with pytest.raises(RawFileError, match="HDU 1 holds no image"):
        read_exposures(path, instrument)
    path = write_fits("big.fits", [(PRIMARY, None), ({}, np.zeros((4, 9), np.int16)), ({"EXTNAME": "RIGHT"}, PIXELS)])
    with pytest.raises(RawFileError, match="HDU 1 has 9x4 pixels, detector left has frames of 8x4"):
        read_exposures(path, instrument)


def test_section_outside_the_frame_is_refused_without_frame_too(write_fits):
    instrument = parse_instrument(TWO_CHIPS.replace(" frame: [8, 4],", ""))
    small = np.zeros((4, 7), np.int16)
    path = write_fits("small.fits", [(PRIMARY, None), ({}, small), ({"EXTNAME": "RIGHT"}, PIXELS)])
    with pytest.raises(RawFileError, match=r"amplifier A: data \[1:8,1:4\] leaves HDU 1, which has 7x4 pixels"):
        read_exposures(path, instrument)


def test_other_binning_is_refused(write_fits):
    text = TWO_CHIPS + "  binning: CCDSUM\n"
    hdus = [(PRIMARY | {"CCDSUM": "2 2"}, None), ({}, PIXELS), ({"EXTNAME": "RIGHT"}, PIXELS)]
    with pytest.raises(RawFileError, match="binned 2x2, instrument pair is written for 1x1"):
        read_exposures(write_fits("b.fits", hdus), parse_instrument(text))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"INSTRUME": "LATISS"}, "expected 'simcam', found 'LATISS'"),
        ({"EXPTIME": None}, r"exposure time \(from EXPTIME\): the card is not there"),
        ({"IMAGETYP": None}, None),
        ({"DATE-OBS": None}, None),
    ],
)
def test_needed_and_other_keywords(write_fits, changes, message):
    path = _simcam_file(write_fits, **changes)
    if message is None:
        assert len(read_exposures(path, load_instrument("simcam"))) == 1
    else:
        with pytest.raises(RawFileError, match=message):
            read_exposures(path, load_instrument("simcam"))
