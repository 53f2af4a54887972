"""Which pixels deviate in the frames: what completeness and purity are judged by.

In one frame a pixel is off for certain if it is beyond the threshold of its rule by 3 sigma and beyond its surroundings
by 6; it deviates if it is so in a third of the frames. A masked pixel may be off if its mean over the frames is not
short of the threshold by more than 3 errors of that mean. Sigma is the scatter of the amplifier in the frame and the
Poisson noise of what the pixel has more than the typical one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cpp_defects.config import DefectsConfig
from cpp_defects.deviation import OF, Deviation, even_part, in_sigma
from cpp_defects.limits import share
from cpp_defects.product import MEASURED, Defects
from cpp_defects.rules import electrons_per_unit
from cpp_framework.model import UNUSABLE, Amplifier, Check, Image, Level, Mask, VerifyContext
from cpp_framework.stats import clipped_moments

MARGIN = 3.0
SIGNIFICANT = 6.0
FRAMES = 3
"""A pixel deviates if it is off for certain in so many frames of a kind, and in a third of them: cosmic rays are not,
and of many frames a pixel just short of the threshold is beyond it in some."""

Flags = NDArray[np.bool_]
Plane = NDArray[np.float32]
COMPLETENESS, PURITY = "X1_completeness", "X2_purity"


class _Sums:
    """Sums over the frames of one kind, ``[y, x]``, and the thresholds of each amplifier."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.frames = 0
        self.certain = np.zeros(shape, np.uint16)
        self.samples = np.zeros(shape, np.uint16)
        self.deviation = np.zeros(shape, np.float32)
        self.variance = np.zeros(shape, np.float32)
        self.thresholds: dict[str, tuple[float, float]] = {}


