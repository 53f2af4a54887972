from __future__ import annotations

import re

import numpy as np
import pytest

from cpp_framework.camera.catalogue import load_instrument, parse_instrument
from cpp_framework.camera.check import check_instrument, check_limits
from cpp_framework.camera.drawing import draw_detector
from cpp_framework.declare import CalibrationType, CheckSpec, Inputs

LAYOUT = """\
name: one
detectors:
  - id: 0
    name: S
    size: [100, 60]
    amplifiers:
      - {name: A, data: '[1:100,1:60]', detector: '[1:100,1:60]', serial_overscan: '[101:120,1:60]', adc_maximum: 65535}
header:
  kind: {keyword: IMAGETYP, map: {BIAS: bias, FLAT: flat}}
  exposure_time: EXPTIME
"""
BARE = LAYOUT.replace("serial_overscan: '[101:120,1:60]', ", "")


@pytest.fixture
def frame(noise):
    return noise((60, 120))


def _warnings(write_fits, pixels, kind="BIAS", layout=LAYOUT):
    path = write_fits("a.fits", [({"IMAGETYP": kind, "EXPTIME": 0.0}, pixels)])
    (report,) = check_instrument(parse_instrument(layout), [path])
    assert report.problem == ""
    return list(report.warnings)


def test_frame_that_fits_gives_no_warning(write_fits, frame):
    assert _warnings(write_fits, frame) == []
    frame[:, :100] += 5000
    assert _warnings(write_fits, frame, kind="FLAT") == []


def test_bias_level_of_another_amplifier(write_fits, frame):
    frame[:, 100:] += 100
    (warning,) = _warnings(write_fits, frame)
    assert "bias data lie -100" in warning


def test_light_on_the_overscan_and_dark_columns_in_the_data(write_fits, frame):
    frame[:, 5:110] += 3000
    light, dark = _warnings(write_fits, frame, kind="FLAT")
    assert "is there light on it?" in light
    assert "5 data column(s) at the edge are at the overscan's level" in dark


def test_exchanged_sections(write_fits, frame):
    frame[:, 100:] += 3000
    (warning,) = _warnings(write_fits, frame, kind="FLAT")
    assert "are the sections exchanged?" in warning


def test_no_data(write_fits):
    assert _warnings(write_fits, np.zeros((60, 120), np.uint16)) == ["A: all pixels are 0: no data"]


def test_two_amplifiers_in_one(write_fits, frame):
    frame[:, :40] += 60
    (warning,) = _warnings(write_fits, frame, layout=BARE)
    assert re.search(r"steps by 6\d\.\d adu .* near column (39|40|41) from the readout side: two amplifiers", warning)


def test_single_bad_column_is_no_step(write_fits, frame):
    frame[:, 50] = 65535
    assert _warnings(write_fits, frame) == []


def test_overscan_nobody_spoke_of(write_fits, frame):
    frame[:, :90] += 3000
    (warning,) = _warnings(write_fits, frame, kind="FLAT", layout=BARE)
    assert "10 column(s) at the edge are less than half as bright as the rest" in warning


def test_pixel_above_adc_maximum(write_fits, frame):
    frame[3, 4] = 5000
    layout = LAYOUT.replace("adc_maximum: 65535", "adc_maximum: 4095")
    assert _warnings(write_fits, frame, layout=layout) == ["A: a pixel of 5000 is above adc_maximum 4095"]


def test_frame_that_does_not_fit_is_a_problem_and_the_rest_goes_on(write_fits, frame, tmp_path):
    good = write_fits("good.fits", [({"IMAGETYP": "BIAS", "EXPTIME": 0.0}, frame)])
    small = write_fits("small.fits", [({"IMAGETYP": "BIAS", "EXPTIME": 0.0}, frame[:, :110])])
    (tmp_path / "text.fits").write_text("no FITS")
    reports = check_instrument(parse_instrument(LAYOUT), [small, tmp_path / "text.fits", good])
    assert "leaves HDU 0, which has 110x60 pixels" in reports[0].problem
    assert "not a FITS file" in reports[1].problem
    assert reports[2].problem == ""
    assert [one.kind for one in reports[2].exposures] == ["bias"]


def test_limits_nobody_will_use_are_told_with_what_was_meant():
    checks = (CheckSpec("B1_level", "level"), CheckSpec("B2_noise", "noise"))
    inputs = (Inputs("bias"),)
    one = CalibrationType("glow", "a type", 1, "m:P", "m:solve", "m:verify", "m:C", inputs=inputs, checks=checks)
    limits = "limits: {glow: {B1_level: {fail: [-2, 2]}, B2_nosie: {fail: [0, 1]}}, glwo: {B1_level: {fail: [0, 1]}}}\n"
    assert check_limits(parse_instrument(LAYOUT + limits), {"glow": one}) == [
        "limits.glow.B2_nosie: glow has no such check; did you mean 'B2_noise'?",
        "limits.glwo: no such calibration type is installed; did you mean 'glow'?",
    ]
    assert check_limits(parse_instrument(LAYOUT), {"glow": one}) == []


def test_map_shows_amplifiers_where_they_lie_with_their_readout_corners():
    simcam = load_instrument("simcam")
    assert draw_detector(simcam, simcam.layout(0)).splitlines() == [
        "+------+------+",
        "|*     |     *|",
        "| C10  | C11  |",
        "|      |      |",
        "+------+------+",
        "|      |      |",
        "| C00  | C01  |",
        "|*     |     *|",
        "+------+------+",
    ]
    latiss = load_instrument("latiss")
    top = draw_detector(latiss, latiss.layout(0)).splitlines()[1:3]
    assert top[0] == "|     *" * 8 + "|"
    assert top[1].split() == ["|"] + [part for i in range(8) for part in (f"C1{i}", "|")]
