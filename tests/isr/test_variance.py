"""The variance plane against the scatter of simulated pixels, and its kernel against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cpp_framework.isr._variance_kernels import REACH, add_signal_noise, median_of_five
from cpp_framework.isr.gain import Gains
from cpp_framework.isr.variance import CLIP, FLOOR, add_poisson
from cpp_framework.model.detector import Amplifier, Detector
from cpp_framework.model.geometry import Box
from cpp_framework.model.image import AmplifierRecord, Image

GAIN, READ_NOISE = 1.5, 5.0
"""electron/adu, electron"""


def _whole(data: NDArray) -> tuple[int, int, int, int]:
    return 0, 0, data.shape[1], data.shape[0]


def _plain(data: NDArray, variance: NDArray, gain: float) -> NDArray:
    """What `add_signal_noise` does, with numpy medians."""

    def smooth(plane: NDArray, axis: int) -> NDArray:
        size = plane.shape[axis]
        firsts = np.clip(np.arange(size) - 2, 0, size - REACH)
        stack = [np.take(plane, firsts + i, axis) for i in range(REACH)]
        return np.median(stack, axis=0)

    around = smooth(smooth(data, 0), 1)
    stands_out = (data - around) ** 2 > CLIP**2 * (variance + np.maximum(around, 0) / gain)
    around = np.where(around < -np.sqrt(variance), 0, around)
    signal = np.where(stands_out, np.maximum(data, 0), around)
    return np.maximum(variance + signal / gain, FLOOR * variance)


def _sky(rng: np.random.Generator, electrons: float, shape: tuple[int, int]) -> NDArray[np.float32]:
    photons, noise = rng.poisson(electrons, shape), rng.normal(0, READ_NOISE, shape)
    return np.round((photons + noise) / GAIN).astype(np.float32)


@pytest.mark.parametrize("shape", [(40, 60), (5, 5), (6, 9)])
def test_kernel_equals_numpy(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    data = _sky(rng, 30, shape)
    data[2, 3], data[0, 0], data[-1, -2] = 5000, -400, 300
    before = rng.uniform(8, 12, shape).astype(np.float32)
    variance = before.copy()
    add_signal_noise(data, variance, _whole(data), GAIN, CLIP, FLOOR)
    np.testing.assert_allclose(variance, _plain(data, before, GAIN), rtol=1e-5)


def test_median_of_five_is_the_median_of_any_five() -> None:
    rows = np.random.default_rng(2).permuted(np.tile(np.arange(5.0, dtype=np.float32)[:, None], 500), axis=0)
    rows[:, 0] = 3
    out = np.empty(500, np.float32)
    median_of_five(*rows, out)
    np.testing.assert_array_equal(out, np.median(rows, axis=0))


@pytest.mark.parametrize("electrons", [0, 1, 3, 10, 30, 100, 1000])
def test_blank_sky_has_pulls_of_one_and_the_true_mean_variance(electrons: float) -> None:
    """1e6 pixels: the rms of pulls is known to 0.07 %, so 0.5 % is 7 sigma."""
    data = _sky(np.random.default_rng(3), electrons, (1000, 1000))
    quantum = 1 / 12
    variance = np.full(data.shape, (READ_NOISE / GAIN) ** 2 + quantum, np.float32)
    truth = variance[0, 0] + electrons / GAIN**2
    add_signal_noise(data, variance, _whole(data), GAIN, CLIP, FLOOR)
    pulls = (data - electrons / GAIN) / np.sqrt(variance)
    assert np.sqrt(np.mean(pulls**2)) == pytest.approx(1, abs=0.005)
    assert variance.mean() == pytest.approx(truth, rel=0.003)
    weighted = np.sum(data / variance) / np.sum(1 / variance) - electrons / GAIN
    assert abs(weighted) < 0.1, "a variance that follows a pixel's own noise would lower this by 0.7 adu"


def test_stars_and_cosmic_rays_have_the_noise_of_their_own_charge() -> None:
    sky, star, ray = 100.0, 20_000.0, 50_000.0
    rng = np.random.default_rng(4)
    y, x = np.mgrid[:61, :61]
    spot = np.exp(-((y - 30) ** 2 + (x - 30) ** 2) / (2 * 1.5**2))
    expected = sky + star * spot
    expected[10, 12] += ray
    data = ((rng.poisson(expected) + rng.normal(0, READ_NOISE, expected.shape)) / GAIN).astype(np.float32)
    variance = np.full(data.shape, (READ_NOISE / GAIN) ** 2, np.float32)
    add_signal_noise(data, variance, _whole(data), GAIN, CLIP, FLOOR)
    truth = (READ_NOISE**2 + expected) / GAIN**2
    bright = expected > 1000
    np.testing.assert_allclose(variance[bright], truth[bright], rtol=0.2)
    around_the_ray = variance[8:13, 10:15][expected[8:13, 10:15] < 1000]
    np.testing.assert_allclose(around_the_ray, truth[0, 0], rtol=0.2)


def test_pixels_that_are_not_finite_do_not_spoil_their_neighbours() -> None:
    data = _sky(np.random.default_rng(5), 100, (50, 50))
    data[20:23, 20], data[0, 0], data[30, 40:] = np.nan, np.nan, np.inf
    variance = np.full(data.shape, 11, np.float32)
    add_signal_noise(data, variance, _whole(data), GAIN, CLIP, FLOOR)
    good = np.isfinite(data)
    assert np.all(np.isfinite(variance[good]))
    assert variance[good].mean() == pytest.approx(11 + 100 / GAIN**2, rel=0.03)


def test_darker_than_dark_leaves_the_read_noise() -> None:
    data = np.full((9, 9), -50, np.float32)
    variance = np.full(data.shape, 11, np.float32)
    add_signal_noise(data, variance, _whole(data), GAIN, CLIP, FLOOR)
    assert np.all(variance == 11)


@pytest.mark.parametrize("threads", [1, 3])
def test_amplifiers_of_any_size_are_done_one_by_one(threads: int) -> None:
    boxes = {"A": Box(0, 0, 20, 12), "B": Box(20, 0, 24, 12), "C": Box(24, 0, 40, 12)}
    detector = Detector("cam", 0, "D", 40, 12, tuple(Amplifier(name, box) for name, box in boxes.items()))
    data = np.full((12, 40), 60, np.float32)
    image = Image(data, np.zeros(data.shape, np.uint32), detector, variance=np.full(data.shape, 9, np.float32))
    image.records = {name: AmplifierRecord(bias_level=1.0) for name in boxes}
    add_poisson(image, Gains({"A": 2.0, "B": 3.0}), zero_removed=False, threads=threads)
    assert image.variance is not None
    for name, expected in (("A", 9 + 30), ("B", 9 + 20), ("C", 9)):
        assert np.all(image.variance[boxes[name].slices] == expected), name
    assert "amplifier C without Poisson noise" in image.applied[0]
