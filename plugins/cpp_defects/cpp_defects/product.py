"""The defects of a detector as a product: a mask with reasons, and boxes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from cpp_defects.boxes import boxes_of, render
from cpp_framework.model import AmplifierResult, Mask, Measured, RegionProduct

REASONS = (
    Mask.BAD, Mask.UNSTABLE, Mask.COLD, Mask.HOT, Mask.NO_DATA, Mask.VAMPIRE, Mask.BLOCKED, Mask.BAD_COLUMN,
    Mask.USER, Mask.EDGE, Mask.DEAD_AMPLIFIER,
)  # fmt: skip
"""Reasons, the stronger later: a box is of the strongest reason of its pixels, whose others are in the mask.

The wide ones are the stronger, so that a hot pixel does not cut a bad column in pieces. A code is the index + 1.
"""

MEASURED = Mask.HOT | Mask.COLD
"""Pixels that were themselves seen to deviate; columns, discs and borders may hold good ones."""

HAND_MADE = Mask.EDGE | Mask.USER


@dataclass(frozen=True, eq=False, kw_only=True)
class Defects(RegionProduct):
    """Defects of one detector.

    ``mask`` holds BAD and the reasons of each pixel. The table ``REGIONS`` lists boxes that do not overlap: ``x0``,
    ``y0`` (from 0, in the assembled detector), ``width``, ``height`` [pixel] and ``reason``; together they cover the
    masked pixels and no other. Per amplifier there are ``n_hot`` and ``n_cold`` [pixel], ``n_bad_columns`` [column]
    and ``masked_fraction`` [1].
    """

    @property
    def boxes(self) -> NDArray[np.int64]:
        """Boxes ``(n, 4)``: x0, y0, width, height."""
        return corners_of(self.tables["REGIONS"])


def make_defects(
    mask: NDArray[np.uint32], amplifiers: Mapping[str, AmplifierResult], metrics: Mapping[str, Measured] | None = None
) -> Defects:
    """Return the product of a mask: its boxes follow from it.

    Parameters
    ----------
    mask : uint32 array ``[y, x]``
        Bits of `Mask`; every pixel that is not 0 has BAD.
    amplifiers : mapping of str to AmplifierResult
    metrics : mapping of str to Measured, optional
    """
    boxes = boxes_of(reason_codes(mask))
    table = Table()
    for name, column in zip(("x0", "y0", "width", "height"), boxes.corners.T, strict=True):
        table[name] = np.ascontiguousarray(column)
        table[name].unit = "pixel"
    names = np.array(["", *(reason.name or "" for reason in REASONS)])
    table["reason"] = names[boxes.codes]
    return Defects(mask=mask, amplifiers=amplifiers, metrics=metrics or {}, tables={"REGIONS": table})


def reason_codes(mask: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Code of the strongest reason of each pixel, uint8 ``[y, x]``: an index into `REASONS` plus 1, 0 where good."""
    codes = np.zeros(mask.shape, np.uint8)
    y, x = np.nonzero(mask)
    bits, found = mask[y, x], np.ones(y.size, np.uint8)
    for code, reason in enumerate(REASONS, start=1):
        found[(bits & np.uint32(reason)) != 0] = code
    codes[y, x] = found
    return codes


def own_pixels(mask: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Pixels masked for what they are, not only by a border or by hand."""
    other = (mask & ~np.uint32(HAND_MADE | Mask.BAD)) != 0
    return np.asarray(other | (mask == np.uint32(Mask.BAD)))


def rendered(regions: Table, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Draw a table of boxes with reasons as `reason_codes` gives them."""
    names = [reason.name for reason in REASONS]
    codes = np.array([1 + names.index(str(reason)) for reason in regions["reason"]], np.uint8)
    return render(corners_of(regions), codes, shape)


def corners_of(regions: Table) -> NDArray[np.int64]:
    """The boxes of a table, int64 ``(n, 4)``: x0, y0, width, height."""
    return np.stack([np.asarray(regions[name], np.int64) for name in ("x0", "y0", "width", "height")], axis=1)
