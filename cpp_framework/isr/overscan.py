"""The overscan level of every line (row of a serial, column of a parallel overscan), and how far to trust it.

Rules
-----
* Skipped samples (the trail of deferred charge next to the data) and samples at ADC saturation take no part.
* A median is interpolated inside the middle unit of integer data: the plain median of integers is an integer, up to
  half a unit off, the same way in every row.
* A line of which less than half is usable is *unusable*.
* A line is *wild* (charge bled into it) if its level is further than ten times the scatter of its block of 100 lines
  (scaled MAD) from the median of the block, and from that of the lines up to 50 away. The scatter is measured, so
  rows that really jump about stay, and so does a step of the level.
* A spline is fitted to the clipped means of the lines: its noise is less, and what jumps from line to line stays in
  the data and is counted in the variance.
* Unusable, wild and absent lines take the median level of the five nearest good lines on each side; lines beyond the
  first or last good one that of the hundred nearest. A serial section that also covers the rows of the parallel
  overscan is better: declare it so where the camera reads those pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cpp_framework.camera.instrument import OverscanRule
from cpp_framework.isr import _kernels
from cpp_framework.isr.read_noise import CLIP, QUANTISATION, ReadNoise, level_factor, measure, rounding_variance
from cpp_framework.isr.spline import fit_spline
from cpp_framework.stats.steps import Step, largest_step

WILD = 10.0
BLOCK = 100
SIDE = 5
BEYOND = 100

Levels1d = NDArray[np.float64]


@dataclass(frozen=True)
class OverscanLevels:
    """Levels [adu] of consecutive lines, the first of which is line ``first`` of the data.

    ``variance`` is the variance of one line's level [adu²]; ``unusable`` and ``wild`` are boolean per line. With
    ``common`` all lines have one level, and its error in common. Of h lines the mean level has ``variance·length/h``
    for h above ``length``: 1 for levels that are independent. ``step`` is the largest step of the lines' own levels.
    """

    first: int
    values: Levels1d
    unusable: NDArray[np.bool_]
    wild: NDArray[np.bool_]
    variance: float
    noise: ReadNoise | None
    common: bool = False
    length: float = 1.0
    step: Step | None = None

    @property
    def good(self) -> NDArray[np.bool_]:
        """Lines with a level of their own."""
        return ~(self.unusable | self.wild)

    def spread(self, first: int, count: int) -> Levels1d:
        """Levels of ``count`` lines from line ``first`` on; lines without their own take their neighbours'."""
        values = np.full(count, np.nan)
        begin, end = max(first, self.first), min(first + count, self.first + self.values.size)
        if begin < end:
            own = slice(begin - self.first, end - self.first)
            values[begin - first : end - first] = np.where(self.good[own], self.values[own], np.nan)
        good = np.flatnonzero(self.good)
        lines = np.flatnonzero(np.isnan(values))
        if not good.size:
            values[lines] = 0.0
            return values
        position = lines + first - self.first
        at = np.searchsorted(good, position)
        for place in np.unique(at):
            # Beyond the section one level serves many lines, so its own noise must be small.
            reach = SIDE if 0 < place < good.size else BEYOND
            values[lines[at == place]] = np.median(self.values[good[max(0, place - reach) : place + reach]])
        return values

    def flagged(self, which: NDArray[np.bool_], count: int) -> NDArray[np.intp]:
        """Indices of the data's lines ``0 … count−1`` that are ``unusable`` or ``wild``."""
        lines = np.flatnonzero(which) + self.first
        return lines[(lines >= 0) & (lines < count)]


