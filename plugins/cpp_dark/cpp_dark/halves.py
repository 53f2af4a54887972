"""Halves of the stack (D5): rate of the even minus that of the odd exposures, in which the product cancels.

For a used sample the held-out residual is r_k = e_k/(1 − h_k) with e_k = x_k − s_k P (− Z) − o_k and 1/(1 − h_k) its
variance factor, so e_k = r_k divided by that. The rate of a half is Σ c_k x_k over its exposures with the factors c of
its own fit (`rate_coefficients`), for which Σ c_k s_k = 1 (and Σ c_k = 0 where a zero is fitted): in the difference of
the halves' Σ c_k e_k the product, common to both, drops out. Pixels with a rejected sample are left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cpp_dark.estimator import Float, rate_coefficients
from cpp_dark.limits import limits_of
from cpp_dark.product import Dark
from cpp_dark.residual import Judge, live_amplifiers
from cpp_framework.model import Amplifier, Check, Level, ResidualFrame, VerifyContext
from cpp_framework.stats import FrameNoise, clipped_moments, profiles

NOISE, MEAN = "D5_halves_noise", "D5_halves_mean"


@dataclass
class _Amplifier:
    """What is known of one amplifier: the factors of its exposures, and their noise as frames come in."""

    factors: dict[str, float]
    counts: tuple[int, int]
    shared: float
    """Factor with which the error of the bias stays in the difference."""
    noises: dict[str, FrameNoise] = field(default_factory=dict)
    signals: dict[str, float] = field(default_factory=dict)
    circular: str = ""
    """Why the noise cannot be judged."""


class Halves:
    """Gathers the difference of the halves; exposures with a dark time are counted in the order of the stack."""

    def __init__(self, product: Dark, ctx: VerifyContext, judge: Judge) -> None:
        self._product = product
        self._ctx = ctx
        self._judge_residuals = judge
        self._difference = np.zeros(product.image.shape, np.float32)
        live = live_amplifiers(product, ctx.detector)
        self._amplifiers = {amp.name: self._prepare(judge.stacked_in(amp.name)) for amp in live}

    def _prepare(self, used: NDArray[np.bool_]) -> _Amplifier:
        """Factors of the exposures used in an amplifier: even ones as they are, odd ones negative."""
        product, joint = self._product, self._product.zero.size > 0
        counted = used & (product.scales > 0)
        number = np.cumsum(counted) - 1
        factors: dict[str, float] = {}
        sums, counts = [], []
        for parity, sign in ((0, 1.0), (1, -1.0)):
            # Bias exposures, of dark time 0, tell the zero to both halves.
            half = (counted & (number % 2 == parity)) | (used & ~counted & joint)
            own = sign * rate_coefficients(product.scales[half], product.weights[half], joint=joint)
            for k, factor in zip(np.flatnonzero(half), own, strict=True):
                name = product.stacked[k]
                factors[name] = factors.get(name, 0.0) + float(factor)
            sums.append(float(np.sum(own)))
            counts.append(int(np.sum(half & counted)))
        return _Amplifier(factors, (counts[0], counts[1]), sums[0] + sums[1])

    def add(self, frame: ResidualFrame) -> None:
        """Take in one exposure; those outside the stack do not count."""
        exposure = frame.exposure.id
        if exposure not in self._product.stacked:
            return
        left_out = self._product.rejected_mask(exposure)
        for amp in live_amplifiers(self._product, self._ctx.detector):
            own = self._amplifiers[amp.name]
            if exposure not in own.factors:
                continue
            box = amp.box.slices
            deviation = frame.residual[box] / frame.variance_factor[box]
            deviation[left_out[box]] = np.nan
            self._difference[box] += np.float32(own.factors[exposure]) * deviation
            own.noises[exposure] = self._judge_residuals.sample_noise(frame, amp)
            own.circular = own.circular or self._judge_residuals.circular(frame, amp.name)
            own.signals[exposure] = frame.scale * self._judge_residuals.poisson(amp.name)

    def checks(self) -> Iterator[Check]:
        """D5 per amplifier: the scatter of the difference, and its mean."""
        for amp in live_amplifiers(self._product, self._ctx.detector):
            own = self._amplifiers[amp.name]
            factors = np.array(list(own.factors.values()))
            reason = ""
            if min(own.counts) < 2:
                reason = f"{own.counts[0]} even and {own.counts[1]} odd exposures here; it takes two of each"
            elif not np.all(np.isfinite(factors)):
                reason = "a half has exposures of one dark time only, which do not tell zero and rate apart"
            if reason:
                yield self._check(NOISE, amp, skipped=reason)
                yield self._check(MEAN, amp, skipped=reason)
            else:
                yield from self._judge(amp, own)

    def _judge(self, amp: Amplifier, own: _Amplifier) -> Iterator[Check]:
        rows, columns = amp.box.height, amp.box.width
        difference = self._difference[amp.box.slices]
        names = list(own.noises)
        squares: Float = np.array([own.factors[name] ** 2 for name in names])
        within = np.array([own.noises[name].within(rows, columns) for name in names])
        poisson = np.array([own.signals[name] for name in names])
        bias, bias_level = (own.shared * error for error in self._judge_residuals.bias_error(amp))
        rate = self._judge_residuals.noise_rate[amp.box.slices]
        variance = float(squares @ within) + float(squares @ poisson) * rate + bias**2
        pull = clipped_moments(difference / np.sqrt(variance))
        relative = np.array([own.noises[name].relative_error for name in names])
        parts = squares * within
        error = math.sqrt(float(np.sum((parts * relative) ** 2))) / float(np.nanmedian(variance))
        lines = max(own.noises[name].lines_error(rows, columns) for name in names)
        error = pull.std * math.hypot(error, lines)
        if own.circular:
            yield self._check(NOISE, amp, skipped=own.circular)
        else:
            error = math.hypot(pull.std_error, error)
            yield self._check(NOISE, amp, value=pull.std, error=error, expected=1.0, unit="1")
        if self._product.relative:
            yield self._check(MEAN, amp, skipped="the level of each exposure was fitted")
            return
        mean = clipped_moments(difference)
        pixel = float(np.nanmedian(variance)) / max(mean.n, 1)
        levels = np.array([own.noises[name].of_mean(1 << 62, rows, columns) for name in names])
        expected = _error_of_mean(difference, pixel + float(squares @ levels) + bias_level**2)
        yield self._check(
            MEAN,
            amp,
            value=mean.mean / expected,
            error=1.0,
            expected=0.0,
            unit="sigma",
            reason=f"difference {mean.mean:.3g} ± {expected:.2g} {self._product.unit}",
        )

    def _check(self, name: str, amp: Amplifier, **numbers: object) -> Check:
        limits = limits_of(self._ctx, name)
        return Check(
            name=name, level=Level.RUN, detector=self._ctx.detector.id, amplifier=amp.name, **limits, **numbers
        )


def _error_of_mean(difference: NDArray[np.float32], model: float) -> float:
    """Error of the mean difference: the model's, or what the scatter of row or column means says if that is more.

    Real detectors have noise that whole rows or columns share beyond what the overscan level brings.
    """
    rows, columns = difference.shape
    profile = profiles(difference)
    seen = [np.nanvar(profile.rows, ddof=1) / rows, np.nanvar(profile.columns, ddof=1) / columns]
    return math.sqrt(max(model, *seen))
