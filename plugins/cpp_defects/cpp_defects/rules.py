"""The defects one product shows in one amplifier."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cpp_defects.columns import tails
from cpp_defects.config import DefectsConfig
from cpp_defects.deviation import OF, Deviation, even_part, in_sigma
from cpp_defects.vampires import vampires
from cpp_framework.model import UNUSABLE, Amplifier, ImageProduct, Mask

Bits = NDArray[np.uint32]
Plane = NDArray[np.float32]
A = TypeVar("A", bound=np.generic)

DARKEST = 0.1
"""Response below this part of the amplifier's bright side (its 95th percentile) is none: cold whatever is around it,
because a hole larger than the blocks of the local level looks like vignetting."""

SATURATED = Mask.SAT | Mask.FULL_WELL

LOW_TAILS: dict[str, Mask | None] = {"bias": Mask.BAD_COLUMN, "dark": None, "flat": Mask.BLOCKED}
"""What columns that are too low from some row on are. In a dark they are no defects."""


def usable_values(product: ImageProduct, amp: Amplifier) -> Plane:
    """Values of one amplifier ``[y, x]`` in the product's unit, NaN where there is none to use."""
    plane, mask = product.image[amp.box.slices], product.mask[amp.box.slices]
    return np.where((mask & np.uint32(UNUSABLE)) == 0, plane, np.float32(np.nan))


def electrons_per_unit(unit: str, amp: Amplifier) -> float:
    """The gain for values in adu, 1 for those in electrons and where no gain is known."""
    return amp.gain if unit.startswith("adu") and amp.gain is not None else 1.0


def defects_of(type_name: str, product: ImageProduct, amp: Amplifier, config: DefectsConfig) -> Bits:
    """Reasons why pixels of one amplifier are defects in one product, uint32 ``[y, x]``; 0 where good.

    Parameters
    ----------
    type_name : str
        ``bias``, ``dark`` or ``flat``.
    product : ImageProduct
    amp : Amplifier
    config : DefectsConfig
    """
    values, mask = usable_values(product, amp), product.mask[amp.box.slices]
    bits = mask & np.uint32(SATURATED | Mask.UNSTABLE)
    bits[~np.isfinite(values)] |= np.uint32(Mask.NO_DATA)
    if np.isnan(values).all():
        return bits
    deviation = OF[type_name](values, product.error[amp.box.slices], electrons_per_unit(product.unit, amp), config)
    if config.mode == "sigma":
        deviation = in_sigma(deviation, config.n_sigma)
    bits |= _pixels(deviation, config.n_sigma)
    local = in_readout(deviation.local, amp)
    bits |= in_readout(tails(local, deviation.column, config.n_sigma, LOW_TAILS[type_name]), amp)
    if type_name == "flat":
        bits[values < DARKEST * bright_side(values)] |= np.uint32(Mask.COLD)
        bits |= vampires(deviation.pixels, deviation.errors, config)
    return bits


def bright_side(values: Plane) -> float:
    """The 95th percentile of a part of an amplifier's values that is even over it; NaN where there are none."""
    return float(np.nanpercentile(even_part(values), 95))


def in_readout(plane: NDArray[A], amp: Amplifier) -> NDArray[A]:
    """One amplifier's pixels turned into readout orientation, or back: ``[0, 0]`` is read first."""
    return plane[:: -1 if amp.flip_y else 1, :: -1 if amp.flip_x else 1]


def _pixels(deviation: Deviation, n_sigma: float) -> Bits:
    """HOT and COLD pixels: beyond the limit and significantly so."""
    least = np.float32(n_sigma) * deviation.errors
    high = deviation.pixels > np.maximum(least, np.float32(deviation.high))
    low = deviation.pixels < -np.maximum(least, np.float32(deviation.low))
    return np.asarray(high * np.uint32(Mask.HOT) | low * np.uint32(Mask.COLD))
