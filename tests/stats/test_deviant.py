"""Exposures that do not belong are found and named; healthy ones are not lost."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from cpp_framework.errors import ContractError
from cpp_framework.stats import ArrayFrames, Deviant, find_deviant_exposures, stack_statistics, used_exposures

Frames = Callable[..., ArrayFrames]


def healthy(count: int, amplifiers: int, drift: float, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Levels and noises of healthy exposures: read noise 5, amplifiers of 50 000 pixels, a zero that drifts."""
    level_error, noise_error = 5 / 50_000**0.5, 5 / 100_000**0.5
    levels = rng.normal(0, np.hypot(level_error, drift), (count, amplifiers))
    noises = rng.normal(5, noise_error, (count, amplifiers))
    return levels, np.full_like(levels, level_error), noises, np.full_like(noises, noise_error)


@pytest.mark.parametrize("drift", [0.0, 0.5])
@pytest.mark.parametrize("count", [3, 4, 5, 10, 25])
def test_no_healthy_exposure_is_lost(count: int, drift: float) -> None:
    assert find_deviant_exposures(*healthy(count, 10_000, drift, np.random.default_rng(count))) == []


@pytest.mark.parametrize("count", [3, 4, 5, 10, 25])
@pytest.mark.parametrize(("shift", "factor"), [(2, 1), (-2, 1), (5, 1), (30, 1), (0, 5), (0, 50), (0, 0.1), (0, 1.5)])
def test_one_wild_exposure_is_found_and_named(count: int, shift: float, factor: float) -> None:
    rng = np.random.default_rng([count, int(shift) + 100, int(10 * factor)])
    levels, level_errors, noises, noise_errors = healthy(count, 500, 0.2, rng)
    chosen = rng.integers(count, size=500)
    levels[chosen, np.arange(500)] += shift * 5
    noises[chosen, np.arange(500)] *= factor
    found = find_deviant_exposures(levels, level_errors, noises, noise_errors)
    assert sorted((one.amplifier, one.exposure) for one in found) == list(enumerate(chosen))
    assert {one.quantity for one in found} == {"level" if shift else "noise"}


@pytest.mark.parametrize("count", [3, 4, 7])
@pytest.mark.parametrize(("shift", "factor"), [(2, 1), (30, 1), (0, 5), (0, 50)])
@pytest.mark.parametrize("wild", [0, 1, -1])
def test_a_strong_fixed_pattern_does_not_hide_a_wild_exposure(
    frames_of: Frames, count: int, shift: float, factor: float, wild: int
) -> None:
    rng = np.random.default_rng(count)
    noise = rng.normal(0, 3, (count, 200, 120))
    noise[wild] = shift * 3 + factor * noise[wild]
    samples = noise + rng.normal(500, 30, (200, 120)) + np.where(rng.random(noise.shape) < 0.001, 1000, 0)
    statistics = stack_statistics(frames_of(samples, fields=(2, 1)))
    found = find_deviant_exposures(*statistics)
    assert [(one.exposure, one.amplifier) for one in found] == [(wild % count, 0), (wild % count, 1)]
    others = np.delete(statistics.noises, wild % count, axis=0)
    np.testing.assert_allclose(others, 3, rtol=0.06)


def test_statistics_are_nan_where_an_exposure_has_no_pixel(frames_of: Frames) -> None:
    samples = np.random.default_rng(1).normal(0, 3, (4, 40, 40))
    samples[2, :20] = np.nan
    statistics = stack_statistics(frames_of(samples, fields=(2, 1)))
    assert np.argwhere(np.isnan(statistics.levels)).tolist() == [[2, 0]]
    assert np.argwhere(np.isnan(statistics.noises)).tolist() == [[2, 0]]
    assert find_deviant_exposures(*statistics) == []


@pytest.mark.parametrize("levels", [[0, 10, 20, 30], [0, 0, 15, 15], [0, 6, 12]])
def test_a_drifting_or_split_stack_refuses_nothing(levels: list[float]) -> None:
    column = np.array(levels)[:, None]
    noise = np.full_like(column, 5.0)
    assert find_deviant_exposures(column, noise * 0.01, noise, noise * 0.01) == []


def test_what_errors_explain_is_not_refused() -> None:
    levels = np.array([[0.0], [0.1], [9.0]])
    noises = np.full((3, 1), 5.0)
    assert find_deviant_exposures(levels, np.full((3, 1), 2.0), noises, noises * 0.01) == []


def test_two_exposures_cannot_tell_which_is_wild() -> None:
    levels, noises = np.array([[0.0], [50.0]]), np.full((2, 1), 5.0)
    assert find_deviant_exposures(levels, noises * 0.01, noises, noises * 0.01) == []


def test_reason_has_value_stack_and_limit() -> None:
    levels, noises = np.array([[100.0], [100.5], [112.0]]), np.full((3, 1), 5.0)
    (found,) = find_deviant_exposures(levels, noises * 0.01, noises, noises * 0.01)
    assert found.reason == "level 112 adu differs by +11.5 from the stack's 100.5, limit 5"


def test_used_exposures_leave_out_what_is_refused() -> None:
    found = [Deviant(2, 1, "level", 9, 0, 1, "adu"), Deviant(2, 1, "noise", 9, 0, 1, "adu")]
    assert used_exposures(found, 3, 2).tolist() == [[True, True], [True, True], [True, False]]


def test_arrays_must_have_the_same_shape() -> None:
    with pytest.raises(ContractError, match="exposure, amplifier"):
        find_deviant_exposures(np.zeros((3, 1)), np.zeros((3, 2)), np.zeros((3, 1)), np.zeros((3, 1)))
