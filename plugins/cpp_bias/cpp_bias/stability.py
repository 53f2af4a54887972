"""Stability of the bias over the exposures (B6): how far the level of an amplifier wanders, and how often it jumps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from cpp_bias.limits import FALSE_ALARM, limits_of
from cpp_bias.residual import AmplifierResidual
from cpp_framework.model import Check, Level, VerifyContext
from cpp_framework.stats.steps import largest_step

LEVEL, SHIFTS = "B6_stability", "B6_shifts"
PERCENTILES = (5, 95)
LEAST_EXPOSURES = 4
_DRAWS = 4000


@dataclass(frozen=True)
class _Exposure:
    """One exposure in one amplifier: mean less that of the product and its variance, and the step there is, if any."""

    mean: float
    variance: float
    step: str


@dataclass
class Stability:
    """Gathers levels and steps of all exposures by amplifier."""

    amplifiers: dict[str, list[_Exposure]] = field(default_factory=dict)

    def add(self, one: AmplifierResidual, stacked: bool) -> None:
        """Take in one amplifier of one exposure; ``stacked`` says whether it is in the product."""
        # Of a stacked exposure the held-out residual is e·n/(n−1); e itself scatters like the exposures.
        mean = one.moments.mean / one.factor if stacked else one.moments.mean
        seen = _Exposure(mean, one.noise.of_mean(one.moments.n, *one.values.shape), _step(one))
        self.amplifiers.setdefault(one.amplifier.name, []).append(seen)

    def checks(self, ctx: VerifyContext) -> Iterator[Check]:
        """B6 per amplifier."""
        for amplifier, exposures in self.amplifiers.items():
            where = {"level": Level.RUN, "detector": ctx.detector.id, "amplifier": amplifier}
            yield _wandering(exposures, where, ctx)
            steps = [one.step for one in exposures if one.step]
            yield Check(
                name=SHIFTS,
                value=len(steps) / len(exposures),
                # What was seen is seen; only noise that passes for a step is uncertain.
                error=math.sqrt(FALSE_ALARM / len(exposures)),
                expected=0.0,
                unit="1",
                reason=f"{len(steps)} of {len(exposures)} exposures" + "".join(f"; {step}" for step in steps[:5]),
                **limits_of(ctx, SHIFTS),
                **where,
            )


def _step(one: AmplifierResidual) -> str:
    """Say where the level of the overscan, or without it that of the rows, makes a step; empty if it does not."""
    record = one.record
    if record.step is not None and record.step_alarm is not None:
        size, row, alarm = record.step, record.step_row, record.step_alarm
    else:
        found = largest_step(one.profiles.rows)
        if found is None:
            return ""
        size, row, alarm = found.size, found.line, found.false_alarm
    return f"{one.exposure} by {size:.2g} adu from row {row} on" if alarm < FALSE_ALARM else ""


def _wandering(exposures: list[_Exposure], where: dict[str, object], ctx: VerifyContext) -> Check:
    if len(exposures) < LEAST_EXPOSURES:
        return Check(name=LEVEL, skipped=f"{len(exposures)} exposures here; it takes {LEAST_EXPOSURES}", **where)
    low, high = np.percentile([one.mean for one in exposures], PERCENTILES)
    noise = math.sqrt(float(np.mean([one.variance for one in exposures])))
    expected, error = _range_of_noise(len(exposures))
    return Check(
        name=LEVEL,
        value=float(high - low),
        error=error * noise,
        expected=expected * noise,
        unit="adu",
        reason=f"{len(exposures)} exposures; their noise alone makes {expected * noise:.2g} ± {error * noise:.1g}",
        **limits_of(ctx, LEVEL),
        **where,
    )


@cache
def _range_of_noise(n: int) -> tuple[float, float]:
    """Mean and standard deviation of the 95th minus the 5th percentile of n Gaussian numbers, by simulation."""
    draws = np.random.default_rng(n).standard_normal((_DRAWS, n))
    low, high = np.percentile(draws, PERCENTILES, axis=1)
    return float(np.mean(high - low)), float(np.std(high - low))
