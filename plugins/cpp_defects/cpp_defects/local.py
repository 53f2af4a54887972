"""The smooth level of an amplifier: what a healthy pixel would read, without a defect's own share in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BLOCK = 32
"""Side of the blocks whose medians are the nodes of the level [pixel]."""

OUTLIER = 5.0
"""A node is an outlier if it is off its neighbours' median by more than this many times the typical scatter."""


def local_level(values: NDArray[np.float32], step: float) -> NDArray[np.float32]:
    """Level of one amplifier ``[y, x]``: medians of blocks, joined by planes and carried on to the borders.

    Glow, vignetting and gradients are in the level; defects smaller than about a block are not.

    Parameters
    ----------
    values : float32 array ``[y, x]``
        NaN where there is no usable value. NaN everywhere gives NaN.
    step : float
        A block that is off its neighbours by less is structure and not full of defects, in the unit of ``values``.
    """
    from cpp_defects._kernels import bilinear, block_medians

    rows, columns = (_edges(size) for size in values.shape)
    nodes = _without_outliers(block_medians(np.ascontiguousarray(values), rows, columns), step)
    row_cell, row_part = _cells(rows)
    column_cell, column_part = _cells(columns)
    return bilinear(nodes, row_cell, row_part, column_cell, column_part)


def _edges(size: int) -> NDArray[np.int64]:
    """Edges of nearly equal blocks, at least one."""
    return np.linspace(0, size, max(size // BLOCK, 1) + 1).astype(np.int64)


def _cells(edges: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Between which two nodes each pixel lies, and where between them; beyond the outer nodes the plane goes on."""
    centres = (edges[:-1] + edges[1:] - 1) / 2
    pixel = np.arange(edges[-1])
    if centres.size == 1:
        return np.zeros(pixel.size, np.int64), np.zeros(pixel.size)
    cell = np.clip(np.searchsorted(centres, pixel, side="right") - 1, 0, centres.size - 2)
    return cell, (pixel - centres[cell]) / np.diff(centres)[cell]


def _without_outliers(nodes: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """Nodes without a value, or far off their neighbours (a block mostly of defects), as the median around them."""
    if not np.isfinite(nodes).any():
        return nodes
    # Borders are carried on with their slope, so that the median of a plane is the plane there, too.
    padded = np.pad(nodes, 1, mode="reflect", reflect_type="odd")
    around = _finite_median(np.lib.stride_tricks.sliding_window_view(padded, (3, 3)).reshape(*nodes.shape, 9))
    around = np.where(np.isfinite(around), around, np.nanmedian(nodes))
    off = np.abs(nodes - around)
    scatter = 1.4826 * float(np.nanmedian(off))
    return np.where(np.isfinite(nodes) & (off <= max(OUTLIER * scatter, step)), nodes, around)


def _finite_median(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median of the finite values along the last axis, NaN where there is none."""
    ordered = np.sort(values, axis=-1)  # NaN last
    n = np.isfinite(ordered).sum(axis=-1, keepdims=True)
    middle = [np.take_along_axis(ordered, np.maximum(index, 0), axis=-1)[..., 0] for index in ((n - 1) // 2, n // 2)]
    return np.asarray(np.where(n[..., 0] > 0, (middle[0] + middle[1]) / 2, np.nan))
