"""Halves of the stack (B5): even minus odd exposures, in which the product cancels, against the predicted noise.

For a used sample the held-out residual is r_k = e_k·n/(n−1) with e_k = x_k − P, so e_k = r_k divided by its variance
factor. The mean of e_k over the even exposures minus that over the odd ones is the difference of the means of x_k:
P, common to both, drops out. The used r_k of a pixel sum to zero, so no other mean over exposures carries news.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cpp_bias.limits import limits_of
from cpp_bias.product import Bias
from cpp_bias.residual import NO_OVERSCAN, expected_noise, is_refused, live_amplifiers
from cpp_framework.model import Amplifier, Check, Level, ResidualFrame, VerifyContext
from cpp_framework.stats import FrameNoise, clipped_moments, profiles

NOISE, MEAN = "B5_halves_noise", "B5_halves_mean"


@dataclass
class _Half:
    """Sum and count ``[y, x]`` of one half, and the expected noise of its exposures by amplifier."""

    sum: NDArray[np.float32]
    count: NDArray[np.uint16]
    noises: dict[str, list[FrameNoise]] = field(default_factory=dict)
    circular: set[str] = field(default_factory=set)
    """Amplifiers whose expected noise was measured on the exposures themselves."""


class Halves:
    """Gathers even and odd exposures of the stack, counted in the order of the stack."""

    def __init__(self, product: Bias, ctx: VerifyContext) -> None:
        shape = product.image.shape
        self._product = product
        self._ctx = ctx
        self._halves = [_Half(np.zeros(shape, np.float32), np.zeros(shape, np.uint16)) for _ in range(2)]

    def add(self, frame: ResidualFrame) -> None:
        """Take in one exposure; those outside the stack do not count."""
        product, exposure = self._product, frame.exposure.id
        if exposure not in product.stacked:
            return
        half = self._halves[product.stacked.index(exposure) % 2]
        used = np.isfinite(frame.residual) & ~product.rejected_mask(exposure)
        half.sum += np.where(used, frame.residual / frame.variance_factor, np.float32(0))
        half.count += used
        for amp in live_amplifiers(product, self._ctx.detector):
            if not is_refused(product, exposure, amp.name):
                if frame.records[amp.name].read_noise is None:
                    half.circular.add(amp.name)
                half.noises.setdefault(amp.name, []).append(expected_noise(frame, product, amp))

    def checks(self) -> Iterator[Check]:
        """B5 per amplifier: the scatter of the difference, and its mean."""
        for amp in live_amplifiers(self._product, self._ctx.detector):
            exposures = [len(half.noises.get(amp.name, [])) for half in self._halves]
            if min(exposures) < 2:
                reason = f"{exposures[0]} even and {exposures[1]} odd exposures here; it takes two of each"
                yield self._check(NOISE, amp, skipped=reason)
                yield self._check(MEAN, amp, skipped=reason)
            else:
                yield from self._judge(amp)

    def _judge(self, amp: Amplifier) -> Iterator[Check]:
        even, odd = ([*half.noises[amp.name]] for half in self._halves)
        sums, counts = zip(
            *((half.sum[amp.box.slices], half.count[amp.box.slices]) for half in self._halves), strict=True
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            weight = [1.0 / count for count in counts]
            difference = sums[0] * weight[0] - sums[1] * weight[1]
            variance = _mean_variance(even, amp) * weight[0] + _mean_variance(odd, amp) * weight[1]
            difference[~np.isfinite(variance)] = np.nan
            pull = clipped_moments(difference / np.sqrt(variance))
        relative = math.sqrt(sum(noise.relative_error**2 for noise in even + odd)) / len(even + odd)
        relative = math.hypot(relative, max(noise.lines_error(*amp.box.shape) for noise in even + odd))
        if any(amp.name in half.circular for half in self._halves):
            yield self._check(NOISE, amp, skipped=NO_OVERSCAN)
        else:
            error = math.hypot(pull.std_error, pull.std * relative)
            yield self._check(NOISE, amp, value=pull.std, error=error, expected=1.0, unit="1")
        mean, error = clipped_moments(difference).mean, _error_of_mean(difference, even, odd)
        yield self._check(
            MEAN,
            amp,
            value=mean / error,
            error=1.0,
            expected=0.0,
            unit="sigma",
            reason=f"difference {mean:.3g} ± {error:.2g} adu",
        )

    def _check(self, name: str, amp: Amplifier, **numbers: object) -> Check:
        limits = limits_of(self._ctx, name)
        return Check(
            name=name, level=Level.RUN, detector=self._ctx.detector.id, amplifier=amp.name, **limits, **numbers
        )


def _mean_variance(noises: list[FrameNoise], amp: Amplifier) -> float:
    return sum(noise.within(*amp.box.shape) for noise in noises) / len(noises)


def _error_of_mean(difference: NDArray[np.float64], even: list[FrameNoise], odd: list[FrameNoise]) -> float:
    """Error of the mean difference: the model's, or what the scatter of row or column means says if that is more.

    Real detectors have noise that whole rows or columns share beyond what the overscan level brings.
    """
    rows, columns = difference.shape
    pixels = int(np.count_nonzero(np.isfinite(difference)))
    model = sum(noise.of_mean(pixels, rows, columns) / len(half) ** 2 for half in (even, odd) for noise in half)
    profile = profiles(difference)
    seen = [np.nanvar(profile.rows, ddof=1) / rows, np.nanvar(profile.columns, ddof=1) / columns]
    return math.sqrt(max(model, *seen))
