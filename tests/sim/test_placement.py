"""Where pixels end up: truth in the assembled detector against raw files put together by the sections in the layout."""

from __future__ import annotations

import re

import numpy as np
import pytest
from astropy.io import fits

from cpp_framework.camera.catalogue import load_instrument
from cpp_framework.camera.instrument import Instrument
from cpp_framework.errors import InstrumentError
from cpp_framework.sim import ExposureRequest, simulate

HEADER = {"kind": {"const": "bias"}, "exposure_time": "EXPTIME"}


def camera(amplifiers, size, **more):
    detector = {"id": 0, "name": "D", "size": size, "amplifiers": amplifiers}
    return Instrument.model_validate({"name": "camera", "detectors": [detector], "header": HEADER, **more})


def one_hdu(corners):
    """Four amplifiers in one HDU, overscans elsewhere in the row and in the middle, read from any corners."""
    places = {"A": ("[3:42,1:30]", "[1:40,1:30]"), "B": ("[43:82,1:30]", "[41:80,1:30]"),
              "C": ("[3:42,41:70]", "[1:40,31:60]"), "D": ("[43:82,41:70]", "[41:80,31:60]")}  # fmt: skip
    overscan = {"A": "[91:100,1:30]", "B": "[101:110,1:30]", "C": "[91:100,41:70]", "D": "[101:110,41:70]"}
    prescan = {"A": "[1:2,1:30]", "B": "[83:84,1:30]", "C": "[1:2,41:70]", "D": "[83:84,41:70]"}
    parallel = {"A": "[3:42,31:35]", "B": "[43:82,31:35]", "C": "[3:42,36:40]", "D": "[43:82,36:40]"}
    amplifiers = [
        {"name": name, "hdu": 0, "data": data, "detector": detector, "serial_overscan": overscan[name],
         "serial_prescan": prescan[name], "parallel_overscan": parallel[name], "readout": corner}
        for (name, (data, detector)), corner in zip(places.items(), corners, strict=True)
    ]  # fmt: skip
    return camera(amplifiers, (80, 60))


def mirrored():
    """One HDU per amplifier by name, stored as read; reversed detector sections put them in place."""
    targets = {"A": "[1:40,1:30]", "B": "[80:41,1:30]", "C": "[1:40,60:31]", "D": "[80:41,60:31]"}
    amplifiers = [
        {"name": name, "hdu": f"SEG{name}", "data": "[1:40,1:30]", "detector": target,
         "serial_overscan": "[41:50,1:36]", "parallel_overscan": "[1:50,31:36]", "readout": "LL"}
        for name, target in targets.items()
    ]  # fmt: skip
    return camera(amplifiers, (80, 60))


def bare():
    """A frame without any overscan, read from its upper right corner."""
    return camera(
        [{"name": "A", "hdu": 0, "data": "[1:64,1:48]", "detector": "[1:64,1:48]", "readout": "UR"}], (64, 48)
    )


CAMERAS = {
    "one HDU, corners LL LR UL UR": one_hdu(["LL", "LR", "UL", "UR"]),
    "one HDU, corners UR UL LR LL": one_hdu(["UR", "UL", "LR", "LL"]),
    "one HDU per amplifier, mirrored": mirrored(),
    "no overscan": bare(),
    "simcam": load_instrument("simcam"),
}


def cut(section, hdus, hdu):
    x0, x1, y0, y1 = (int(number) for number in re.findall(r"\d+", section))
    pixels = np.asarray(hdus[hdu].data)[min(y0, y1) - 1 : max(y0, y1), min(x0, x1) - 1 : max(x0, x1)]
    return pixels, (x0, x1, y0, y1)


def assemble(instrument, hdus):
    """Put data sections where their detector sections say, by the FITS convention alone."""
    layout = instrument.detectors[0]
    whole = np.full((layout.size[1], layout.size[0]), np.nan)
    for amp in layout.amplifiers:
        pixels, _ = cut(amp.data, hdus, amp.hdu)
        x0, x1, y0, y1 = (int(number) for number in re.findall(r"\d+", amp.detector))
        pixels = pixels[:: -1 if y0 > y1 else 1, :: -1 if x0 > x1 else 1]
        whole[min(y0, y1) - 1 : max(y0, y1), min(x0, x1) - 1 : max(x0, x1)] = pixels
    return whole


