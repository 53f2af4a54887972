"""The held-out residual of one exposure in one amplifier, and what noise to expect of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from cpp_framework.model import Amplifier, AmplifierStatus, Measured, ResidualFrame, oriented
from cpp_framework.stats import Moments, clipped_moments
from numpy.typing import NDArray

from cpp_bias.product import Bias

CLIP = 5.0
"""Residuals further from the mean than this many standard deviations are hits, not noise."""


@dataclass(frozen=True)
class Noise:
    """Expected noise of one exposure [adu²]: of each pixel, common to a row, and common to a column.

    ``relative_error`` is that of the standard deviation of a pixel.
    """

    pixel: float
    row: float
    column: float
    relative_error: float

    @property
    def total(self) -> float:
        """Variance over the pixels of an amplifier."""
        return self.pixel + self.row + self.column

    def of_mean(self, pixels: int, shape: tuple[int, int]) -> float:
        """Variance of the mean of ``pixels`` pixels spread over ``shape`` rows and columns."""
        return self.pixel / pixels + self.row / shape[0] + self.column / shape[1]


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


def amplifier_residuals(frame: ResidualFrame, product: Bias) -> Iterator[AmplifierResidual]:
    """Yield the amplifiers of one exposure that can be judged.

    Left out are dead amplifiers, those the exposure was refused in, and those without a single held-out sample.
    """
    exposure = frame.exposure.id
    for amp in judged_amplifiers(product, frame):
        values = oriented(frame.residual, amp)
        moments = clipped_moments(values, CLIP)
        if moments.n < 2:
            continue
        reach = CLIP * moments.std
        yield AmplifierResidual(
            amplifier=amp,
            exposure=exposure,
            values=np.clip(values, np.float32(moments.mean - reach), np.float32(moments.mean + reach)),
            moments=moments,
            factor=float(np.nanmean(oriented(frame.variance_factor, amp), dtype=np.float64)),
            noise=expected_noise(frame, product, amp.name),
        )
