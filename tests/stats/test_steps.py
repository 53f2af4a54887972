"""Steps in profiles: size and place against plain least squares, and how often noise and drifts pass for a step."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cpp_framework.stats.steps import largest_step

PROFILES = 600
"""Independent profiles for each rate of false alarms."""

DRIFTS = {
    "none": lambda y, _: np.zeros(y.size),
    "slope": lambda y, _: 0.05 * y,
    "start-up": lambda y, _: 20 * np.exp(-y / 100),
    "random walk": lambda y, rng: np.cumsum(rng.normal(0, 0.1, y.size)),
}


def test_size_is_that_of_plain_least_squares_with_a_cubic() -> None:
    rng = np.random.default_rng(1)
    profile = rng.normal(0, 1, 1024) + 8.0 * (np.arange(1024) >= 500)
    step = largest_step(profile)
    assert step is not None
    assert abs(step.line - 500) <= 2
    around = profile[step.line - 64 : step.line + 64]
    x = np.arange(128) / 128
    design = np.column_stack([x**3, x**2, x, np.ones(128), x >= 0.5])
    assert step.size == pytest.approx(np.linalg.lstsq(design, around)[0][-1], rel=1e-9)


@pytest.mark.parametrize("lines", [110, 512, 2000])
def test_size_of_a_step_scatters_as_its_error_says(lines: int) -> None:
    """Limits for mean and rms of three lengths together at a 1 % false-alarm rate: 3.1 sigma each."""
    rng, pulls = np.random.default_rng(2), []
    for _ in range(512):
        place = int(rng.integers(lines // 2, lines // 2 + 20))
        step = largest_step(rng.normal(0, 1, lines) + 15.0 * (np.arange(lines) >= place))
        assert step is not None
        assert abs(step.line - place) <= 1
        pulls.append((step.size - 15.0) / step.error)
    assert abs(np.mean(pulls)) < 3.1 / math.sqrt(512)
    # The noise is measured on the profile itself: of 110 lines to 8 %.
    assert abs(np.sqrt(np.mean(np.square(pulls))) - 1) < 3.1 / math.sqrt(2 * 512) + 0.5 / lines


@pytest.mark.parametrize("drift", DRIFTS.values(), ids=DRIFTS)
@pytest.mark.parametrize("lines", [110, 512, 2000])
def test_noise_and_drifts_rarely_pass_for_a_step(lines: int, drift: object) -> None:
    """Steps that noise makes in 1 % of profiles are seen in less than 3 %; none at all at 1e-4."""
    rng, y = np.random.default_rng(3), np.arange(lines)
    steps = [largest_step(rng.normal(0, 1, lines) + drift(y, rng)) for _ in range(PROFILES)]  # type: ignore[operator]
    alarms = np.array([step.false_alarm for step in steps if step is not None])
    assert alarms.size == PROFILES
    assert np.mean(alarms < 0.01) < 0.03
    assert not np.any(alarms < 1e-4)


def test_lines_without_a_level_are_bridged() -> None:
    rng = np.random.default_rng(4)
    profile = rng.normal(0, 1, 400) + 20.0 * (np.arange(400) >= 200)
    profile[rng.random(400) < 0.3] = np.nan
    step = largest_step(profile)
    assert step is not None
    assert abs(step.line - 200) <= 3
    assert step.false_alarm < 1e-6


@pytest.mark.parametrize("profile", [np.zeros(500), np.arange(500.0), np.full(500, np.nan), np.zeros(20)])
def test_where_nothing_can_be_told_there_is_no_step(profile: np.ndarray) -> None:
    step = largest_step(profile)
    assert step is None or step.false_alarm == 1.0


def test_rounded_levels_make_no_step_where_the_noise_of_rounding_is_known() -> None:
    profile = np.round(np.random.default_rng(5).normal(0.3, 0.12, 500))
    step = largest_step(profile, 1 / math.sqrt(12))
    assert step is not None
    assert step.false_alarm > 0.1
