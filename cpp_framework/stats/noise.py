"""Noise of the samples of a stack: the model `combine` works with, and how it is measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cpp_framework.errors import ContractError
from cpp_framework.model.context import Frames
from cpp_framework.model.detector import Amplifier
from cpp_framework.model.geometry import Box
from cpp_framework.model.image import AmplifierRecord
from cpp_framework.model.quantity import Measured
from cpp_framework.stats.robust import clipped_moments, row_pair_noise

QUANTISATION_VARIANCE = 1 / 12
"""Variance of rounding to whole ADU, in adu²: no sample is known better."""

ROWS_AT_ONCE = 128


@dataclass(frozen=True)
class StackNoise:
    """Noise of one sample of a stack, per amplifier.

    Parameters
    ----------
    read_noise : mapping of amplifier name to float or sequence of float
        σ of a sample without light, in the unit of the frames: one number, or one per exposure. Exposures used
        together are pooled (mean of the variances), as their noise must agree anyway.
    gain : mapping of amplifier name to float
        electron per unit of the frames, where Poisson noise of the signal is to be added. Leave it out for bias.
    source : mapping of amplifier name to str
        Where the read noise comes from.
    error : mapping of amplifier name to float
        One σ of the read noise, where it was measured on the frames themselves.
    """

    read_noise: Mapping[str, float | Sequence[float]]
    gain: Mapping[str, float] = field(default_factory=dict)
    source: Mapping[str, str] = field(default_factory=dict)
    error: Mapping[str, float] = field(default_factory=dict)

    def variance(self, amplifier: str, exposures: NDArray[np.int64] | None = None) -> tuple[float, float]:
        """Variance of a sample as ``(at zero signal, per unit of signal)``.

        The first is pooled over ``exposures`` (indices; all by default) and never below that of rounding.

        Raises
        ------
        ContractError
            The amplifier has no read noise, or it is not a number.
        """
        if amplifier not in self.read_noise:
            raise ContractError(f"no read noise for amplifier {amplifier!r}; there is for {sorted(self.read_noise)}")
        values = np.asarray(self.read_noise[amplifier], np.float64)
        if values.ndim and exposures is not None:
            values = values[exposures]
        variance = float(np.mean(values**2))
        if not math.isfinite(variance):
            raise ContractError(f"read noise of amplifier {amplifier!r} is not finite: {self.read_noise[amplifier]}")
        per_signal = 1 / self.gain[amplifier] if amplifier in self.gain else 0.0
        return max(variance, QUANTISATION_VARIANCE), per_signal


def measure_stack_noise(
    frames: Frames, used_exposures: NDArray[np.bool_] | None = None, gain: Mapping[str, float] | None = None
) -> StackNoise:
    """Noise of a stack's samples: from the overscan, else from differences of exposures, else inside the one there is.

    Overscan: read noise and the noise of the row and column levels that were subtracted with it, as the records
    tell. Needs them for every exposure used. ``used_exposures`` is bool ``[exposure, amplifier]``, all by default; an
    amplifier without any is left out.
    """
    read_noise: dict[str, float | Sequence[float]] = {}
    source: dict[str, str] = {}
    error: dict[str, float] = {}
    for index, amp in enumerate(frames.detector.amplifiers):
        used = np.arange(len(frames.exposures))
        if used_exposures is not None:
            used = np.flatnonzero(used_exposures[:, index])
        if used.size == 0:
            continue
        variances = [_overscan_variance(frames.records(amp.name)[k], frames.unit) for k in used]
        if not np.any(np.isnan(variances)):
            read_noise[amp.name], source[amp.name] = math.sqrt(float(np.mean(variances))), "overscan"
            continue
        if used.size >= 2:
            noise, source[amp.name] = read_noise_from_differences(frames, amp.box, used), "differences of exposures"
        else:
            noise, source[amp.name] = _noise_inside(frames, amp, int(used[0])), "differences of rows"
        read_noise[amp.name], error[amp.name] = noise.value, noise.error or 0.0
    return StackNoise(read_noise, gain or {}, source, error)


def _overscan_variance(record: AmplifierRecord, unit: str) -> float:
    """Variance of a sample in the unit of the frames; records are in ADU."""
    if record.read_noise is None:
        return math.nan
    variance = record.read_noise**2 + record.level_variance + record.column_variance
    if unit == "adu":
        return variance
    return math.nan if record.gain is None else variance * record.gain**2


def read_noise_from_differences(
    frames: Frames, box: Box, exposures: NDArray[np.int64] | Sequence[int] | None = None
) -> Measured:
    """Noise of one sample in a box, from differences of successive exposures divided by √2.

    What all exposures have in common cancels. Outliers are clipped at 5σ. Successive differences share an
    exposure, so their squares correlate by 1/4; the error counts that. Rounding to whole ADU is part of the noise.

    Parameters
    ----------
    frames : Frames
    box : Box
        Part of the assembled image.
    exposures : sequence of int, optional
        Which exposures to use (at least two); all by default. Leave out those that deviate.

    Raises
    ------
    ContractError
        There are fewer than two exposures, or no pixel that is good in two successive ones.
    """
    chosen = np.arange(len(frames.exposures)) if exposures is None else np.asarray(exposures)
    if chosen.size < 2:
        raise ContractError(f"the read noise from differences needs at least two exposures, got {chosen.size}")
    pixels, weighted, squared_error = 0, 0.0, 0.0
    for y in range(box.y0, box.y1, ROWS_AT_ONCE):
        samples = frames.rows(y, min(y + ROWS_AT_ONCE, box.y1))[chosen, :, box.x0 : box.x1]
        for earlier, later in pairwise(samples):
            moments = clipped_moments((later - earlier) * np.float32(math.sqrt(0.5)))
            if moments.n > 1:
                pixels += moments.n
                weighted += moments.n * moments.std**2
                squared_error += (moments.n * 2 * moments.std * moments.std_error) ** 2
    if pixels == 0:
        raise ContractError(f"no pixel of {box.to_section()} is good in two successive exposures")
    noise = math.sqrt(weighted / pixels)
    shared = 1 + (chosen.size - 2) / (2 * (chosen.size - 1))
    error = math.sqrt(squared_error * shared) / pixels / (2 * noise) if noise > 0 else 0.0
    return Measured(value=noise, error=error, unit=frames.unit)


def _noise_inside(frames: Frames, amp: Amplifier, exposure: int) -> Measured:
    samples = frames.rows(amp.box.y0, amp.box.y1)[exposure, :, amp.box.x0 : amp.box.x1]
    moments = row_pair_noise(samples)
    return Measured(value=moments.std, error=moments.std_error, unit=frames.unit)


def noise_penalty(n: int) -> float:
    """By what fraction subtracting the mean of ``n`` exposures raises the noise of one: √(1 + 1/n) − 1."""
    return math.sqrt(1 + 1 / n) - 1
