"""Clipped moments are unbiased with honest errors, on real and whole numbers, with and without outliers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from cpp_framework.model import Amplifier, Box, Mask
from cpp_framework.stats import block_means, clipped_moments, frame_statistics, profiles

FIELDS, SIZE = 512, 4096
CASES = [
    (sigma, whole, fraction, clip)
    for sigma in (0.3, 0.5, 1.0, 3.0, 20.0)
    for whole in (False, True)
    for fraction in (0.0, 0.001, 0.01)
    for clip in (5.0,)
] + [(2.0, False, 0.0, 3.0), (2.0, False, 0.001, 4.0)]
LIMIT = norm.isf(0.01 / 2 / (4 * len(CASES)))


def rounded_moments(mean: float, sigma: float) -> tuple[float, float]:
    """Mean and standard deviation of a Gaussian rounded to whole numbers."""
    levels = np.arange(-200, 201)
    weights = norm.cdf(levels + 0.5, mean, sigma) - norm.cdf(levels - 0.5, mean, sigma)
    centre = np.sum(weights * levels)
    return centre, math.sqrt(np.sum(weights * (levels - centre) ** 2))


@pytest.mark.parametrize(("sigma", "whole", "fraction", "clip"), CASES)
def test_pulls(sigma: float, whole: bool, fraction: float, clip: float) -> None:
    rng = np.random.default_rng([int(10 * sigma), whole, int(1000 * fraction), int(clip)])
    pulls = []
    # Half-way between two whole numbers the scatter of narrow data is at its maximum, where no error is Gaussian.
    for mean in rng.uniform(-0.45, 0.45, FIELDS):
        values = rng.normal(mean, sigma, SIZE)
        values += np.where(rng.random(SIZE) < fraction, sigma * 10 ** rng.uniform(1.2, 4, SIZE), 0)
        true_mean, true_std = mean, sigma
        if whole:
            values = np.round(values)
            true_mean, true_std = rounded_moments(mean, sigma)
        found = clipped_moments(values.astype(np.float32), clip=clip)
        pulls.append([(found.mean - true_mean) / found.error, (found.std - true_std) / found.std_error])
    for pull in np.array(pulls).T:
        assert abs(pull.mean()) < LIMIT / math.sqrt(FIELDS)
        assert abs(math.sqrt(np.mean(pull**2)) - 1) < LIMIT / math.sqrt(2 * FIELDS)


def test_equals_plain_reference() -> None:
    values = np.random.default_rng(4).normal(7, 2, (90, 300)).astype(np.float32)
    values[::7, ::11] = 1000
    values[3, :] = np.nan
    centre, scale = 7.0, 2.0
    for _ in range(10):
        kept = values[np.abs(values - centre) <= 5 * scale].astype(np.float64)
        centre, scale = kept.mean(), kept.std(ddof=1)
    found = clipped_moments(values)
    fourth = np.mean((kept - centre) ** 4)
    assert found.n == kept.size
    assert found.mean == pytest.approx(centre, rel=1e-12)
    assert found.std == pytest.approx(scale, rel=1e-4)
    assert found.error == pytest.approx(scale / math.sqrt(kept.size), rel=1e-4)
    assert found.std_error == pytest.approx(math.sqrt((fourth - scale**4) / kept.size) / 2 / scale, rel=1e-3)


def test_constant_values_have_no_scatter_even_with_outliers() -> None:
    values = np.full(10_000, 42, np.float32)
    values[::500] = 60_000
    found = clipped_moments(values)
    assert (found.mean, found.std, found.std_error, found.n) == (42, 0, 0, 9980)


@pytest.mark.parametrize("values", [np.zeros(0, np.float32), np.full((3, 4), np.nan, np.float32)])
def test_nothing_gives_nan(values: np.ndarray) -> None:
    found = clipped_moments(values)
    assert found.n == 0
    assert math.isnan(found.mean)
    assert math.isnan(found.std)


def test_few_finite_values_among_many_are_found() -> None:
    values = np.full(1_000_000, np.nan, np.float32)
    values[[1, 500_001]] = [4, 6]
    assert clipped_moments(values).mean == 5


def test_frame_statistics_leave_out_masked_pixels_gradients_and_column_structure() -> None:
    rng = np.random.default_rng(6)
    plane = rng.normal(100, 3, (300, 200)).astype(np.float32)
    plane[:, 100:] += np.linspace(0, 100, 300, dtype=np.float32)[:, None] + rng.normal(0, 40, 100).astype(np.float32)
    bits = np.zeros(plane.shape, np.uint32)
    plane[:150, :50], bits[:150, :50] = 105, Mask.SAT
    plane[150:, :50] += 0
    amplifiers = [Amplifier("A", Box(0, 0, 100, 300)), Amplifier("B", Box(100, 0, 200, 300))]
    found = frame_statistics(plane, bits, amplifiers)
    assert abs(found["A"].level - 100) < 5 * found["A"].level_error
    assert found["A"].level_error == pytest.approx(3 / math.sqrt(found["A"].n), rel=0.05)
    assert found["A"].n == pytest.approx(22_500, abs=2)
    for amp in "AB":
        assert abs(found[amp].noise - math.hypot(3, 0.24 if amp == "B" else 0)) < 5 * found[amp].noise_error
        assert found[amp].noise_error < 0.04


def test_frame_statistics_of_a_masked_amplifier_are_nan() -> None:
    plane = np.zeros((4, 4), np.float32)
    found = frame_statistics(plane, np.full((4, 4), Mask.BAD, np.uint32), [Amplifier("A", Box(0, 0, 4, 4))])["A"]
    assert found.n == 0
    assert math.isnan(found.level)
    assert math.isnan(found.noise)


def test_profiles_ignore_nan() -> None:
    plane = np.arange(12, dtype=np.float32).reshape(3, 4)
    plane[0, 1] = plane[1, :] = np.nan
    found = profiles(plane)
    np.testing.assert_allclose(found.rows, [5 / 3, np.nan, 9.5])
    np.testing.assert_allclose(found.columns, [4, 9, 6, 7])
    assert found.row_counts.tolist() == [3, 0, 4]
    assert found.column_counts.tolist() == [2, 1, 2, 2]


def test_block_means_ignore_nan_and_the_incomplete_edge() -> None:
    plane = np.arange(35, dtype=np.float32).reshape(5, 7)
    plane[:2, :2] = np.nan
    plane[2, 2] = np.nan
    means, counts = block_means(plane, block=2)
    assert counts.tolist() == [[0, 4, 4], [4, 3, 4]]
    np.testing.assert_allclose(means, [[np.nan, 6, 8], [18, (17 + 23 + 24) / 3, 22]])
