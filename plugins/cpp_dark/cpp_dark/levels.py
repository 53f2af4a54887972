"""Level and noise of each exposure in each amplifier, and the line its levels follow with dark time."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from cpp_dark.frames import StackedFrames
from cpp_framework.stats import StackStatistics, clipped_moments, row_pair_noise, stack_statistics

Float = NDArray[np.float64]

DRIFT = 0.05
"""Deviation of a level from its line that matters, in units of the noise of one pixel."""

SIGNIFICANT = 5.0
"""Least deviation in its own errors."""


def exposure_statistics(frames: StackedFrames, times: Float) -> StackStatistics:
    """Level and noise of each exposure, the noise from differences to exposures of the same dark time.

    Exposures of another time differ by their rates too: they are compared with where there is no other. A lone exposure
    has the noise of differences between its rows.
    """
    if len(times) == 1:
        found = StackStatistics(*np.full((4, 1, len(frames.detector.amplifiers)), np.nan))
        _measure_alone(frames, 0, found)
        return found
    found = stack_statistics(frames)
    for time in np.unique(times):
        group = np.flatnonzero(times == time)
        if group.size > 1:
            for of_stack, of_group in zip(found, stack_statistics(frames.choose(list(group))), strict=True):
                of_stack[group] = of_group
    return found


def _measure_alone(frames: StackedFrames, exposure: int, found: StackStatistics) -> None:
    alone = frames.choose([exposure])
    for i, amp in enumerate(frames.detector.amplifiers):
        samples = alone.rows(amp.box.y0, amp.box.y1)[0, :, amp.box.x0 : amp.box.x1]
        level, noise = clipped_moments(samples), row_pair_noise(samples)
        found.levels[exposure, i], found.level_errors[exposure, i] = level.mean, level.error
        if noise.n > 1:
            found.noises[exposure, i], found.noise_errors[exposure, i] = noise.std, noise.std_error


@dataclass(frozen=True)
class LevelLine:
    """Levels of one amplifier as zero + rate × time [unit of the frames, and per second], robust against outliers."""

    zero: float
    rate: float

    def at(self, times: Float) -> Float:
        """Levels at some dark times."""
        return self.zero + self.rate * times


def level_line(times: Float, levels: Float, *, through_zero: bool) -> LevelLine:
    """Line through the levels of one amplifier: median of the rates, or of the slopes between exposures (Theil 1950).

    Parameters
    ----------
    times, levels : float64 arrays ``[exposure]``
        NaN levels are left out.
    through_zero : bool
        Whether the zero is known to be 0: the exposures had a bias subtracted.
    """
    good = np.isfinite(levels)
    t, y = times[good], levels[good]
    if through_zero:
        return LevelLine(0.0, float(np.median(y[t > 0] / t[t > 0])) if np.any(t > 0) else 0.0)
    slopes = [(y[j] - y[i]) / (t[j] - t[i]) for i, j in combinations(range(t.size), 2) if t[i] != t[j]]
    rate = float(np.median(slopes)) if slopes else 0.0
    return LevelLine(float(np.median(y - rate * t)) if t.size else 0.0, rate)


def level_drifts(times: Float, statistics: StackStatistics, *, through_zero: bool) -> bool:
    """Whether the levels of an amplifier leave the line of their dark times by more than errors and noise explain.

    The deviation that counts is the (lower) median of those a line does not take away by itself, so that a single wild
    exposure is refused and not taken for a drift. One amplifier is enough.
    """
    for levels, errors, noises in zip(statistics.levels.T, statistics.level_errors.T, statistics.noises.T, strict=True):
        good = np.isfinite(levels) & np.isfinite(noises)
        spare = int(good.sum()) - (1 if through_zero else 2)
        if spare < 1:
            continue
        line = level_line(times, np.where(good, levels, np.nan), through_zero=through_zero)
        deviations = np.sort(np.abs(levels - line.at(times))[good])[-max(spare, 2) :]
        typical = float(deviations[(deviations.size - 1) // 2])
        limit = max(DRIFT * float(np.median(noises[good])), SIGNIFICANT * float(np.median(errors[good])))
        if typical > limit:
            return True
    return False
