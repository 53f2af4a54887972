"""Fits of stacks of different scales against a plain reference, and against simulated truth."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cpp_framework.errors import ContractError
from cpp_framework.model import Amplifier, Box, Detector, Mask
from cpp_framework.stats import ArrayFrames, FittedStack, StackNoise, fit_stack
from cpp_framework.testing import make_exposure

READ_NOISE = 5.0
DETECTOR = Detector("testcam", 0, "D0", 64, 48, (Amplifier("A", Box(0, 0, 32, 48)), Amplifier("B", Box(32, 0, 64, 48))))
TIMES = (30.0, 30.0, 120.0, 120.0, 120.0, 600.0, 600.0)


def frames(samples: NDArray[np.float64], detector: Detector = DETECTOR) -> ArrayFrames:
    exposures = [make_exposure(detector, "dark", k, 60.0) for k in range(len(samples))]
    return ArrayFrames(samples.astype(np.float32), detector, exposures, unit="electron")


def noise(gain: bool = True) -> StackNoise:
    names = [amp.name for amp in DETECTOR.amplifiers]
    return StackNoise(dict.fromkeys(names, READ_NOISE), dict.fromkeys(names, 1.0) if gain else {})


def weights(times: NDArray[np.float64], rate: float = 0.5) -> NDArray[np.float64]:
    return 1 / (READ_NOISE**2 + rate * times)


def stack(
    seed: int, times: tuple[float, ...] = TIMES, zero: float = 0.0, shape: tuple[int, int] = DETECTOR.shape
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Samples with Poisson and read noise, their rates and their zero levels."""
    rng = np.random.default_rng(seed)
    rate, level = rng.uniform(0, 1, shape), rng.normal(0, zero, shape)
    t = np.array(times)[:, None, None]
    return rng.poisson(rate * t) + rng.normal(0, READ_NOISE, (len(times), *shape)) + level, rate, level


def least_squares(
    y: NDArray[np.float64], s: NDArray[np.float64], w: NDArray[np.float64], line: bool
) -> NDArray[np.float64]:
    """What numpy says of the samples of one pixel."""
    design = np.column_stack([s, np.ones_like(s)]) if line else s[:, None]
    root = np.sqrt(w)
    return np.linalg.lstsq(design * root[:, None], y * root, rcond=None)[0]


def assert_equals_reference(fitted: FittedStack, samples: NDArray[np.float64], line: bool) -> None:
    t, rejected = np.array(TIMES), np.zeros(samples.shape, bool)
    for k, y, x0, length in fitted.rejected:
        rejected[k, y, x0 : x0 + length] = True
    for y, x in np.ndindex(*samples.shape[1:]):
        kept = np.isfinite(samples[:, y, x]) & ~rejected[:, y, x]
        assert fitted.used[y, x] == kept.sum()
        found = least_squares(samples[kept, y, x], t[kept], weights(t)[kept], line)
        assert fitted.image[y, x] == pytest.approx(found[0], rel=2e-5, abs=1e-6)
        if line:
            assert fitted.zero[y, x] == pytest.approx(found[1], rel=2e-5, abs=2e-4)


@pytest.mark.parametrize("line", [False, True])
def test_the_estimate_is_the_least_squares_fit_of_the_samples_kept(line: bool) -> None:
    samples, _, _ = stack(1, zero=3.0 if line else 0.0)
    samples[4, 5:9, 6] = np.nan
    samples[5, 20, 10:14] += 400
    samples = samples.astype(np.float32).astype(float)
    fitted = fit_stack(frames(samples), noise(), scales=TIMES, weights=weights(np.array(TIMES)), intercept=line)
    assert {(5, 20, 10, 4)} <= {tuple(run) for run in fitted.rejected.tolist()}
    assert_equals_reference(fitted, samples, line)


@pytest.mark.parametrize(("line", "times"), [(False, TIMES), (True, TIMES), (False, (60.0, 60.0, 60.0))])
def test_pulls_against_truth(line: bool, times: tuple[float, ...]) -> None:
    """Against the true noise, for low samples seem surer than high ones of the same pixel."""
    t = np.array(times)
    w = weights(t)
    means, squares, errors = [], [], []
    for seed in range(40):
        samples, rate, _ = stack(100 + seed, times, zero=3.0 if line else 0.0)
        fitted = fit_stack(frames(samples), noise(), scales=times, weights=w, intercept=line)
        centred = t - np.sum(w * t) / np.sum(w) if line else t
        variance = READ_NOISE**2 + rate * t[:, None, None]
        true = np.sqrt(np.einsum("k,kyx->yx", (w * centred) ** 2, variance)) / np.sum(w * centred**2)
        means.append(np.mean((fitted.image - rate) / true))
        squares.append(np.mean(((fitted.image - rate) / true) ** 2))
        errors.append(np.mean((fitted.error / true) ** 2))
    # 122880 pixels: errors 0.0029 and 0.0020. Clipping costs up to 0.5 % of noise for three samples (DESIGN 5), and of
    # small counts it takes more high samples than low ones.
    assert abs(np.mean(means)) < 0.013
    assert np.sqrt(np.mean(squares)) == pytest.approx(1, abs=0.012)
    assert np.sqrt(np.mean(errors)) == pytest.approx(1, abs=0.01)