class Deviants:
    """Looks, frame by frame, which pixels deviate."""

    def __init__(self, product: Defects, ctx: VerifyContext) -> None:
        assert isinstance(ctx.config, DefectsConfig)
        self._product, self._ctx, self._config = product, ctx, ctx.config
        self._frames: dict[str, int] = {}
        self._deviant = np.zeros(product.mask.shape, bool)
        self._maybe = np.zeros(product.mask.shape, bool)
        self._judged = np.ones(product.mask.shape, bool)
        self._weak: dict[str, str] = {}

    def add_kind(self, kind: str, images: Iterator[Image]) -> Iterator[Image]:
        """Add the frames of one kind; hand them on to whoever else wants to see them."""
        sums = _Sums(self._product.mask.shape)
        for image in images:
            sums.frames += self._add(kind, image, sums)
            yield image
        self._frames[kind] = sums.frames
        self._deviant |= sums.certain >= max(FRAMES, -(-sums.frames // 3))
        for amp in self._ctx.detector.amplifiers:
            if amp.name in sums.thresholds:
                self._judge_means(kind, amp, sums)

    def _add(self, kind: str, image: Image, sums: _Sums) -> bool:
        """Add one frame; false if it tells nothing (a dark of no time)."""
        time = image.exposure.dark_time if kind == "dark" and image.exposure is not None else 1.0
        if time <= 0:
            return False
        for amp in self._ctx.detector.amplifiers:
            box = amp.box.slices
            values = np.where(image.mask[box] & np.uint32(UNUSABLE), np.float32(np.nan), image.data[box])
            values /= np.float32(time)
            if np.isnan(values).all():
                continue
            gain = electrons_per_unit(image.unit, amp)
            # A bias has no Poisson noise.
            excess = np.zeros_like(values) if kind == "bias" else _excess_noise(values, gain * time)
            deviation = OF[kind](values, excess, gain, self._config)
            sigma = np.hypot(np.float32(clipped_moments(deviation.local).std), deviation.errors)
            if self._config.mode == "sigma":
                deviation = in_sigma(deviation, self._config.n_sigma)
            usable = np.isfinite(deviation.pixels)
            sums.certain[box] += _off_for_certain(deviation, sigma)
            sums.samples[box] += usable
            sums.deviation[box] += np.where(usable, deviation.pixels, 0)
            sums.variance[box] += np.where(usable, sigma**2, 0)
            sums.thresholds[amp.name] = deviation.high, deviation.low
        return True

    def _judge_means(self, kind: str, amp: Amplifier, sums: _Sums) -> None:
        """Find the pixels of an amplifier whose means may be off, and whether means of this kind can tell."""
        box = amp.box.slices
        samples = sums.samples[box].astype(np.float32)
        samples[samples == 0] = np.nan
        mean = sums.deviation[box] / samples
        error = np.asarray(np.sqrt(sums.variance[box]) / samples, np.float32)
        high, low = sums.thresholds[amp.name]
        if self._config.mode == "sigma":
            limit = self._config.n_sigma * clipped_moments(mean).std
            high, low = (limit if np.isfinite(one) else np.inf for one in (high, low))
        typical = float(np.nanmedian(even_part(error)))
        if min(high, low) < SIGNIFICANT * typical:
            self._weak.setdefault(
                kind, f"the threshold is {min(high, low) / typical:.1f} errors of a mean of {sums.frames} {kind} frames"
            )
        self._maybe[box] |= (mean > high - MARGIN * error) | (mean < -low + MARGIN * error)
        self._judged[box] &= np.isfinite(mean)

    def checks(self) -> Iterator[Check]:
        """X1 and X2."""
        where = {"level": Level.DETECTOR, "detector": self._ctx.detector.id}
        alive = (self._product.mask & np.uint32(Mask.DEAD_AMPLIFIER)) == 0
        if why := self._why_no_completeness():
            yield Check(name=COMPLETENESS, skipped=why, **where)
        else:
            deviant = self._deviant & alive
            masked = int(np.count_nonzero(deviant & (self._product.mask != 0)))
            yield self._share(COMPLETENESS, masked, int(np.count_nonzero(deviant)), "deviant pixels are masked", 1.0)
        if why := self._why_no_purity():
            yield Check(name=PURITY, skipped=why, **where)
        else:
            measured = ((self._product.mask & np.uint32(MEASURED)) != 0) & alive & self._judged
            never = int(np.count_nonzero(measured & ~self._maybe))
            whole = int(np.count_nonzero(measured))
            yield self._share(PURITY, never, whole, "masked hot and cold pixels never deviate", 0.0)

    def _why_no_completeness(self) -> str:
        if not {"dark", "flat"} & set(self._ctx.needs):
            return "made without a dark and a flat: hot and cold pixels cannot be found"
        if max(self._frames.values(), default=0) < FRAMES:
            return f"no product has {FRAMES} exposures that can be read: {self._seen()}"
        return ""

    def _why_no_purity(self) -> str:
        if not self._frames or min(self._frames.values()) == 0:
            return f"exposures are missing: {self._seen()}"
        if self._weak:
            return f"good pixels cannot be told from bad ones: {', '.join(self._weak.values())}"
        return ""

    def _share(self, name: str, part: int, whole: int, what: str, of_none: float) -> Check:
        reason = f"{part} of {whole} {what}; {self._seen()}"
        numbers = share(self._ctx, name, part, whole) if whole else share(self._ctx, name, int(of_none), 1)
        return Check(name=name, level=Level.DETECTOR, detector=self._ctx.detector.id, reason=reason, **numbers)

    def _seen(self) -> str:
        return ", ".join(f"{n} {kind} frames" for kind, n in self._frames.items()) or "none"


def _excess_noise(values: Plane, electrons: float) -> Plane:
    """Poisson noise of what pixels have above the typical one, in their unit (of so many electrons); 0 if below."""
    above = values - np.float32(np.nanmedian(even_part(values)))
    return np.asarray(np.sqrt(np.maximum(above, 0) / np.float32(electrons)), np.float32)


def _off_for_certain(deviation: Deviation, sigma: Plane) -> Flags:
    margin, pixels = np.float32(MARGIN) * sigma, deviation.pixels
    beyond = (pixels > deviation.high + margin) | (pixels < -deviation.low - margin)
    return np.asarray(beyond & (np.abs(deviation.local) > np.float32(SIGNIFICANT) * sigma))
