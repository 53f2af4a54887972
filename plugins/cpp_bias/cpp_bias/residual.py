"""The held-out residual of one exposure in one amplifier, and what noise to expect of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cpp_bias.product import Bias
from cpp_framework.model import Amplifier, AmplifierRecord, AmplifierStatus, Detector, ResidualFrame, oriented
from cpp_framework.stats import FrameNoise, Moments, Profiles, clipped_moments, profiles

CLIP = 5.0
"""Residuals further from the mean than this many standard deviations are hits, not noise."""

NO_OVERSCAN = "no overscan tells the noise: it was measured on these exposures, and would be compared with itself"


@dataclass(frozen=True)
class AmplifierResidual:
    """Residual of one exposure in one amplifier.

    ``values`` are float32 ``[y, x]`` in readout orientation [adu], with hits pulled in to `CLIP` standard deviations
    so that they neither spoil a mean nor hide a bad column. ``moments`` are those without hits. ``factor`` is the
    mean variance factor of the held-out residual, ``record`` what the overscan stage found in the exposure.
    """

    amplifier: Amplifier
    exposure: str
    values: NDArray[np.float32]
    moments: Moments
    factor: float
    noise: FrameNoise
    record: AmplifierRecord

    @cached_property
    def profiles(self) -> Profiles:
        """Means of rows and columns [adu]."""
        return profiles(self.values)


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
            record=frame.records[amp.name],
        )


def live_amplifiers(product: Bias, detector: Detector) -> list[Amplifier]:
    """Amplifiers the product does not call dead."""
    return [amp for amp in detector.amplifiers if product.amplifiers[amp.name].status != AmplifierStatus.DEAD]


def is_refused(product: Bias, exposure: str, amplifier: str) -> bool:
    """Whether `solve` left the exposure out of the amplifier."""
    return exposure in product.refused or f"{exposure}/{amplifier}" in product.refused


def expected_noise(frame: ResidualFrame, product: Bias, amp: Amplifier) -> FrameNoise:
    """Noise of one exposure: from its overscan, else as `solve` measured it on the stack."""
    record = frame.records[amp.name]
    if record.read_noise is None:
        noise = product.amplifiers[amp.name].values["read_noise"]
        return FrameNoise(noise.value**2, 0.0, 0.0, 0.0, (noise.error or 0.0) / noise.value)
    return FrameNoise.of_record(record)