@pytest.mark.parametrize("instrument", CAMERAS.values(), ids=CAMERAS)
def test_the_true_structure_is_found_in_the_assembled_raw(instrument, only, tmp_path):
    raw = simulate(instrument, 0, None, only("bias_structure", bias_level={"level": 1000.0}))
    raw.hdus.writeto(tmp_path / "raw.fits")
    with fits.open(tmp_path / "raw.fits") as hdus:
        np.testing.assert_array_equal(assemble(instrument, hdus), raw.truth.bias_structure + np.float32(1000))


@pytest.mark.parametrize("instrument", CAMERAS.values(), ids=CAMERAS)
def test_noise_averages_to_the_truth(instrument, only):
    settings = only("bias_structure", "adc", read_noise={"sigma": 2.0}, bias_level={"level": 1000.0})
    frames = [
        assemble(instrument, simulate(instrument, 0, ExposureRequest(number=n), settings).hdus) for n in range(1, 65)
    ]
    truth = simulate(instrument, 0, None, settings).truth
    gain = next(iter(truth.amplifiers.values())).gain
    residual = np.mean(frames, axis=0) - truth.bias_structure - 1000
    # Errors are (σ² + 1/12)/64 per pixel; the common noise of a bank halves the number of independent pixels at most.
    expected = np.sqrt((4.0 / gain**2 + 1 / 12) / 64)
    assert np.abs(residual).max() < 6 * expected
    assert abs(residual.mean()) < 4 * expected / np.sqrt(residual.size / 4)


@pytest.mark.parametrize("instrument", CAMERAS.values(), ids=CAMERAS)
def test_the_glow_is_at_the_columns_read_first_and_the_slope_ends_at_the_rows_read_last(instrument, only):
    settings = only(bias_structure={"columns": 0, "pixels": 0, "glow": 10.0, "slope": 4.0})
    raw = simulate(instrument, 0, None, settings)
    for amp in instrument.detectors[0].amplifiers:
        pixels, _ = cut(amp.data, raw.hdus, amp.hdu)
        first_row, first_column = -1 if "U" in amp.readout else 0, -1 if "R" in amp.readout else 0
        assert pixels[first_row, first_column] == pytest.approx(10.0)
        assert pixels[-1 - first_row, first_column] == pytest.approx(14.0)
        assert pixels[first_row, -1 - first_column] == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize("instrument", CAMERAS.values(), ids=CAMERAS)
def test_a_row_and_its_overscans_share_the_row_pattern(instrument, only):
    raw = simulate(instrument, 0, None, only(row_pattern={"sigma": 5.0}))
    for amp in instrument.detectors[0].amplifiers:
        data, (_, _, y0, _) = cut(amp.data, raw.hdus, amp.hdu)
        assert np.ptp(data[:, 0]) > 5
        assert np.ptp(data, axis=1).max() == 0
        for region in ("serial_prescan", "serial_overscan"):
            if section := getattr(amp, region):
                side, (_, _, side_y0, _) = cut(section, raw.hdus, amp.hdu)
                start = y0 - side_y0
                np.testing.assert_array_equal(side[start : start + len(data), 0], data[:, 0])


def test_every_pixel_of_a_full_hdu_is_read_corners_included(only):
    raw = simulate(mirrored(), 0, None, only(bias_level={"level": 7.0}))
    assert [hdu.name for hdu in raw.hdus[1:]] == ["SEGA", "SEGB", "SEGC", "SEGD"]
    for hdu in raw.hdus[1:]:
        assert hdu.data.shape == (36, 50)
        assert np.all(hdu.data == 7.0)


def test_a_region_without_a_time_of_reading_is_refused():
    amp = {"name": "A", "hdu": 0, "data": "[1:40,1:30]", "detector": "[1:40,1:30]", "serial_overscan": "[41:50,1:36]"}
    with pytest.raises(InstrumentError, match=r"serial_overscan \[41:50,1:36\] has rows .* cannot tell when") as error:
        simulate(camera([amp], (40, 30)))
    assert "parallel_overscan" in error.value.hint
