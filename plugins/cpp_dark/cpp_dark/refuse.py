"""Which exposures are left out of which amplifiers, and which amplifiers are dead."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cpp_dark.frames import StackedFrames
from cpp_dark.levels import Float, level_line
from cpp_framework.stats import StackStatistics, find_deviant_exposures


@dataclass(frozen=True)
class Refusals:
    """What `solve` leaves out.

    ``used`` is bool ``[exposure, amplifier]``. ``reasons`` maps ``exposure/amplifier`` to why it is left out there,
    or ``exposure`` if it is left out of every live amplifier. ``dead`` maps amplifiers to why they are dead.
    """

    used: NDArray[np.bool_]
    reasons: dict[str, str]
    dead: dict[str, str]


def refuse(
    frames: StackedFrames, times: Float, statistics: StackStatistics, *, through_zero: bool, free_offsets: bool
) -> Refusals:
    """Decide what is left out, from level and noise of each exposure.

    Levels and noises are brought to one dark time before they are compared: levels along the line they follow, noises
    by the Poisson noise of that line where a gain is known. Where each exposure has a free offset, levels do not count.
    Fewer than three exposures judge nobody.

    Parameters
    ----------
    frames : StackedFrames
    times : float64 array ``[exposure]``
        Dark times [s]; not finite where unknown.
    statistics : StackStatistics
    through_zero : bool
        Whether the level at time 0 is 0.
    free_offsets : bool
    """
    names = [amp.name for amp in frames.detector.amplifiers]
    why = useless(times, statistics)
    dead = {name: f"{why[0, i]} in all exposures" for i, name in enumerate(names) if all(why[:, i] != "")}
    reference = _reference(times)
    compared = _comparable(frames, times, statistics, why, reference, through_zero, free_offsets)
    # Darks are judged among darks: bias exposures tell the zero, but not which of two darks is the odd one.
    for group in (np.flatnonzero(times > 0), np.flatnonzero(times == 0)):
        for one in find_deviant_exposures(*(numbers[group] for numbers in compared), unit=frames.unit):
            k, i = int(group[one.exposure]), one.amplifier
            brought = f" (brought to {reference:g} s)" if times[k] != reference else ""
            why[k, i] = why[k, i] or one.reason + brought
    alive = [i for i, name in enumerate(names) if name not in dead]
    reasons: dict[str, str] = {}
    for exposure, row in zip(frames.exposures, why, strict=True):
        bad = [i for i in alive if row[i]]
        if bad and len(bad) == len(alive):
            reasons[exposure.id] = f"{row[bad[0]]} (amplifier {names[bad[0]]}; refused in all)"
        else:
            reasons |= {f"{exposure.id}/{names[i]}": row[i] for i in bad}
    return Refusals(why == "", reasons, dead)


def useless(times: Float, statistics: StackStatistics) -> NDArray[np.object_]:
    """Text ``[exposure, amplifier]`` where there is nothing to stack, whatever the other exposures say."""
    why = np.full(statistics.levels.shape, "", object)
    why[np.isnan(statistics.levels)] = "no usable pixel"
    why[statistics.level_errors == 0] = "every pixel has the same value"
    for k, time in enumerate(times):
        if not (math.isfinite(time) and time >= 0):
            why[k] = f"dark time {time} s"
    return why


def _reference(times: Float) -> float:
    """The dark time to compare at [s]: the median of those above 0."""
    known = times[np.isfinite(times) & (times > 0)]
    return float(np.median(known)) if known.size else 0.0


def _comparable(
    frames: StackedFrames,
    times: Float,
    statistics: StackStatistics,
    why: NDArray[np.object_],
    reference: float,
    through_zero: bool,
    free_offsets: bool,
) -> tuple[Float, Float, Float, Float]:
    """Levels, their errors, noises and their errors, brought to the dark time ``reference``; NaN where useless."""
    levels, level_errors, noises, noise_errors = (np.where(why == "", one, np.nan) for one in statistics)
    alone = np.array([np.sum(times == time) == 1 for time in times])
    measured = [float(np.nanmedian(column)) if np.any(np.isfinite(column)) else math.nan for column in noises.T]
    gains = frames.poisson_gains()
    for i, amp in enumerate(frames.detector.amplifiers):
        line = level_line(times, levels[:, i], through_zero=through_zero)
        # Levels that drift do not tell the dark signal, so its noise has to tell itself; so it has without a gain.
        growth = line.rate / gains[amp.name] if amp.name in gains else math.nan
        if free_offsets or amp.name not in gains:
            growth = level_line(times, noises[:, i] ** 2, through_zero=False).rate
        levels[:, i] += line.rate * (reference - times)
        noises[alone, i] = np.nan
        variance = noises[:, i] ** 2
        missing = max(growth, 0.0) * (reference - times)
        noises[:, i] = np.sqrt(np.maximum(variance + missing, 0.25 * variance))
        # An exposure that has no companion of its dark time shows its noise only together with that of others.
        unjudged = alone & np.isfinite(levels[:, i])
        noises[unjudged, i] = np.nanmedian(noises[:, i]) if np.any(np.isfinite(noises[:, i])) else measured[i]
    if free_offsets:
        levels[np.isfinite(levels)] = 0.0
    return levels, level_errors, noises, noise_errors