def measure_levels(
    section: NDArray[np.float32], rule: OverscanRule, first: int, *, saturation: float, quantum: float
) -> OverscanLevels | None:
    """Measure an overscan by the rule of its instrument.

    Parameters
    ----------
    section : float32 array ``[line, sample]``
        Overscan in readout order, samples counted from the data [raw counts or adu].
    rule : OverscanRule
        Method and skipped samples; ``none`` measures nothing.
    first : int
        Line of the data that the first line of the section belongs to.
    saturation : float
        Samples at or above it are left out.
    quantum : float
        Step of the numbers: 1 for integer raws, 0 for floats.

    Returns
    -------
    OverscanLevels or None
        None if there is no overscan, the rule is ``none``, or all samples are skipped.
    """
    used = np.ascontiguousarray(section[:, rule.skip_leading : section.shape[1] - rule.skip_trailing])
    if rule.method == "none" or not used.size:
        return None
    levels, scatter = np.empty(len(used)), np.empty(len(used))
    _kernels.line_medians(used, saturation, quantum, levels, scatter)
    unusable = np.isnan(levels)
    wild = np.zeros(levels.size, bool)
    _kernels.find_wild(levels, BLOCK, WILD, quantum * QUANTISATION, wild)
    medians = np.where(wild, np.nan, levels)
    # Less noise than that of rounding would make steps of levels that stick to whole numbers.
    step = largest_step(medians, quantum * QUANTISATION)
    if rule.method in ("median", "mean"):
        whole = _whole_section(used, rule.method, medians, scatter, first, unusable, quantum)
        return replace(whole, step=step)
    noise = measure(used, medians, scatter, median=True, quantum=quantum)
    median = rule.method == "median_per_line"
    if not median and noise is not None:
        _kernels.line_means(used, medians, CLIP * noise.value, levels)
        noise = measure(used, np.where(wild, np.nan, levels), scatter, median=False, quantum=quantum)
    variance = _line_variance(noise, used.shape[1], median, quantum)
    own = OverscanLevels(first, levels, unusable, wild, variance, noise, step=step)
    return own if rule.knots is None else _smooth(own, rule.knots)


def _smooth(own: OverscanLevels, spacing: int) -> OverscanLevels:
    """Put a spline in place of the lines' own levels.

    With the share h of a line's noise left in the spline, what jumps from line to line by j² beyond the white noise
    v stays in the data: their rows scatter by j²·(1 − h) + v·h. Over many lines jumps average out of data and spline
    alike, so the mean of n lines has v/n. Where nothing jumps, chance makes j² a few percent of v: next to the noise
    of the pixels nothing, but a spline's rows are better than stated.
    """
    spline = fit_spline(np.where(own.good, own.values, np.nan), spacing)
    if spline is None:
        return own
    jumps = max(spline.scatter - own.variance, 0.0)
    variance = jumps * (1 - spline.freedom) + own.variance * spline.freedom
    length = own.variance / variance if variance else 1.0
    return replace(own, values=spline.values, variance=variance, length=length)


def _whole_section(
    used: NDArray[np.float32],
    method: str,
    medians: Levels1d,
    scatter: Levels1d,
    first: int,
    unusable: NDArray[np.bool_],
    quantum: float,
) -> OverscanLevels:
    """One level for all lines: the median or clipped mean of the samples of the usable, tame lines."""
    tame = np.isfinite(medians)
    samples = used[tame].ravel()
    nothing = np.zeros(unusable.size, bool)
    if not samples.size:
        return OverscanLevels(first, medians, ~nothing, nothing, 0.0, None)
    level = float(_kernels.grouped_median(samples, samples.size, quantum))
    flat = np.where(tame, level, np.nan)
    # About one level for all lines the scatter of a line includes how far that line is off.
    about = scatter + (medians - level) ** 2
    noise = measure(used, flat, about, median=method == "median", quantum=quantum, common=True)
    if method == "mean" and noise is not None:
        kept = samples[np.abs(samples - level) <= CLIP * noise.value]
        level = float(np.mean(kept, dtype=np.float64))
        noise = measure(used, np.where(tame, level, np.nan), about, median=False, quantum=quantum, common=True)
    variance = _line_variance(noise, samples.size, method == "median", quantum)
    if noise is not None and quantum:
        variance += rounding_variance(noise.value, median=method == "median")
    return OverscanLevels(first, np.full(unusable.size, level), nothing, nothing, variance, noise, common=True)


def _line_variance(noise: ReadNoise | None, n: int, median: bool, quantum: float) -> float:
    if noise is None:
        return 0.0
    return level_factor(n, median=median, sigma=noise.value if quantum else math.inf) * noise.value**2 / n
