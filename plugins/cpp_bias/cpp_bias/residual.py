"""The held-out residual of one exposure in one amplifier, and what noise to expect of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cpp_bias.product import Bias
from cpp_framework.model import Amplifier, AmplifierStatus, Detector, ResidualFrame, oriented
from cpp_framework.stats import Moments, clipped_moments

CLIP = 5.0
"""Residuals further from the mean than this many standard deviations are hits, not noise."""


@dataclass(frozen=True)
class Noise:
    """Expected variances of one exposure [adu²]: of each pixel, common to a row, to a column, to the amplifier.

    ``relative_error`` is that of the standard deviation of a pixel.
    """

    pixel: float
    row: float
    column: float
    amplifier: float
    relative_error: float

    @property
    def total(self) -> float:
        """Variance of a pixel, but for what the whole amplifier shares."""
        return self.pixel + self.row + self.column

    def within(self, rows: int, columns: int) -> float:
        """Expected variance over the pixels of an amplifier about their own mean."""
        return self.pixel + self.row * (1 - 1 / rows) + self.column * (1 - 1 / columns)

    def lines_error(self, rows: int, columns: int) -> float:
        """Relative error of a standard deviation over an amplifier because it has only so many rows and columns."""
        return math.sqrt((self.row**2 / rows + self.column**2 / columns) / 2) / self.total

    def of_mean(self, pixels: int, rows: int, columns: int) -> float:
        """Variance of the mean of ``pixels`` pixels in so many rows and columns."""
        return self.pixel / pixels + self.row / rows + self.column / columns + self.amplifier


@dataclass(frozen=True)
class AmplifierResidual:
    """Residual of one exposure in one amplifier.

    ``values`` are float32 ``[y, x]`` in readout orientation [adu], with hits pulled in to `CLIP` standard deviations
    so that they neither spoil a mean nor hide a bad column. ``moments`` are those without hits. ``factor`` is the
    mean variance factor of the held-out residual.
    """

    amplifier: Amplifier
    exposure: str
    values: NDArray[np.float32]
    moments: Moments
    factor: float
    noise: Noise


def amplifier_residuals(frame: ResidualFrame, product: Bias, detector: Detector) -> Iterator[AmplifierResidual]:
    """Yield the amplifiers of one exposure that can be judged.

    Left out are dead amplifiers, those the exposure was refused in, and those without a held-out sample.
    """
    for amp in live_amplifiers(product, detector):
        if is_refused(product, frame.exposure.id, amp.name):
            continue
        values = oriented(frame.residual, amp)
        moments = clipped_moments(values, CLIP)
        if moments.n < 2 or moments.std == 0:
            continue
        reach = CLIP * moments.std
        yield AmplifierResidual(
            amplifier=amp,
            exposure=frame.exposure.id,
            values=np.clip(values, np.float32(moments.mean - reach), np.float32(moments.mean + reach)),
            moments=moments,
            factor=float(np.nanmean(oriented(frame.variance_factor, amp), dtype=np.float64)),
            noise=expected_noise(frame, product, amp),
        )


def live_amplifiers(product: Bias, detector: Detector) -> list[Amplifier]:
    """Amplifiers the product does not call dead."""
    return [amp for amp in detector.amplifiers if product.amplifiers[amp.name].status != AmplifierStatus.DEAD]


def is_refused(product: Bias, exposure: str, amplifier: str) -> bool:
    """Whether `solve` left the exposure out of the amplifier."""
    return exposure in product.refused or f"{exposure}/{amplifier}" in product.refused


def expected_noise(frame: ResidualFrame, product: Bias, amp: Amplifier) -> Noise:
    """Noise of one exposure: from its overscan, else as `solve` measured it on the stack."""
    record = frame.records[amp.name]
    if record.read_noise is None:
        noise = product.amplifiers[amp.name].values["read_noise"]
        return Noise(noise.value**2, 0.0, 0.0, 0.0, (noise.error or 0.0) / noise.value)
    return Noise(
        pixel=record.read_noise**2,
        row=record.level_variance,
        column=record.column_variance,
        amplifier=record.amplifier_variance,
        relative_error=(record.read_noise_error or 0.0) / record.read_noise,
    )
