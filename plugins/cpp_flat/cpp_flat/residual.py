"""One held-out exposure, flat-fielded: its residual as a fraction of the expected light, and the noise of that."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cpp_flat.product import Flat
from cpp_framework.model import Amplifier, AmplifierRecord, AmplifierStatus, Detector, ResidualFrame

Float = NDArray[np.float32]

HIT = 5.0
"""Residuals beyond this many of their σ from the amplifier's median are hits, not light."""


@dataclass(frozen=True)
class FlatFielded:
    """One exposure over what the flat made without it says, minus 1.

    ``ratio`` and its noise ``sigma`` are float32 ``[y, x]`` of the assembled detector; NaN where it cannot be judged.
    ``amplifiers`` are those that can be judged.
    """

    exposure: str
    ratio: Float
    sigma: Float
    amplifiers: tuple[Amplifier, ...]

    def clamped(self) -> FlatFielded:
        """Return the same with hits pulled in to `HIT` σ: they neither spoil a mean nor hide a bad column."""
        ratio = self.ratio.copy()
        for amp in self.amplifiers:
            part, reach = ratio[amp.box.slices], np.float32(HIT) * self.sigma[amp.box.slices]
            middle = np.nanmedian(part[::4])
            np.clip(part, middle - reach, middle + reach, out=part)
        return FlatFielded(self.exposure, ratio, self.sigma, self.amplifiers)


def flat_fielded(frame: ResidualFrame, product: Flat, detector: Detector) -> FlatFielded:
    """Divide a held-out residual by the light the flat predicts.

    Left out are dead amplifiers, those the exposure was refused in, and those without a held-out sample.
    """
    sigma = np.full(frame.residual.shape, np.nan, np.float32)
    judged = []
    for amp in live_amplifiers(product, detector):
        box = amp.box.slices
        if is_refused(product, frame.exposure.id, amp.name) or np.isfinite(frame.residual[box]).sum() < 2:
            continue
        judged.append(amp)
        sigma[box] = np.sqrt(sample_variance(product, amp, frame.model[box]) * frame.variance_factor[box])
    with np.errstate(divide="ignore", invalid="ignore"):
        sigma /= frame.model
        ratio = frame.residual / frame.model
    good = np.isfinite(ratio) & np.isfinite(sigma) & (sigma > 0)
    ratio, sigma = (np.where(good, plane, np.float32(np.nan)) for plane in (ratio, sigma))
    return FlatFielded(frame.exposure.id, ratio, sigma, tuple(judged))


def sample_variance(product: Flat, amp: Amplifier, light: Float) -> Float:
    """Variance of samples of an amplifier with so much ``light``, both in the unit of the exposures."""
    values = product.amplifiers[amp.name].values
    return expected_variance(product, amp, light, values["gain_used"].value if "gain_used" in values else math.inf)


def expected_variance(product: Flat, amp: Amplifier, light: Float, gain: float) -> Float:
    """Variance of such samples if this were the gain [electron per unit of the exposures]."""
    read = product.amplifiers[amp.name].values["read_noise"].value ** 2
    variance: Float = np.float32(max(read, 1 / 12)) + np.float32(1 / gain) * np.maximum(light, np.float32(0))
    return variance


def level_error(record: AmplifierRecord, amp: Amplifier, level: float) -> float:
    """Error of an amplifier's mean because its overscan level has one, as a fraction of the level."""
    gain = record.gain if record.gain is not None else 1.0
    rows = record.level_variance * min(1.0, record.level_length / amp.box.height)
    return gain * float(np.sqrt(record.amplifier_variance + rows + record.column_variance / amp.box.width)) / level


def live_amplifiers(product: Flat, detector: Detector) -> list[Amplifier]:
    """Amplifiers the product has a response for."""
    good = (AmplifierStatus.OK, AmplifierStatus.PARTIAL)
    return [amp for amp in detector.amplifiers if product.amplifiers[amp.name].status in good]


def is_refused(product: Flat, exposure: str, amplifier: str) -> bool:
    """Whether `solve` left the exposure out of the amplifier."""
    return exposure in product.refused or f"{exposure}/{amplifier}" in product.refused
