"""Frames of real cameras, with the geometry written by hand, against plain numpy and the figures of their READMEs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from cpp_framework.camera.instrument import Instrument
from cpp_framework.camera.raw import read_raw
from cpp_framework.declare import Stage
from cpp_framework.isr.chain import Chain
from cpp_framework.model import Exposure, Image, Mask

Shared = Callable[[str], Path]
REAL = "data/real"


@pytest.fixture
def correct(exposure_of: Callable[..., Exposure]) -> Callable[..., Image]:
    """Read a raw frame and correct it up to full well."""

    def run(path: Path, instrument: Instrument) -> Image:
        raw = read_raw(path, instrument, exposure_of(instrument, id=path.stem))
        return Chain(instrument, 0, Stage.FULL_WELL).correct(raw)

    return run


def _clipped_std(residuals: np.ndarray) -> float:
    for _ in range(10):
        residuals = residuals[np.abs(residuals) < 5 * residuals.std()]
    return float(residuals.std())


def test_kast_two_amplifiers_in_one_hdu(
    shared: Shared, camera: Callable[..., Instrument], correct: Callable[..., Image]
) -> None:
    def amplifier(name: str, columns: str, overscan: str) -> dict[str, Any]:
        data = f"[{columns},1:2725]"
        return {"name": name, "data": data, "detector": data, "serial_overscan": f"[{overscan},1:2725]"}

    kast = camera((350, 2725), [amplifier("A", "1:62", "351:450"), amplifier("B", "63:350", "451:550")])
    for number in range(3074, 3078):
        path = shared(f"{REAL}/kast-red-2amp/bias_r{number}.fits.gz")
        image = correct(path, kast)
        pixels = fits.getdata(path).astype(float)
        for name, data, overscan, level in (("A", (0, 62), (353, 450), 1016), ("B", (62, 350), (453, 550), 995)):
            section = pixels[:, slice(*overscan)]
            record = image.records[name]
            assert record.bias_level == pytest.approx(level, abs=1)
            assert record.bias_level == pytest.approx(section.mean(), abs=0.1)
            residuals = section - section.mean(axis=1, keepdims=True)
            assert record.read_noise == pytest.approx(_clipped_std(residuals), rel=0.01)
            assert 2.1 < (record.read_noise or 0) < 2.35
            # Plain medians of integers are up to half a unit off, means feel the hits: hence the tolerance.
            plain = pixels[:, slice(*data)] - np.median(section, axis=1, keepdims=True)
            assert np.abs(image.amp(name).data - plain).max() <= 0.5 + 1e-3
            assert np.median(image.amp(name).data) == pytest.approx(0.2, abs=0.2)
        assert not image.mask.any()


def test_nickel_one_amplifier_with_overscan(
    shared: Shared, camera: Callable[..., Instrument], correct: Callable[..., Image]
) -> None:
    amplifier = {
        "name": "A",
        "data": "[1:1024,1:1024]",
        "detector": "[1:1024,1:1024]",
        "serial_overscan": "[1025:1056,1:1024]",
        "adc_maximum": 65535,
    }
    rules = {"serial": {"method": "median_per_line", "skip_leading": 8}}
    nickel = camera((1024, 1024), [amplifier], overscan=rules, binning=(2, 2))
    levels = []
    images = [correct(shared(f"{REAL}/nickel-ccd2/bias_d{number}.fits.gz"), nickel) for number in (3021, 3022, 3023)]
    for image in images:
        record = image.records["A"]
        levels.append(record.bias_level)
        assert record.read_noise == pytest.approx(5.6, abs=0.15)
        # Bad column 257 is at 65535 in every frame.
        assert (image.mask[:, 256] & Mask.SAT).sum() > 0.5 * 1024 * Mask.SAT
        assert not (image.mask & (Mask.BAD_OVERSCAN | Mask.DEAD_AMPLIFIER)).any()
    assert np.ptp(levels) == pytest.approx(13, abs=1)
    # The level drifts by 13 ADU and the overscan follows it: the corrected frames agree.
    centre = (slice(312, 712), slice(312, 712))
    difference = images[1].data[centre] - images[0].data[centre]
    assert abs(np.median(difference)) < 0.5
    scatter = np.percentile(difference, 84) - np.percentile(difference, 16)
    noise = np.sqrt(sum((i.records["A"].read_noise or 0) ** 2 + i.records["A"].level_variance for i in images[:2]))
    # The README's 6.0 ADU comes from raw differences, where the jitter of the row level is still in.
    assert scatter / 2 == pytest.approx(noise, rel=0.06)


def test_emva_without_overscan(
    shared: Shared, camera: Callable[..., Instrument], correct: Callable[..., Image]
) -> None:
    amplifier = {"name": "A", "hdu": 1, "data": "[1:640,1:480]", "detector": "[1:640,1:480]", "adc_maximum": 4095}
    emva = camera((640, 480), [amplifier])
    folder = f"{REAL}/emva1288-ccd-12bit"
    dark = correct(shared(f"{folder}/middark_01.fits.fz"), emva)
    np.testing.assert_array_equal(dark.data, fits.getdata(shared(f"{folder}/middark_01.fits.fz")).astype(np.float32))
    assert dark.records["A"].read_noise is None
    assert np.median(dark.data) == 15
    saturated = correct(shared(f"{folder}/flat_L19_1.fits.fz"), emva)
    assert (saturated.mask == Mask.SAT).mean() > 0.99
    assert not (saturated.mask & Mask.DEAD_AMPLIFIER).any()


def test_lsst_segment_with_fifteen_empty_ones(
    shared: Shared, camera: Callable[..., Instrument], correct: Callable[..., Image]
) -> None:
    amplifiers = []
    for row, y, order in (("1", "[{1}:{0},4004:2003]", range(8)), ("0", "[{0}:{1},1:2002]", range(7, -1, -1))):
        for k in order:
            amplifiers.append(
                {
                    "name": f"C{row}{k}",
                    "hdu": f"Segment{row}{k}",
                    "data": "[11:522,1:2002]",
                    "detector": y.format(512 * k + 1, 512 * k + 512),
                    "serial_prescan": "[1:10,1:2048]",
                    "serial_overscan": "[523:576,1:2048]",
                    "parallel_overscan": "[11:522,2003:2048]",
                    "adc_maximum": 262143,
                }
            )
    rules = {
        "serial": {"method": "median_per_line", "skip_leading": 5},
        "parallel": {"method": "median", "skip_leading": 5},
    }
    ts8 = camera((4096, 4004), amplifiers, overscan=rules)
    image = correct(shared(f"{REAL}/lsst-ts8-e2v-segment/201807241028453-RTM-010-S11-det067.fits"), ts8)
    dead = [amp["name"] for amp in amplifiers if (image.amp(amp["name"]).mask == Mask.DEAD_AMPLIFIER).all()]
    assert len(dead) == 15
    assert "C00" not in dead
    live = image.amp("C00")
    assert not live.mask.any()
    assert live.data[:, -1].mean() == pytest.approx(20740, rel=0.002)
    assert np.median(live.data) == pytest.approx(20800, rel=0.005)
    trail = image.overscans["C00"]["serial_overscan"][:2002].mean(axis=0)
    np.testing.assert_allclose(trail[:4], [4.5, 1.8, 0.8, 0.6], atol=0.3)
    assert image.overscans["C00"]["parallel_overscan"][0].mean() == pytest.approx(2.5, abs=0.3)
    record = image.records["C00"]
    assert record.bias_level == pytest.approx(27000, abs=100)
    assert 5 < (record.read_noise or 0) < 8
