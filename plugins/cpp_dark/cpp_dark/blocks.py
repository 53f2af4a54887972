"""Medians of blocks of pixels: the rate around a pixel, without hot ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]


def block_medians(rates: NDArray[np.float32], side: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Medians of square blocks, which hot pixels do not move, and how many pixels are in each; NaN where none."""
    height, width = (size // side for size in rates.shape)
    blocks = rates[: height * side, : width * side].reshape(height, side, width, side)
    flat = blocks.swapaxes(1, 2).reshape(height, width, side**2)
    counts = np.isfinite(flat).sum(axis=2)
    medians = np.full(counts.shape, np.nan)
    medians[counts > 0] = np.nanmedian(flat[counts > 0], axis=1)
    return medians, counts


def surroundings(rates: Plane, side: int) -> Plane:
    """Median of the block each pixel is in; of the whole where that has none, or for the rest beyond the last block."""
    side = max(min(side, *rates.shape), 1)
    medians, counts = block_medians(rates, side)
    medians[counts == 0] = np.nanmedian(rates)
    y, x = (np.minimum(np.arange(size) // side, of - 1) for size, of in zip(rates.shape, medians.shape, strict=True))
    return medians.astype(np.float32)[np.ix_(y, x)]