def test_a_hit_in_any_single_frame_is_left_out_and_harms_nothing() -> None:
    for k in range(len(TIMES)):
        samples, rate, _ = stack(7)
        samples[k] += 300.0
        fitted = fit_stack(frames(samples), noise(), scales=TIMES, weights=weights(np.array(TIMES)))
        without = fitted.used < len(TIMES)
        assert np.mean(without) > 0.998  # where the others scatter by chance, so does the limit
        pull = ((fitted.image - rate) / fitted.error)[without]
        assert np.sqrt(np.mean(pull**2)) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    ("samples", "used", "value"),
    [
        ([0.0, 500.0], 1, 0.0),
        ([3.0, 500.0, 900.0], 1, 3.0),
        ([3.0, 5.0, 900.0], 2, 4.0),
        ([6.0], 1, 6.0),
    ],
)
def test_few_samples_favour_the_low_ones(samples: list[float], used: int, value: float) -> None:
    planes = np.array(samples)[:, None, None] * np.ones(DETECTOR.shape)
    ones = [1.0] * len(samples)
    fitted = fit_stack(frames(planes), noise(gain=False), scales=ones, weights=ones)
    assert np.all(fitted.used == used)
    np.testing.assert_allclose(fitted.image, value)


def test_pixels_without_enough_samples_have_no_data() -> None:
    samples, _, _ = stack(3)
    samples[:, 4, 4] = np.nan
    samples[:5, 6, 6] = np.nan
    t = np.array(TIMES)
    fitted = fit_stack(frames(samples), noise(), scales=TIMES, weights=weights(t), intercept=True)
    for y, x in [(4, 4), (6, 6)]:
        assert np.isnan([fitted.image[y, x], fitted.error[y, x], fitted.zero[y, x]]).all()
        assert fitted.mask[y, x] == Mask.NO_DATA
        assert fitted.used[y, x] == 0
    assert np.isfinite(np.delete(fitted.image, [4, 6], axis=0)).all()


def test_offsets_and_refused_amplifiers_are_taken_off() -> None:
    samples, rate, _ = stack(5)
    offsets = np.random.default_rng(6).normal(0, 100, (len(TIMES), 2))
    samples[:, :, :32] += offsets[:, 0, None, None]
    samples[:, :, 32:] += offsets[:, 1, None, None]
    used = np.ones((len(TIMES), 2), bool)
    used[6, 1] = False
    samples[6, :, 32:] = 1e5
    fitted = fit_stack(
        frames(samples), noise(), scales=TIMES, weights=weights(np.array(TIMES)), offsets=offsets, used_exposures=used
    )
    assert np.sqrt(np.mean(((fitted.image - rate) / fitted.error) ** 2)) == pytest.approx(1, abs=0.05)
    assert fitted.used[:, 32:].max() == 6


def test_threads_and_tiles_change_nothing() -> None:
    samples, _, _ = stack(8)
    planes = [
        fit_stack(frames(samples), noise(), scales=TIMES, weights=weights(np.array(TIMES)), threads=n, tile_rows=rows)
        for n, rows in [(1, None), (2, 7)]
    ]
    for name in ("image", "error", "used", "mask", "rejected"):
        np.testing.assert_array_equal(getattr(planes[0], name), getattr(planes[1], name))


def test_numbers_that_do_not_fit_the_frames_are_refused() -> None:
    samples, _, _ = stack(9)
    good = {"scales": TIMES, "weights": weights(np.array(TIMES))}
    for wrong in (
        {"scales": TIMES[1:]},
        {"scales": (-1.0, *TIMES[1:])},
        {"weights": np.zeros(len(TIMES))},
        {"offsets": np.zeros((2, 2))},
    ):
        with pytest.raises(ContractError):
            fit_stack(frames(samples), noise(), **(good | wrong))  # type: ignore[arg-type]
