"""Vampire pixels: bright in a flat because they rob their neighbours of charge. They are masked with a disc."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cpp_defects.config import DefectsConfig
from cpp_framework.model import Mask

RING = 2
"""Neighbours up to so many pixels away are looked at for lost charge."""

MEDIAN_ERROR = 1.2533
"""Error of a median over that of a mean, for a Gaussian: √(π/2)."""


def vampires(response: NDArray[np.float32], errors: NDArray[np.float32], config: DefectsConfig) -> NDArray[np.uint32]:
    """VAMPIRE, with a disc about each: pixels far too bright, and bright ones whose neighbours are dark.

    Pixels of columns and rows with ``column_pixels`` bright ones or more are none.

    Parameters
    ----------
    response, errors : float32 array ``[y, x]``
        Response over that of the surroundings, minus 1; NaN where unknown.
    config : DefectsConfig
    """
    height, width = response.shape
    bits = np.zeros((height, width), np.uint32)
    bright = response > config.bright_threshold - 1
    # A bright column or border is another defect: its pixels are each other's neighbours.
    bright &= np.count_nonzero(bright, axis=0) < config.column_pixels
    bright &= np.count_nonzero(bright, axis=1, keepdims=True) < config.column_pixels
    y, x = np.nonzero(bright)
    if y.size == 0:
        return bits
    ring, error = _ring(response, errors, y, x)
    robbed = (ring < config.vampire_ring - 1) & (ring < -config.n_sigma * error)
    found = robbed | (response[y, x] > config.vampire_threshold - 1)
    for dy, dx in disc(config.vampire_radius).tolist():
        # Discs end at the border of the amplifier.
        at_y, at_x = y[found] + dy, x[found] + dx
        inside = (at_y >= 0) & (at_x >= 0) & (at_y < height) & (at_x < width)
        bits[at_y[inside], at_x[inside]] = Mask.VAMPIRE
    return bits


def disc(radius: int) -> NDArray[np.int64]:
    """Offsets ``(n, 2)`` in y and x of the pixels within ``radius`` of a pixel, itself included."""
    side = np.arange(-radius, radius + 1)
    dy, dx = np.meshgrid(side, side, indexing="ij")
    inside = dy**2 + dx**2 <= radius**2
    return np.stack([dy[inside], dx[inside]], axis=1)


def _ring(
    response: NDArray[np.float32], errors: NDArray[np.float32], y: NDArray[np.intp], x: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Median response of the neighbours of each pixel, and its error: one other defect among them does not count."""
    offsets = disc(RING)
    offsets = offsets[np.any(offsets != 0, axis=1)]
    at_y, at_x = y[:, None] + offsets[:, 0], x[:, None] + offsets[:, 1]
    inside = (at_y >= 0) & (at_x >= 0) & (at_y < response.shape[0]) & (at_x < response.shape[1])
    at = np.where(inside, at_y, 0), np.where(inside, at_x, 0)
    values = np.where(inside, response[at], np.nan)
    count = np.maximum(np.isfinite(values).sum(axis=1), 1)
    ordered = np.sort(values, axis=1)  # NaN last
    median = ordered[np.arange(y.size), (count - 1) // 2].astype(np.float64)
    typical = np.sort(np.where(inside, errors[at], np.nan), axis=1)[np.arange(y.size), (count - 1) // 2]
    return median, MEDIAN_ERROR * typical / np.sqrt(count)
