"""Stability (F7): even against odd exposures of the stack, in which the flat cancels, and the previous flat."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cpp_flat.blocks import median_map
from cpp_flat.limits import limits_of
from cpp_flat.product import Flat
from cpp_flat.residual import is_refused, live_amplifiers, sample_variance
from cpp_framework.model import UNUSABLE, Check, Level, ResidualFrame, VerifyContext

Float = NDArray[np.float32]
HALVES, PREVIOUS = "F7_halves", "F7_previous"


class Halves:
    """Gathers even and odd exposures of the stack, counted in the order of the stack.

    For a used sample the held-out residual divided by its variance factor is e_k = x_k − s_k·P. The flat of one half
    minus P is Σ w s e / Σ w s² over that half: P drops out of the difference of the halves. The sum of w s e over all
    used samples is zero, so no other combination over exposures carries news.
    """

    def __init__(self, product: Flat, ctx: VerifyContext) -> None:
        shape = product.image.shape
        self._product, self._ctx = product, ctx
        self._signal, self._weight, self._variance = (np.zeros((2, *shape), np.float32) for _ in range(3))
        self._count = [0, 0]

    def add(self, frame: ResidualFrame) -> None:
        """Take in one exposure; those outside the stack do not count."""
        product, exposure = self._product, frame.exposure.id
        if exposure not in product.stacked:
            return
        index = product.stacked.index(exposure)
        half, weight = index % 2, np.float32(product.weights[index])
        self._count[half] += 1
        left_out = product.rejected_mask(exposure)
        for amp in live_amplifiers(product, self._ctx.detector):
            if is_refused(product, exposure, amp.name):
                continue
            box = (half, *amp.box.slices)
            model = frame.model[amp.box.slices]
            with np.errstate(divide="ignore", invalid="ignore"):
                deviation = frame.residual[amp.box.slices] / frame.variance_factor[amp.box.slices]
                light = model / product.image[amp.box.slices]
                used = np.isfinite(deviation) & ~left_out[amp.box.slices] & np.isfinite(light)
            variance = sample_variance(product, amp, model)
            self._signal[box] += np.where(used, weight * light * deviation, np.float32(0))
            self._weight[box] += np.where(used, weight * light**2, np.float32(0))
            self._variance[box] += np.where(used, (weight * light) ** 2 * variance, np.float32(0))

    def check(self) -> Check:
        """The rms of block medians of the difference, over the response."""
        if min(self._count) < 2:
            reason = f"{self._count[0]} even and {self._count[1]} odd exposures here; it takes two of each"
            return Check(name=HALVES, level=Level.RUN, detector=self._ctx.detector.id, skipped=reason)
        with np.errstate(divide="ignore", invalid="ignore"):
            flats = self._signal / self._weight
            variance = np.sum(self._variance / self._weight**2, axis=0)
            difference = (flats[0] - flats[1]) / self._product.image
            sigma = np.sqrt(variance) / np.abs(self._product.image)
        return _rms_check(
            HALVES, difference, sigma, self._ctx, f"{self._count[0]} even and {self._count[1]} odd exposures"
        )


def previous_check(product: Flat, ctx: VerifyContext) -> Check:
    """F7 against the flat this one would replace: the rms of block medians of their ratio, its median taken out."""
    before = ctx.previous
    where = {"level": Level.RUN, "detector": ctx.detector.id}
    if not isinstance(before, Flat) or before.image.shape != product.image.shape:
        return Check(name=PREVIOUS, skipped="there is no previous flat of the same pixels", **where)
    good = ((product.mask | before.mask) & np.uint32(UNUSABLE)) == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(good, product.image / before.image, np.float32(np.nan))
        sigma = ratio * np.hypot(product.error / product.image, before.error / before.image)
    if not good.any():
        return Check(name=PREVIOUS, skipped="no pixel is good in both flats", **where)
    return _rms_check(PREVIOUS, ratio - np.nanmedian(ratio), sigma, ctx, "ratio to the previous flat")


def _rms_check(name: str, difference: Float, sigma: Float, ctx: VerifyContext, reason: str) -> Check:
    where = {"level": Level.RUN, "detector": ctx.detector.id}
    blocks = median_map(ctx.detector, difference, sigma)
    n = blocks.values.size
    if n == 0:
        return Check(name=name, skipped="no block has enough good pixels", **where)
    # Rms of n Gaussian numbers of unequal σ: the variance of the mean square is 2·Σσ⁴/n².
    expected = math.sqrt(float(np.mean(blocks.noise**2)))
    error = math.sqrt(2 * float(np.sum(blocks.noise**4))) / n / (2 * expected)
    return Check(
        name=name,
        value=math.sqrt(float(np.mean(blocks.values**2))),
        error=error,
        expected=expected,
        unit="1",
        reason=f"{reason}; {n} blocks",
        **limits_of(ctx, name),
        **where,
    )
