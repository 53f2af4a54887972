"""Noise of a flat's samples: read noise, and Poisson noise by the gain, which is measured in ADU."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cpp_framework.model import Amplifier, Measured
from cpp_framework.model.context import Frames, Needs
from cpp_framework.stats import Moments, StackNoise, clipped_moments

BAND_ROWS = 128
"""Rows looked at to measure a gain: enough for a variance to a percent."""

UNLIKE, SIGNIFICANT = 0.2, 5.0
"""A measured gain is unlike the nominal one beyond this fraction, if its error does not explain it so many times."""


@dataclass(frozen=True)
class FlatNoise:
    """Noise by amplifier: ``read_noise`` and ``gain`` (electron per unit) of the frames, and where they come from.

    ``gain`` lacks amplifiers in which no Poisson noise is known.
    """

    read_noise: Mapping[str, Measured]
    gain: Mapping[str, Measured]
    source: Mapping[str, str]

    @property
    def of_stack(self) -> StackNoise:
        """The same for `cpp_framework.stats.fit_stack`."""
        return StackNoise(
            {name: one.value for name, one in self.read_noise.items()},
            {name: one.value for name, one in self.gain.items()},
            self.source,
        )


def flat_noise(frames: Frames, needs: Needs, levels: NDArray[np.float64], used: NDArray[np.bool_]) -> FlatNoise:
    """Read noise and gain of each amplifier with exposures.

    Read noise: of the overscan, else as the bias says, else the camera's nominal one, else only that of rounding.
    Gain: 1 in electron; in ADU from the noise of pairs of exposures scaled to the same level. So in ADU the noise is
    the stack's own, whatever the camera is said to do. One exposure has no such pair, and differences between its
    pixels hold their response: the nominal gain is used there, if there is one.

    Parameters
    ----------
    frames : Frames
    needs : mapping of str to Product
        A ``bias`` may give a read noise.
    levels : float64 ``[exposure]``
        In the unit of the frames.
    used : bool ``[exposure, amplifier]``
    """
    read_noise, gain, source = {}, {}, {}
    unit = f"electron/{frames.unit}"
    for index, amp in enumerate(frames.detector.amplifiers):
        which = np.flatnonzero(used[:, index])
        if which.size == 0:
            continue
        noise, where = _read_noise(frames, needs, amp, which)
        read_noise[amp.name] = Measured(value=noise, unit=frames.unit)
        source[amp.name] = f"read noise from {where}"
        if frames.unit == "electron":
            gain[amp.name] = Measured(value=1.0, unit=unit)
            continue
        measured = _measured_gain(frames, amp, which, levels, noise**2) if which.size > 1 else None
        found, remark = _chosen_gain(measured, amp, unit)
        source[amp.name] += f", {remark}"
        if found is not None:
            gain[amp.name] = found
    return FlatNoise(read_noise, gain, source)


def _read_noise(frames: Frames, needs: Needs, amp: Amplifier, which: NDArray[np.intp]) -> tuple[float, str]:
    """Read noise in the unit of the frames, and where it comes from."""
    records = [frames.records(amp.name)[k] for k in which]
    gains = [1.0 if frames.unit == "adu" else record.gain for record in records]
    if all(record.read_noise is not None for record in records) and all(gain is not None for gain in gains):
        variances = [
            ((record.read_noise or 0.0) ** 2 + record.level_variance + record.column_variance) * (gain or 0.0) ** 2
            for record, gain in zip(records, gains, strict=True)
        ]
        return math.sqrt(float(np.mean(variances))), "the overscan"
    bias = needs["bias"].provided("read_noise") if "bias" in needs else {}
    if amp.name in bias and gains[0] is not None:
        return bias[amp.name].value * gains[0], "the bias"
    if amp.read_noise is not None and (frames.unit == "electron" or amp.gain is not None):
        nominal = amp.read_noise if frames.unit == "electron" else amp.read_noise / (amp.gain or 1.0)
        return nominal, "the instrument file"
    return 0.0, "rounding alone"


def _chosen_gain(measured: Measured | None, amp: Amplifier, unit: str) -> tuple[Measured | None, str]:
    """The measured gain, else the camera's nominal one, and what to say about it."""
    if measured is None:
        if amp.gain is None:
            return None, "no gain known: errors hold no Poisson noise"
        return Measured(value=amp.gain, unit=unit), "gain from the instrument file"
    remark = "gain from pairs of exposures of this stack"
    if amp.gain is not None:
        off = abs(measured.value - amp.gain)
        if off > UNLIKE * amp.gain and off > SIGNIFICANT * (measured.error or 0.0):
            remark += f", {measured.value:.3g} against {amp.gain:.3g} {unit} in the instrument file"
    return measured, remark


def _measured_gain(
    frames: Frames, amp: Amplifier, which: NDArray[np.intp], levels: NDArray[np.float64], read_variance: float
) -> Measured | None:
    """Signal over Poisson variance, from the middle rows of an amplifier; None if there is no Poisson noise.

    With r = s_i/s_j the difference x_i - r·x_j has variance σ²(1 + r²) + B_i(1 + r)/gain; the pattern cancels.
    """
    middle = (amp.box.y0 + amp.box.y1) // 2
    rows = (max(amp.box.y0, middle - BAND_ROWS // 2), min(amp.box.y1, middle + BAND_ROWS // 2))
    samples = frames.rows(*rows)[:, :, amp.box.x0 : amp.box.x1]
    found = []
    for i, j in pairwise(which):
        ratio = float(levels[i] / levels[j])
        noise = clipped_moments(samples[i] - np.float32(ratio) * samples[j])
        found.append(_inverse_gain(noise, samples[i], read_variance * (1 + ratio**2), 1 + ratio))
    values, errors = np.array(found).T
    good = np.isfinite(values) & (errors > 0)
    if not good.any():
        return None
    weights = errors[good] ** -2.0
    inverse = float(np.average(values[good], weights=weights))
    # Successive differences share an exposure: their squares correlate by a quarter.
    inverse_error = math.sqrt((1 + (good.sum() - 1) / (2 * good.sum())) / float(weights.sum()))
    if inverse < 3 * inverse_error:
        return None
    return Measured(value=1 / inverse, error=inverse_error / inverse**2, unit=f"electron/{frames.unit}")


def _inverse_gain(
    noise: Moments, samples: NDArray[np.float32], read_variance: float, light: float
) -> tuple[float, float]:
    """1/gain and its error from the noise of a difference in which the light counts ``light`` times."""
    level = clipped_moments(samples)
    if noise.n < 2 or not level.mean > 0:
        return math.nan, math.nan
    signal = light * level.mean
    return (noise.std**2 - read_variance) / signal, 2 * noise.std * noise.std_error / signal
