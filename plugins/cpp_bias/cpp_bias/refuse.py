"""Which exposures are left out of which amplifiers, and which amplifiers are dead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cpp_bias.measure import QUANTITIES
from cpp_framework.model import Measurement
from cpp_framework.model.context import Frames
from cpp_framework.stats import find_deviant_exposures


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
    """Decide what is left out, from the measurements of the frames.

    An exposure is refused amplifier by amplifier: one bad video channel does not spoil the others. An amplifier
    without a usable or varying pixel in any exposure is dead.
    """
    names = [amp.name for amp in frames.detector.amplifiers]
    measured = {quantity: _table(frames.measurements, quantity) for quantity in QUANTITIES}
    why = _useless(measured["noise"])
    dead = {name: f"{why[0, i]} in all exposures" for i, name in enumerate(names) if all(why[:, i] != "")}
    for one in find_deviant_exposures(*(np.where(why == "", measured[quantity], np.nan) for quantity in QUANTITIES)):
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


def _table(measurements: Sequence[Measurement], quantity: str) -> NDArray[np.float64]:
    return np.stack([measurement.arrays[quantity] for measurement in measurements])


def _useless(noise: NDArray[np.float64]) -> NDArray[np.object_]:
    """Text ``[exposure, amplifier]`` where there is nothing to stack, whatever the other exposures say."""
    why = np.full(noise.shape, "", object)
    why[np.isnan(noise)] = "no usable pixel"
    why[noise == 0] = "every pixel has the same value"
    return why
