"""Several masks of one detector as one: what all, any, or enough of them have."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cpp_framework.errors import IncompatibleError


def merge_masks(masks: Sequence[NDArray[np.uint32]], mode: str, fraction: float = 0.7) -> NDArray[np.uint32]:
    """Merge masks: pixels that enough of them have, with the reasons any of them gives.

    Parameters
    ----------
    masks : sequence of uint32 arrays ``[y, x]``
        At least one.
    mode : str
        ``and``: a pixel must be masked in all; ``or``: in one; ``fraction``: in more than ``fraction`` of them.
    fraction : float
        From 0 to less than 1.

    Raises
    ------
    IncompatibleError
        There is no mask, their shapes differ, or mode or fraction make no sense.
    """
    shapes = {mask.shape for mask in masks}
    if len(shapes) != 1:
        raise IncompatibleError(f"masks to merge must be of one shape, not {sorted(shapes) or 'none at all'}")
    if mode not in ("and", "or", "fraction") or not 0 <= fraction < 1:
        raise IncompatibleError(
            f"masks cannot be merged by {mode!r} with fraction {fraction}",
            hint="modes are and, or, fraction; a fraction is at least 0 and less than 1",
        )
    votes = np.zeros(masks[0].shape, np.uint16)
    union = np.zeros(masks[0].shape, np.uint32)
    for mask in masks:
        votes += mask != 0
        union |= mask
    enough = {"and": votes == len(masks), "or": votes > 0, "fraction": votes > fraction * len(masks)}[mode]
    return np.where(enough, union, np.uint32(0))
