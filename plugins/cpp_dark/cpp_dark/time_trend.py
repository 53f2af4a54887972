"""Linearity in time (D6): residual levels must not follow the dark time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from cpp_dark.estimator import Float
from cpp_dark.level_checks import mean_variance
from cpp_dark.limits import limits_of, scale_of
from cpp_dark.product import Dark
from cpp_dark.residual import AmplifierResidual, Judge, live_amplifiers
from cpp_framework.model import Amplifier, Check, Level, VerifyContext

NAME = "D6_linearity"


@dataclass(frozen=True)
class _Point:
    time: float
    mean: float
    own_variance: float
    """Of the level of one sample set, without the held-out factor."""


@dataclass
class TimeTrend:
    """Gathers the mean residual of each exposure, and fits a line through them."""

    product: Dark
    ctx: VerifyContext
    judge: Judge
    points: dict[str, dict[str, _Point]] = field(default_factory=dict)

    def add(self, one: AmplifierResidual) -> None:
        """Take in one amplifier of one exposure of the stack."""
        if one.exposure in self.product.stacked:
            leverage = self._leverages(one.amplifier.name)[one.exposure]
            point = _Point(one.scale, one.moments.mean, mean_variance(one) * (1 - leverage))
            self.points.setdefault(one.amplifier.name, {})[one.exposure] = point

    def checks(self) -> Iterator[Check]:
        """D6 per amplifier."""
        for amp in live_amplifiers(self.product, self.ctx.detector):
            numbers = self._numbers(amp)
            yield Check(
                name=NAME,
                level=Level.RUN,
                detector=self.ctx.detector.id,
                amplifier=amp.name,
                **limits_of(self.ctx, NAME),
                **numbers,
            )

    def _numbers(self, amp: Amplifier) -> dict[str, object]:
        points = self.points.get(amp.name, {})
        times = np.array([point.time for point in points.values()])
        scale = scale_of(self.ctx, NAME, self.product, amp.name)
        if self.product.relative:
            return {"skipped": "the level of each exposure was fitted"}
        if self.product.zero.size:
            return {"skipped": "zero and rate were fitted to these levels: a slope cannot be left"}
        if np.unique(times).size < 2:
            return {"skipped": "all exposures have one dark time"}
        if scale is None:
            return {"skipped": "no gain of this amplifier is known, and no limit is set in adu"}
        slope, error = self._slope(amp, points)
        factor, unit = scale
        reason = f"dark times {times.min():g} to {times.max():g} s"
        return {
            "value": slope * factor,
            "error": error * factor,
            "unit": f"{unit}/s",
            "expected": 0.0,
            "reason": reason,
        }

    def _slope(self, amp: Amplifier, points: dict[str, _Point]) -> tuple[float, float]:
        """Weighted slope of the residuals with time, and its error.

        Residuals of one stack are not independent: r = D(1 − H)x with the hat matrix H of the fit and D = 1/(1 − h).
        """
        product = self.product
        index = [product.stacked.index(name) for name in points]
        s, w = product.scales[index], product.weights[index]
        means = np.array([point.mean for point in points.values()])
        variances = np.array([point.own_variance for point in points.values()])
        arms = s - np.sum(w * s) / np.sum(w)
        slope = w * arms / np.sum(w * arms**2)
        hat: Float = np.outer(s, w * s) / np.sum(w * s**2)
        held = 1 - np.diag(hat)
        towards = (slope / held) @ (np.eye(s.size) - hat)
        _, of_bias = self.judge.bias_error(amp)
        variance = float(np.sum(towards**2 * variances)) + (float(np.sum(towards)) * of_bias) ** 2
        return float(slope @ means), math.sqrt(variance)

    def _leverages(self, amplifier: str) -> dict[str, float]:
        used = np.flatnonzero(self.judge.stacked_in(amplifier))
        s, w = self.product.scales[used], self.product.weights[used]
        leverages = w * s**2 / np.sum(w * s**2)
        return {self.product.stacked[k]: float(h) for k, h in zip(used, leverages, strict=True)}
