"""The held-out residual of one exposure in one amplifier, and what noise to expect of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cpp_dark.errors import noise_rate
from cpp_dark.estimator import rate_coefficients
from cpp_dark.product import Dark
from cpp_framework.model import (
    Amplifier,
    AmplifierStatus,
    Detector,
    ImageProduct,
    Mask,
    ResidualFrame,
    VerifyContext,
    oriented,
)
from cpp_framework.model.mask import UNUSABLE
from cpp_framework.stats import FrameNoise, Moments, clipped_moments

Plane = NDArray[np.float32]

CLIP = 5.0
"""Residuals further from the mean than this many standard deviations are hits, not noise."""


@dataclass(frozen=True)
class AmplifierResidual:
    """Residual of one exposure in one amplifier, in readout orientation.

    Parameters
    ----------
    values : float32 ``[y, x]``
        In the unit of the exposure, with hits pulled in to `CLIP` standard deviations so that they neither spoil a mean
        nor hide a bad column.
    pulls : float32 ``[y, x]``
        Residual over the standard deviation of its pixel, hits as they are.
    moments, pull_moments : Moments
        Of residuals and pulls without hits.
    noise : Noise
        Of the residual of a typical pixel, held-out factor, Poisson noise and the bias's error included.
    scale : float
        Dark time [s].
    used : bool ``[y, x]``
        Samples the stack kept.
    circular : str
        Why the noise cannot be judged: it was measured on the exposures themselves. Empty where it can.
    """

    amplifier: Amplifier
    exposure: str
    values: Plane
    pulls: Plane
    moments: Moments
    pull_moments: Moments
    noise: FrameNoise
    scale: float
    used: NDArray[np.bool_]
    circular: str


@dataclass(frozen=True)
class Judge:
    """Makes the amplifiers' residuals of a product; knows what they should scatter."""

    product: Dark
    ctx: VerifyContext

    def residuals(self, frame: ResidualFrame) -> Iterator[AmplifierResidual]:
        """Yield the amplifiers of one exposure that can be judged.

        Left out are dead amplifiers, those the exposure was refused in, and those without a held-out sample.
        """
        used = np.isfinite(frame.residual)
        if frame.exposure.id in self.product.stacked:
            used &= ~self.product.rejected_mask(frame.exposure.id)
        for amp in live_amplifiers(self.product, self.ctx.detector):
            if is_refused(self.product, frame.exposure.id, amp.name):
                continue
            residual = oriented(frame.residual, amp)
            moments = clipped_moments(residual, CLIP)
            if moments.n < 2 or moments.std == 0:
                continue
            variance, noise = self._expected(frame, amp)
            pulls: Plane = (residual / np.sqrt(variance)).astype(np.float32)
            reach = CLIP * moments.std
            yield AmplifierResidual(
                amplifier=amp,
                exposure=frame.exposure.id,
                values=np.clip(residual, np.float32(moments.mean - reach), np.float32(moments.mean + reach)),
                pulls=pulls,
                moments=moments,
                pull_moments=clipped_moments(pulls, CLIP),
                noise=noise,
                scale=frame.scale,
                used=oriented(used, amp),
                circular=self.circular(frame, amp.name),
            )

    def _expected(self, frame: ResidualFrame, amp: Amplifier) -> tuple[Plane, FrameNoise]:
        """Variance of each pixel's residual (without what the amplifier shares), and the noise of a typical one."""
        sample = self.sample_noise(frame, amp)
        factor = oriented(frame.variance_factor, amp)
        signal = oriented(self.noise_rate, amp) * np.float32(frame.scale)
        own = np.float32(sample.within(*factor.shape)) + signal * np.float32(self.poisson(amp.name))
        shared, level = self._bias_variances(frame, amp, factor)
        variance = own * factor + shared
        typical, mean_factor = float(np.nanmedian(variance)), float(np.nanmedian(factor))
        lines = (sample.row + sample.column) * mean_factor
        noise = FrameNoise(
            pixel=max(typical - lines, 0.0),
            row=sample.row * mean_factor,
            column=sample.column * mean_factor,
            amplifier=sample.amplifier * mean_factor + level,
            relative_error=sample.relative_error,
            row_length=sample.row_length,
        )
        return variance.astype(np.float32), noise

    def poisson(self, amplifier: str) -> float:
        """Variance per signal in the unit of the exposures; 0 where no gain is known."""
        gain = poisson_gain(self.product, self.ctx, amplifier)
        return 0.0 if gain is None else 1 / gain

    def circular(self, frame: ResidualFrame, amplifier: str) -> str:
        """Why the expected noise of an exposure is not independent of what is measured; empty where it is."""
        if frame.records[amplifier].read_noise is None:
            return "no overscan tells the noise: it was measured on these exposures, and would be compared with itself"
        if poisson_gain(self.product, self.ctx, amplifier) is None:
            return "no gain of this amplifier is known: its Poisson noise was measured on these exposures"
        return ""

    def sample_noise(self, frame: ResidualFrame, amp: Amplifier) -> FrameNoise:
        """Noise of one sample without signal: from its overscan, else (or without a gain) as measured on the stack."""
        record = frame.records[amp.name]
        scale = (record.gain or math.nan) if self.product.frame_unit == "electron" else 1.0
        no_gain = poisson_gain(self.product, self.ctx, amp.name) is None
        if record.read_noise is None or not math.isfinite(scale) or no_gain:
            read = self.product.amplifiers[amp.name].values["read_noise"]
            noise = self._noises.get((frame.exposure.id, amp.name), read.value)
            typical = float(np.nanmedian(oriented(self.product.image, amp)))
            poisson = max(typical * frame.scale, 0.0) * self.poisson(amp.name)
            # Without a gain Poisson noise cannot be told apart: it is in what differences show.
            return FrameNoise(max(noise**2 - poisson, 0.01), 0.0, 0.0, 0.0, (read.error or 0.0) / read.value)
        return FrameNoise.of_record(record, scale)

    @cached_property
    def noise_rate(self) -> Plane:
        """Rate ``[y, x]`` that makes the Poisson noise of each pixel."""
        found = np.maximum(self.product.image, 0)
        for amp in live_amplifiers(self.product, self.ctx.detector):
            box = amp.box.slices
            bad = (self.product.mask[box] & np.uint32(UNUSABLE | Mask.UNSTABLE)) != 0
            found[box] = noise_rate(self.product.image[box], self.product.error[box], bad)
        return found

    @cached_property
    def _noises(self) -> dict[tuple[str, str], float]:
        """Total noise of a typical sample, by exposure and amplifier."""
        table = self.product.tables["EXPOSURES"]
        rows = zip(table["EXPOSURE"], table["AMPLIFIER"], table["NOISE"], strict=True)
        return {(str(e), str(a)): float(noise) for e, a, noise in rows if math.isfinite(float(noise))}

    def bias_error(self, amp: Amplifier) -> tuple[float, float]:
        """Error of the subtracted bias in a typical pixel, and of its level, in the unit of the exposures."""
        bias = self.ctx.needs.get("bias")
        if not isinstance(bias, ImageProduct):
            return 0.0, 0.0
        gain = self.ctx.gains.get(amp.name, math.nan) if self.product.frame_unit == "electron" else 1.0
        level = bias.amplifiers[amp.name].values.get("level")
        error = float(np.nanmedian(bias.error[amp.box.slices])) * gain
        return error, (level.error or 0.0) * gain if level is not None else 0.0

    def _bias_variances(self, frame: ResidualFrame, amp: Amplifier, factor: Plane) -> tuple[Plane, float]:
        """Variance of the residual because of the bias's error, in each pixel and in the level.

        All exposures share the error b. The rate takes b·Σws/Σws² of it, so b·(1 − s·Σws/Σws²) is left in an exposure,
        nothing where all dark times are equal.
        """
        error, level = self.bias_error(amp)
        used = self.stacked_in(amp.name)
        factors = rate_coefficients(self.product.scales[used], self.product.weights[used], joint=False)
        left = 1 - frame.scale * float(np.sum(factors))
        share: Plane = np.square(np.float32(left) * factor)
        return share * np.float32(error**2), float(np.nanmedian(share)) * level**2

    def stacked_in(self, amplifier: str) -> NDArray[np.bool_]:
        """Bool ``[stacked exposure]``: not refused in the amplifier."""
        return np.array([not is_refused(self.product, one, amplifier) for one in self.product.stacked], bool)


def live_amplifiers(product: Dark, detector: Detector) -> list[Amplifier]:
    """Amplifiers the product does not call dead."""
    return [amp for amp in detector.amplifiers if product.amplifiers[amp.name].status != AmplifierStatus.DEAD]


def poisson_gain(product: Dark, ctx: VerifyContext, amplifier: str) -> float | None:
    """Electron per unit of the exposures, for Poisson noise; None where no gain is known."""
    return 1.0 if product.frame_unit == "electron" else ctx.gains.get(amplifier)


def is_refused(product: Dark, exposure: str, amplifier: str) -> bool:
    """Whether `solve` left the exposure out of the amplifier."""
    return exposure in product.refused or f"{exposure}/{amplifier}" in product.refused
