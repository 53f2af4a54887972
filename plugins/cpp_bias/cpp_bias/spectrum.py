"""The mean periodogram of many profiles, and the strongest line in it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

LEAST_CYCLES = 4
"""Lines of fewer cycles per profile are drifts."""

SHORTEST = 32
"""Pixels a profile must have."""

WINDOWS = (2, 4, 8, 16, 32)
"""Resolved frequencies on each side whose median is the background: as many as up to half the frequency itself."""


@dataclass(frozen=True)
class Line:
    """A sinusoid of ``amplitude`` (in the unit of the profiles, with ``error``) and ``frequency`` [cycles/pixel].

    ``false_alarm`` is the probability that noise makes one as significant at any of the frequencies looked at.
    """

    amplitude: float
    error: float
    frequency: float
    false_alarm: float


@dataclass
class MeanSpectrum:
    """Gathers periodograms of profiles of one length; phases do not count, so a line need not keep its phase."""

    power: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    pixels: int = 0
    squared_pixels: int = 0
    length: int = 0

    def add(self, profiles: NDArray[np.floating]) -> None:
        """Take in profiles ``[profile, pixel]``, each less its mean; NaN counts as missing."""
        good = np.isfinite(profiles)
        counts = good.sum(axis=1)
        centred = np.where(good, profiles, 0)
        centred -= centred.sum(axis=1, keepdims=True) / np.maximum(counts, 1)[:, np.newaxis]
        centred[~good] = 0
        self.length = profiles.shape[1]
        # Four times finer than the frequencies that can be told apart: enough for a parabola through a peak.
        transform = np.fft.rfft(centred, 1 << (4 * self.length - 1).bit_length(), axis=1)
        power: NDArray[np.float64] = np.sum(transform.real**2 + transform.imag**2, axis=0, dtype=np.float64)
        self.power = power + self.power if self.power.size else power
        self.pixels += int(counts.sum())
        self.squared_pixels += int(np.sum(counts.astype(np.int64) ** 2))

    def strongest(self, independent: int) -> Line | None:
        """Find the line that stands out most above the spectrum on both sides of it; it may be noise.

        A drift, whose spectrum falls off, does not stand out above lower frequencies. For white noise the power at each
        frequency follows a χ² distribution with twice as many degrees of freedom as there are ``independent`` profiles,
        and so does the background, from a median: their ratio follows F.

        Returns
        -------
        Line or None
            None if the profiles are too short or empty.
        """
        if self.length < SHORTEST or not self.pixels:
            return None
        spectrum = self.power / self.pixels
        finer = 2 * (spectrum.size - 1) / self.length
        inner = np.arange(math.ceil(LEAST_CYCLES * finer), spectrum.size - math.ceil(finer))
        sides, freedom = _background(spectrum, inner, finer, independent)
        if not sides.all():
            return None
        background = sides.mean(axis=0)
        ratio = spectrum[inner] / sides.max(axis=0)
        deviates = _deviates(ratio, 2 * independent, 2 * freedom)
        best = int(np.argmax(deviates))
        # So far above its surroundings that their freedom decides, the largest deviate may be beside the peak.
        near = inner[max(best - math.ceil(finer), 0) : best + math.ceil(finer) + 1]
        top = int(near[np.argmax(spectrum[near])])
        power, offset = _peak(spectrum, top)
        # The periodogram at a sinusoid of amplitude A in N pixels of variance σ² has the mean σ² + A²N/4.
        scale = 4 * self.pixels / self.squared_pixels
        square = scale * max(power - background[best], 0.0)
        error = scale * background[best] * math.sqrt((1 + 2 * max(ratio[best] - 1, 0.0)) / independent)
        amplitude = math.sqrt(square)
        return Line(
            amplitude=amplitude,
            error=error / (amplitude + math.hypot(amplitude, math.sqrt(error))),
            frequency=(top + offset) / (2 * (spectrum.size - 1)),
            false_alarm=min(1.0, inner.size * 0.5 * math.erfc(deviates[best] / math.sqrt(2))),
        )


def _background(
    spectrum: NDArray[np.float64], inner: NDArray[np.intp], finer: float, independent: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Medians, as means, of the frequencies below and above each of ``inner`` ``[2, frequency]``.

    Also how many independent periodograms one of them is worth. A line's own peak is left out.
    """
    sides, freedom = np.zeros((2, inner.size)), np.zeros(inner.size)
    # Median over mean of the mean of so many exponential variates (Wilson & Hilferty 1931).
    bias = (1 - 1 / (9 * independent)) ** 3
    gap = math.ceil(finer)
    for window in WINDOWS:
        width = round(window * finer)
        if width + gap >= spectrum.size:
            break
        where = inner >= 2 * window * finer
        # Beyond the highest frequency the spectrum repeats itself backwards.
        padded = np.concatenate([spectrum, spectrum[-2 : -2 - width - gap : -1]])
        medians = np.median(np.lib.stride_tricks.sliding_window_view(padded, width), axis=1) / bias
        sides[:, where] = medians[inner[where] - gap - width + 1], medians[inner[where] + gap]
        # A median is worth about half as many values as a mean.
        freedom[where] = 0.5 * independent * window
    return sides, freedom


def _deviates(ratio: NDArray[np.float64], above: float, below: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gaussian deviates as unlikely as these values of F (Paulson 1942, from Wilson & Hilferty's cube root)."""
    u, v = 2 / (9 * above), 2 / (9 * below)
    root = np.cbrt(ratio)
    deviates: NDArray[np.float64] = ((1 - v) * root - (1 - u)) / np.sqrt(v * root**2 + u)
    return deviates


def _peak(spectrum: NDArray[np.float64], k: int) -> tuple[float, float]:
    """Height of a peak and its offset from sample k: a parabola through the logarithms of three samples."""
    before, middle, after = np.log(np.maximum(spectrum[k - 1 : k + 2], 1e-12 * spectrum[k]))
    bend = before - 2 * middle + after
    if bend >= 0:
        return float(spectrum[k]), 0.0
    offset = min(max(0.5 * (before - after) / bend, -0.5), 0.5)
    return math.exp(middle - 0.25 * (before - after) * offset), offset
