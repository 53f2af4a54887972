"""The stack a dark is made from: its exposures, what is left out, their noise, and what has to be fitted."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cpp_dark.config import DarkConfig
from cpp_dark.frames import StackedFrames
from cpp_dark.levels import Float, exposure_statistics, level_drifts, level_line
from cpp_dark.noise import SampleNoise, sample_noise
from cpp_dark.product import dark_time
from cpp_dark.refuse import Refusals, refuse, useless
from cpp_framework.errors import InputsMissingError
from cpp_framework.model.context import Inputs, Needs
from cpp_framework.stats import StackStatistics

BIAS = "bias"


@dataclass(frozen=True)
class DarkStack:
    """The exposures, and what was decided about them.

    ``joint`` is True where a zero plane is fitted with the rate; ``free_offsets`` where a level of each exposure is.
    """

    frames: StackedFrames
    times: Float
    statistics: StackStatistics
    refusals: Refusals
    noise: SampleNoise
    joint: bool
    free_offsets: bool
    few: bool = False

    @property
    def in_stack(self) -> NDArray[np.bool_]:
        """Bool ``[exposure]``: used in some amplifier."""
        found: NDArray[np.bool_] = np.any(self.refusals.used, axis=1)
        return found


def prepare(inputs: Inputs, needs: Needs, config: DarkConfig) -> DarkStack:
    """Measure level and noise of the exposures, and decide what is fitted and what is left out."""
    has_bias = BIAS in needs
    names = ("dark",) if has_bias else (BIAS, "dark")
    frames = StackedFrames([inputs[name] for name in names if name in inputs])
    times = np.array([dark_time(exposure) for exposure in frames.exposures])
    statistics = exposure_statistics(frames, times)
    if not has_bias:
        _require_two_times(frames, times, useless(times, statistics))
    free = config.offsets == "free"
    if config.offsets == "auto" and not frames.detector.has_overscan:
        free = level_drifts(times, statistics, through_zero=has_bias)
    refusals = refuse(frames, times, statistics, through_zero=has_bias, free_offsets=free)
    if not has_bias:
        refusals = _without_amplifiers_of_one_time(frames, times, refusals)
    signals = _signals(times, statistics, refusals, through_zero=has_bias, free=free)
    noise = sample_noise(frames, times, statistics, refusals.used, signals)
    counts = [count for i in range(len(frames.detector.amplifiers)) if (count := int(refusals.used[:, i].sum()))]
    least = min(counts, default=len(times))
    few = least < 2 if has_bias else least < 4
    return DarkStack(frames, times, statistics, refusals, noise, joint=not has_bias, free_offsets=free, few=few)


def _require_two_times(frames: StackedFrames, times: Float, why: NDArray[np.object_]) -> None:
    usable = np.any(why == "", axis=1)
    found = np.unique(times[usable])
    if usable.any() and found.size < 2:
        raise InputsMissingError(
            f"dark of detector {frames.detector.name!r}: without a bias, zero and rate are told apart by exposures of "
            f"two dark times; all {int(usable.sum())} have {found[0]:g} s",
            hint="cpp produce --type bias first, or take darks of a second exposure time",
        )


def _without_amplifiers_of_one_time(frames: StackedFrames, times: Float, refusals: Refusals) -> Refusals:
    """Amplifiers where refusals have left exposures of one dark time only cannot be fitted."""
    dead, used = dict(refusals.dead), refusals.used.copy()
    for i, amp in enumerate(frames.detector.amplifiers):
        left = np.unique(times[used[:, i]])
        if amp.name not in dead and left.size < 2:
            dead[amp.name] = "without a bias it takes exposures of two dark times, and others were refused"
            used[:, i] = False
    return replace(refusals, dead=dead, used=used)


def _signals(times: Float, statistics: StackStatistics, refusals: Refusals, *, through_zero: bool, free: bool) -> Float:
    """Dark signal of the typical pixel ``[exposure, amplifier]``; 0 where levels do not tell it."""
    signals = np.zeros(statistics.levels.shape)
    if not free:
        for i in range(statistics.levels.shape[1]):
            levels = np.where(refusals.used[:, i], statistics.levels[:, i], math.nan)
            if np.any(np.isfinite(levels)):
                signals[:, i] = level_line(times, levels, through_zero=through_zero).rate * times
    return signals
