"""Which pixels deviate in single frames: what completeness and purity are judged by.

In one frame a pixel is off for certain if it is beyond the threshold of its rule by 3 sigma and beyond its
surroundings by 6; it may be off if it is not short of the threshold by more than 3 sigma. Sigma is the scatter of the
amplifier in that frame.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cpp_defects.config import DefectsConfig
from cpp_defects.deviation import OF, Deviation, in_sigma
from cpp_defects.limits import share
from cpp_defects.product import MEASURED, Defects
from cpp_defects.rules import electrons_per_unit
from cpp_framework.model import UNUSABLE, Check, Image, Level, Mask, VerifyContext
from cpp_framework.stats import clipped_moments

MARGIN = 3.0
SIGNIFICANT = 6.0
FRAMES = 3
"""A pixel deviates if it is off for certain in so many frames of a kind: cosmic rays are not."""

Flags = NDArray[np.bool_]
COMPLETENESS, PURITY = "X1_completeness", "X2_purity"


class Deviants:
    """Counts, frame by frame, in which pixels deviate."""

    def __init__(self, product: Defects, ctx: VerifyContext) -> None:
        assert isinstance(ctx.config, DefectsConfig)
        self._product, self._ctx, self._config = product, ctx, ctx.config
        self._frames: dict[str, int] = {}
        self._deviant = np.zeros(product.mask.shape, bool)
        self._maybe = np.zeros(product.mask.shape, bool)
        self._certain = np.zeros(product.mask.shape, np.uint16)

    def add_kind(self, kind: str, images: Iterator[Image]) -> Iterator[Image]:
        """Count the frames of one kind; hand them on to whoever else wants to see them."""
        self._certain[:] = 0
        self._frames[kind] = 0
        for image in images:
            if self._add(kind, image):
                self._frames[kind] += 1
            yield image
        self._deviant |= self._certain >= FRAMES

    def _add(self, kind: str, image: Image) -> bool:
        """Count one frame; false if it tells nothing (a dark of no time)."""
        time = image.exposure.dark_time if kind == "dark" and image.exposure is not None else 1.0
        if time <= 0:
            return False
        for amp in self._ctx.detector.amplifiers:
            box = amp.box.slices
            values = np.where(image.mask[box] & np.uint32(UNUSABLE), np.float32(np.nan), image.data[box])
            if np.isnan(values).all():
                continue
            gain = electrons_per_unit(image.unit, amp)
            # The scatter of the frame takes the place of errors.
            deviation = OF[kind]((values / time).astype(np.float32), values, gain, self._config)
            sigma = clipped_moments(deviation.local).std
            certain, maybe = _off(deviation, sigma, self._config)
            self._certain[box] += certain
            self._maybe[box] |= maybe
        return True

    def checks(self) -> Iterator[Check]:
        """X1 and X2."""
        where = {"level": Level.DETECTOR, "detector": self._ctx.detector.id}
        alive = (self._product.mask & np.uint32(Mask.DEAD_AMPLIFIER)) == 0
        if max(self._frames.values(), default=0) < FRAMES:
            why = f"no product has {FRAMES} exposures that can be read: {self._seen()}"
            yield Check(name=COMPLETENESS, skipped=why, **where)
        else:
            deviant = self._deviant & alive
            masked = int(np.count_nonzero(deviant & (self._product.mask != 0)))
            yield self._share(COMPLETENESS, masked, int(np.count_nonzero(deviant)), "deviant pixels are masked", 1.0)
        if not self._frames or min(self._frames.values()) == 0:
            yield Check(name=PURITY, skipped=f"exposures are missing: {self._seen()}", **where)
        else:
            measured = ((self._product.mask & np.uint32(MEASURED)) != 0) & alive
            never = int(np.count_nonzero(measured & ~self._maybe))
            yield self._share(PURITY, never, int(np.count_nonzero(measured)), "hot and cold pixels never deviate", 0.0)

    def _share(self, name: str, part: int, whole: int, what: str, of_none: float) -> Check:
        reason = f"{part} of {whole} {what}; {self._seen()}"
        numbers = share(self._ctx, name, part, whole) if whole else share(self._ctx, name, int(of_none), 1)
        return Check(name=name, level=Level.DETECTOR, detector=self._ctx.detector.id, reason=reason, **numbers)

    def _seen(self) -> str:
        return ", ".join(f"{n} {kind} frames" for kind, n in self._frames.items()) or "none"


def _off(deviation: Deviation, sigma: float, config: DefectsConfig) -> tuple[Flags, Flags]:
    """Pixels that are off for certain, and those that may be."""
    if config.mode == "sigma":
        deviation = in_sigma(deviation, config.n_sigma)
    margin, pixels = MARGIN * sigma, deviation.pixels
    certain = (pixels > deviation.high + margin) | (pixels < -deviation.low - margin)
    certain &= np.abs(deviation.local) > SIGNIFICANT * sigma
    maybe = (pixels > deviation.high - margin) | (pixels < -deviation.low + margin)
    return certain, maybe
