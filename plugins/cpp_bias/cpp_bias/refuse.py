"""Which exposures are left out of which amplifiers, and which amplifiers are dead."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cpp_framework.model.context import Frames
from cpp_framework.stats import StackStatistics, find_deviant_exposures, stack_statistics


@dataclass(frozen=True)
class Refusals:
    """What `solve` leaves out.

    ``used`` is bool ``[exposure, amplifier]``. ``reasons`` maps ``exposure/amplifier`` to why it is left out there,
    or ``exposure`` if it is left out of every live amplifier. ``dead`` maps amplifiers to why they are dead.
    """

    used: NDArray[np.bool_]
    reasons: dict[str, str]
    dead: dict[str, str]


def refuse(frames: Frames) -> Refusals:
    """Decide what is left out, from level and noise of each exposure.

    An exposure is refused amplifier by amplifier: one bad video channel does not spoil the others. An amplifier
    without a usable or varying pixel in any exposure is dead.
    """
    names = [amp.name for amp in frames.detector.amplifiers]
    statistics = stack_statistics(frames)
    why = _useless(statistics)
    dead = {name: f"{why[0, i]} in all exposures" for i, name in enumerate(names) if all(why[:, i] != "")}
    for one in find_deviant_exposures(*(np.where(why == "", quantity, np.nan) for quantity in statistics)):
        why[one.exposure, one.amplifier] = why[one.exposure, one.amplifier] or one.reason
    alive = [i for i, name in enumerate(names) if name not in dead]
    reasons: dict[str, str] = {}
    for exposure, row in zip(frames.exposures, why, strict=True):
        bad = [i for i in alive if row[i]]
        if bad and len(bad) == len(alive):
            reasons[exposure.id] = f"{row[bad[0]]} (amplifier {names[bad[0]]}; refused in all)"
        else:
            reasons |= {f"{exposure.id}/{names[i]}": row[i] for i in bad}
    return Refusals(why == "", reasons, dead)


def _useless(statistics: StackStatistics) -> NDArray[np.object_]:
    """Text ``[exposure, amplifier]`` where there is nothing to stack, whatever the other exposures say."""
    why = np.full(statistics.levels.shape, "", object)
    why[np.isnan(statistics.levels)] = "no usable pixel"
    why[statistics.level_errors == 0] = "every pixel has the same value"
    return why
