"""The rank-one model against a dense solution of the same equations, and its errors by pulls."""

from __future__ import annotations

import numpy as np
import pytest
from cpp_flat.rank_one import RankOne, fit_rank_one
from numpy.typing import NDArray

TRIALS = 400
SIGMA = 3.3
"""Four statistics, two-sided, 0.4 % together (pulls of one trial are not independent: one of each is taken)."""

Float = NDArray[np.float64]


def truth(rng: np.random.Generator, amplifiers: int, exposures: int) -> tuple[Float, Float, Float]:
    pixels = rng.integers(100, 200, amplifiers).astype(float)
    throughput = rng.uniform(0.5, 1.5, amplifiers)
    throughput *= pixels.sum() / (pixels @ throughput)
    return throughput, rng.uniform(1e3, 5e4, exposures), pixels


def noisy(rng: np.random.Generator, throughput: Float, level: Float) -> tuple[Float, Float]:
    values = np.outer(throughput, level)
    errors = values * rng.uniform(1e-5, 1e-3, values.shape)
    return values + rng.normal(0, 1, values.shape) * errors, errors


def dense(values: Float, errors: Float, pixels: Float) -> tuple[Float, Float]:
    """Reference: all equations at once, minimum norm, then the gauge."""
    amplifiers, exposures = np.nonzero(np.isfinite(values) & np.isfinite(errors))
    design = np.zeros((amplifiers.size, sum(values.shape)))
    design[np.arange(amplifiers.size), amplifiers] = 1
    design[np.arange(amplifiers.size), values.shape[0] + exposures] = 1
    sigma = (errors / values)[amplifiers, exposures]
    logs = np.log(values[amplifiers, exposures])
    solution = np.linalg.lstsq(design / sigma[:, None], logs / sigma, rcond=None)[0]
    g, e = np.exp(solution[: values.shape[0]]), np.exp(solution[values.shape[0] :])
    mean = pixels @ g / pixels.sum()
    return g / mean, e * mean


@pytest.mark.parametrize("holes", [False, True], ids=["whole", "holes"])
@pytest.mark.parametrize(("amplifiers", "exposures"), [(1, 1), (1, 5), (2, 3), (7, 4), (16, 15)])
def test_closed_form_is_the_least_squares_solution(amplifiers: int, exposures: int, holes: bool) -> None:
    rng = np.random.default_rng(amplifiers * 100 + exposures)
    throughput, level, pixels = truth(rng, amplifiers, exposures)
    values, errors = noisy(rng, throughput, level)
    if holes and min(amplifiers, exposures) > 2:
        values[1, 2], errors[0, 1] = np.nan, np.nan
    fit = fit_rank_one(values, errors, pixels)
    wanted = dense(values, errors, pixels)
    np.testing.assert_allclose(fit.throughput, wanted[0], rtol=1e-9)
    np.testing.assert_allclose(fit.level, wanted[1], rtol=1e-9)
    np.testing.assert_allclose(pixels @ fit.throughput / pixels.sum(), 1, rtol=1e-12)


def test_model_is_the_product_of_throughput_and_level() -> None:
    """Not the quotient: the residual of exact data is zero."""
    rng = np.random.default_rng(3)
    throughput, level, pixels = truth(rng, 4, 6)
    values = np.outer(throughput, level)
    fit = fit_rank_one(values, np.full(values.shape, 1.0), pixels)
    np.testing.assert_allclose(np.outer(fit.throughput, fit.level), values, rtol=1e-12)
    np.testing.assert_allclose(fit.residual, 0, atol=1e-12)


def test_errors_hold_in_the_stated_gauge() -> None:
    rng = np.random.default_rng(4)
    throughput, level, pixels = truth(rng, 3, 5)
    pulls = []
    for _ in range(TRIALS):
        fit = fit_rank_one(*noisy(rng, throughput, level), pixels)
        pulls.append(
            (
                (fit.throughput[1] - throughput[1]) / fit.throughput_error[1],
                (fit.level[2] - level[2]) / fit.level_error[2],
            )
        )
    for pull in np.array(pulls).T:
        assert abs(pull.mean()) < SIGMA / np.sqrt(TRIALS)
        assert abs(np.sqrt(np.mean(pull**2)) - 1) < SIGMA / np.sqrt(2 * TRIALS)


@pytest.mark.parametrize("value", [np.nan, 0.0, -5.0, np.inf])
def test_a_bad_amplifier_has_no_weight(value: float) -> None:
    """It is not replaced by 1, nor by anything: the others do not change."""
    rng = np.random.default_rng(5)
    throughput, level, pixels = truth(rng, 4, 5)
    values, errors = noisy(rng, throughput, level)
    values[3] = value
    fit = fit_rank_one(values, errors, pixels)
    alone = fit_rank_one(values[:3], errors[:3], pixels[:3])
    np.testing.assert_allclose(fit.throughput[:3], alone.throughput, rtol=1e-12)
    np.testing.assert_allclose(fit.level, alone.level, rtol=1e-12)
    assert np.isnan(fit.throughput[3])


def test_what_nothing_connects_has_no_common_level() -> None:
    values = np.full((3, 4), np.nan)
    values[:2, :3], values[2, 3] = 100.0, 50.0
    fit: RankOne = fit_rank_one(values, np.full(values.shape, 1.0), np.ones(3))
    assert np.isfinite(fit.level).tolist() == [True, True, True, False]
    assert np.isfinite(fit.throughput).tolist() == [True, True, False]


def test_nothing_at_all_is_not_an_error() -> None:
    fit = fit_rank_one(np.full((2, 3), np.nan), np.ones((2, 3)), np.ones(2))
    assert np.isnan(fit.level).all()
    assert np.isnan(fit.throughput).all()
