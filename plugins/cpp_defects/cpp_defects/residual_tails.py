"""How many residuals of unmasked pixels are beyond 4, 5 and 6 sigma: unstable pixels nobody masked show there (X4)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cpp_defects.limits import limits_of
from cpp_defects.product import Defects
from cpp_defects.rules import electrons_per_unit
from cpp_framework.model import UNUSABLE, Amplifier, Check, Image, ImageProduct, Level, ResidualFrame, VerifyContext
from cpp_framework.stats import clipped_moments
from cpp_framework.stats.residuals import HeldOut

TAILS = (4.0, 5.0, 6.0)
NAME = "X4_tails"

LEAST_VARIANCE = 0.1
"""A pixel's variance is at least this part of its amplifier's: the share of its signal in it is known roughly only."""


class ResidualTails:
    """Counts held-out residuals of the frames of one kind.

    A sample the stack rejected does not count: cosmic rays are in it. A pixel that scatters does, because the stack
    rejects by a pixel's own scatter where it has four samples or more.
    """

    def __init__(self, kind: str, product: Defects, ctx: VerifyContext) -> None:
        need = ctx.needs[kind]
        assert isinstance(need, ImageProduct)
        self._kind, self._need, self._ctx = kind, need, ctx
        self._held_out = HeldOut(need, ctx.detector)
        self._good = product.mask == 0
        self._counts = np.zeros(len(TAILS), np.int64)
        self._samples = 0

    def add(self, image: Image) -> None:
        """Count the samples of one frame, where the stack used them."""
        exposure, need = image.exposure, self._need
        if exposure is None or exposure.id not in need.stacked:
            return
        samples = np.where(image.mask & np.uint32(UNUSABLE), np.float32(np.nan), image.data)
        frame = self._held_out.frame(exposure, samples, image.records)
        used = self._good & ~need.rejected_mask(exposure.id)
        for amp in self._ctx.detector.amplifiers:
            if exposure.id in need.refused or f"{exposure.id}/{amp.name}" in need.refused:
                continue
            # A bias has no Poisson noise.
            gain = math.inf if self._kind == "bias" else electrons_per_unit(image.unit, amp)
            self._add(frame, used[amp.box.slices], amp, gain)

    def _add(self, frame: ResidualFrame, used: NDArray[np.bool_], amp: Amplifier, gain: float) -> None:
        box = amp.box.slices
        white = np.where(used, frame.residual[box], np.float32(np.nan)) / np.sqrt(frame.variance_factor[box])
        variance = clipped_moments(white).std ** 2
        if not variance > 0:
            return
        model = frame.model[box]
        # The scatter of the amplifier is that of its typical pixel: brighter ones have more Poisson noise.
        more = (model - np.nanmedian(model)) / np.float32(gain)
        z = np.abs(white) / np.sqrt(np.maximum(variance + more, LEAST_VARIANCE * variance))
        self._samples += int(np.count_nonzero(np.isfinite(z)))
        self._counts += [np.count_nonzero(z > tail) for tail in TAILS]

    def checks(self) -> Iterator[Check]:
        """X4, one per tail, over all frames of the kind."""
        where = {"name": NAME, "level": Level.DETECTOR, "detector": self._ctx.detector.id}
        if self._samples == 0:
            yield Check(skipped=f"no {self._kind} frame has a held-out residual", **where)
            return
        for tail, count in zip(TAILS, self._counts, strict=True):
            expected = self._samples * math.erfc(tail / math.sqrt(2))
            yield Check(
                value=count / expected,
                error=math.sqrt(max(int(count), 1)) / expected,
                expected=1.0,
                unit="1",
                reason=f"{count} samples of {self._kind} frames beyond {tail:g} sigma, {expected:.3g} expected",
                **limits_of(self._ctx, NAME),
                **where,
            )
