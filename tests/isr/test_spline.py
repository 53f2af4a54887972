"""Spline overscan: noise, drifts, jumps and hits, against plain least squares and by Monte-Carlo."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.interpolate import BSpline

from cpp_framework.camera.instrument import OverscanRule, OverscanRules
from cpp_framework.isr.overscan import OverscanLevels, measure_levels
from cpp_framework.isr.spline import fit_spline

LINES, WIDTH, KNOTS, SIGMA = 600, 50, 30, 6.0
ROW_NOISE = SIGMA / math.sqrt(WIDTH)
"""Noise of a line's own mean; 1/√50 = 0.14 of the read noise."""

Baseline = Callable[[np.random.Generator], np.ndarray]


def _levels(section: np.ndarray, knots: int = KNOTS) -> OverscanLevels:
    rule = OverscanRule(method="spline", knots=knots, skip_leading=0)
    levels = measure_levels(section.astype(np.float32), rule, 0, saturation=math.inf, quantum=1.0)
    assert levels is not None
    return levels


def _section(baseline: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.round(1000.3 + baseline[:, None] + rng.normal(0, SIGMA, (baseline.size, WIDTH)))


def _start_up(_: np.random.Generator) -> np.ndarray:
    return 20 * np.exp(-np.arange(LINES) / 60)


def _walk(rng: np.random.Generator) -> np.ndarray:
    return np.cumsum(rng.normal(0, 0.03, LINES))


def _still(_: np.random.Generator) -> np.ndarray:
    return np.zeros(LINES)


def test_values_are_those_of_plain_least_squares() -> None:
    levels = np.random.default_rng(1).normal(0, 1, 120)
    found = fit_spline(levels, 20)
    assert found is not None
    x, knots = np.arange(120) / 119, np.arange(-3, 10) / 6
    design = np.column_stack([BSpline(knots, row, 3)(x) for row in np.eye(9)])
    np.testing.assert_allclose(found.values, design @ np.linalg.lstsq(design, levels)[0], atol=1e-6)
    assert found.freedom == pytest.approx(9 / 120)


@pytest.mark.parametrize("baseline", [_still, _start_up, _walk])
def test_levels_have_less_noise_and_follow_drifts(baseline: Baseline) -> None:
    """Every line's error over 200 sections: white noise leaves √(23/600) = 0.2 of the noise of a row of its own."""
    errors, stated, rng = [], [], np.random.default_rng(2)
    for _ in range(200):
        truth = baseline(rng)
        levels = _levels(_section(truth, rng))
        errors.append(levels.values - 1000.3 - truth)
        stated.append(levels.variance)
        assert not levels.wild.any()
    rms = np.sqrt(np.mean(np.square(errors)))
    assert rms < 0.35 * ROW_NOISE
    if baseline is _walk:
        # What the walk does between knots is there like jumps: stated, but not more than doubled.
        assert np.sqrt(np.mean(stated)) == pytest.approx(rms, rel=0.35)
    else:
        # Never too small; chance jumps add 2 % of the variance of a row of its own.
        assert rms**2 < np.mean(stated) < rms**2 + 0.04 * ROW_NOISE**2
        # No line is off on average, the first ones of the start-up included: 4.5 sigma for 600 lines.
        assert np.abs(np.mean(errors, axis=0)).max() < 4.5 * np.std(errors, axis=0).max() / math.sqrt(200)


@pytest.mark.parametrize("jumps", [0.0, 0.5, 2.0])
def test_variance_counts_what_jumps_from_line_to_line(jumps: float) -> None:
    """What is left in the rows of the data, whose level jumps with that of the overscan."""
    left, stated, means, rng = [], [], [], np.random.default_rng(3)
    for _ in range(150):
        truth = rng.normal(0, jumps * ROW_NOISE, LINES)
        levels = _levels(_section(truth, rng))
        rows = 1000.3 + truth - levels.values
        left.append(rows)
        stated.append(levels.variance)
        means.append(rows.mean() / math.sqrt(levels.variance * levels.length / LINES))
        blocks = rows.reshape(-1, 5 * KNOTS).mean(axis=1)
        means += list(blocks / math.sqrt(levels.variance * levels.length / (5 * KNOTS)))
    assert np.mean(stated) == pytest.approx(np.mean(np.square(left)), abs=(0.04 + 0.03 * jumps**2) * ROW_NOISE**2)
    # 750 means of many rows: 2.6 % at one sigma; over 5 knots jumps are not averaged out altogether.
    assert np.sqrt(np.mean(np.square(means))) == pytest.approx(1, abs=0.11 + 0.1 * jumps)


def test_read_noise_is_unbiased_whatever_the_baseline_does() -> None:
    """Pulls over 300 sections whose level starts up and jumps; limits for mean and rms at 0.5 % each."""
    pulls, rng = [], np.random.default_rng(4)
    for _ in range(300):
        baseline = _start_up(rng)[:100] + rng.normal(0, 1.0, 100)
        noise = _levels(_section(baseline, rng)).noise
        assert noise is not None
        pulls.append((noise.value - math.sqrt(SIGMA**2 + 1 / 12)) / noise.error)
    assert abs(np.mean(pulls)) < 2.81 / math.sqrt(300)
    assert abs(np.sqrt(np.mean(np.square(pulls))) - 1) < 2.81 / math.sqrt(600)


def test_hits_and_bleeding_do_not_pull_the_level() -> None:
    rng = np.random.default_rng(5)
    section = _section(_start_up(rng), rng)
    clean = _levels(section)
    section[100:140] += 300
    section[200:204] += 8 * ROW_NOISE
    section[::9, 7] += 5000
    levels = _levels(section)
    assert np.flatnonzero(levels.wild).tolist() == list(range(100, 140))
    away = np.r_[0:60, 150:190, 215:LINES]
    assert np.abs(levels.values - clean.values)[away].max() < 0.5 * ROW_NOISE
    # The gap is bridged by the spline's neighbours.
    assert np.abs(levels.spread(0, LINES)[100:140] - clean.values[100:140]).max() < 3 * ROW_NOISE


def test_the_step_of_the_level_is_reported() -> None:
    rng = np.random.default_rng(6)
    levels = _levels(_section(6.0 * (np.arange(LINES) >= 333), rng))
    assert levels.step is not None
    assert abs(levels.step.line - 333) <= 2
    assert levels.step.false_alarm < 1e-4
    quiet = _levels(_section(_still(rng), rng)).step
    assert quiet is not None
    assert quiet.false_alarm > 1e-3


def test_few_lines_keep_their_own_levels() -> None:
    rng = np.random.default_rng(7)
    section = _section(np.zeros(6), rng)
    levels = _levels(section)
    np.testing.assert_allclose(levels.values, section.mean(axis=1))
    assert levels.length == 1.0
    short = _levels(_section(np.zeros(12), rng))
    assert short.variance < ROW_NOISE**2
    assert fit_spline(np.full(100, np.nan), 10) is None


def test_noiseless_levels_are_fitted_exactly() -> None:
    levels = np.linspace(3.0, 5.0, 200)
    found = fit_spline(levels, 20)
    assert found is not None
    np.testing.assert_allclose(found.values, levels, atol=1e-9)


@pytest.mark.parametrize(
    "rule", [{"method": "spline"}, {"method": "mean", "knots": 30}, {"method": "spline", "knots": 3}]
)
def test_a_spline_and_only_it_has_knots(rule: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="knots"):
        OverscanRule.model_validate(rule)


def test_columns_take_no_spline_and_other_rules_keep_their_recipes() -> None:
    with pytest.raises(ValidationError, match="for serial overscan"):
        OverscanRules(parallel=OverscanRule(method="spline", knots=30))
    assert OverscanRule().model_dump() == {"method": "median_per_line", "skip_leading": 3, "skip_trailing": 0}
    assert OverscanRule(method="spline", knots=30).model_dump()["knots"] == 30
