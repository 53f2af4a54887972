"""Bad columns: tails that are off as a whole, many bad pixels in one column, saturated ones.

A column is that of one amplifier: charge is shifted along it to the readout, so what happens at one pixel reaches all
that pass it, from there away from the readout.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cpp_framework.model import Mask
from cpp_framework.stats import clipped_moments

Bits = NDArray[np.uint32]
Flags = NDArray[np.bool_]

CLIP = 5.0
"""Pixels count in the sum over a column with at most so many sigma: one hot pixel makes no bad column."""

LEAST = 20
"""Shortest tail of a column that is judged as a whole [pixel]."""

BESIDE = (-8, -7, -6, -5, 5, 6, 7, 8)
"""Columns a bad one is compared with: near, but not so near that a bad column of a few pixels is its own measure."""


def tails(local: NDArray[np.float32], limit: float, n_sigma: float, low: Mask | None) -> Bits:
    """Columns that are off from some row on, away from the readout.

    Of all tails of a column the most significant is judged: it is bad if that is beyond ``n_sigma`` and its median
    beyond ``limit``. One that begins at the readout is the whole column.

    Parameters
    ----------
    local : float32 array ``[y, x]``
        Deviation from the surroundings in readout orientation; NaN where unknown.
    limit : float
        In the unit of ``local``.
    n_sigma : float
    low : Mask or None
        What tails that are too low are; None where they are no defects.

    Returns
    -------
    uint32 array ``[y, x]``
        BAD_COLUMN where too high or a whole column, ``low`` where too low from some row on.
    """
    from cpp_defects._kernels import strongest_tails

    height = local.shape[0]
    bits = np.zeros(local.shape, np.uint32)
    scatter = clipped_moments(local).std
    start, strength, mean = strongest_tails(local, CLIP * scatter, min(LEAST, height))
    # The mean of clipped values is a cheap first look at which columns are worth a median.
    columns = np.flatnonzero((np.abs(strength) > n_sigma * scatter) & (np.abs(mean) > min(limit / 2, scatter)))
    if columns.size == 0:
        return bits
    start = np.where(start < LEAST, 0, start)[columns]
    inside = np.arange(height)[:, None] >= start
    median = _medians(local, columns, inside) - _surroundings(local, columns, inside)
    reason = np.where(median > limit, np.uint32(Mask.BAD_COLUMN), np.uint32(0))
    if low is not None:
        reason[median < -limit] = np.where(start == 0, Mask.BAD_COLUMN, low)[median < -limit]
    bits[:, columns] = inside * reason
    return bits


def _medians(local: NDArray[np.float32], columns: NDArray[np.intp], inside: Flags) -> NDArray[np.float64]:
    """Medians of parts of columns, ``inside[y, column]``; NaN where there is no value."""
    values = np.sort(np.where(inside, local[:, columns], np.float32(np.nan)), axis=0)  # NaN last
    n, index = np.isfinite(values).sum(axis=0), np.arange(columns.size)
    below, above = values[np.maximum(n - 1, 0) // 2, index], values[n // 2, index]
    return np.where(n > 0, (below.astype(np.float64) + above) / 2, np.nan)


def _surroundings(local: NDArray[np.float32], columns: NDArray[np.intp], inside: Flags) -> NDArray[np.float64]:
    """Median of the medians of the same rows in columns near each: what smooth structure the local level has missed."""
    width = local.shape[1]
    beside = np.full((len(BESIDE), columns.size), np.nan)
    for i, step in enumerate(BESIDE):
        there = (columns + step >= 0) & (columns + step < width)
        beside[i, there] = _medians(local, columns[there] + step, inside[:, there])
    known = np.isfinite(beside).any(axis=0)
    found = np.zeros(columns.size)
    found[known] = np.nanmedian(beside[:, known], axis=0)
    return found


def fill_gaps(bad: Flags, least: int, gap: int) -> Flags:
    """Pixels of columns with ``least`` bad ones or more, from the first to the last of them.

    Between two that are ``gap`` rows or more apart the column stays good.

    Parameters
    ----------
    bad : bool array ``[y, x]``
    least : int
    gap : int
    """
    filled = np.zeros(bad.shape, bool)
    columns = np.flatnonzero(np.count_nonzero(bad, axis=0) >= least)
    x, y = np.nonzero(bad[:, columns].T)
    near = (np.diff(x) == 0) & (np.diff(y) < gap)
    # +1 where the way to the next bad pixel begins, −1 where it ends; ways that meet cancel.
    steps = np.zeros((columns.size, bad.shape[0] + 1), np.int32)
    np.add.at(steps, (x[:-1][near], y[:-1][near]), 1)
    np.add.at(steps, (x[1:][near], y[1:][near]), -1)
    filled[:, columns] = steps.cumsum(axis=1)[:, :-1].T > 0
    filled[:, columns] |= bad[:, columns]
    return filled


def fill_columns(bad: Flags, least: int) -> Flags:
    """Whole columns with ``least`` bad pixels or more, bool ``[y, x]``."""
    return np.broadcast_to(np.count_nonzero(bad, axis=0) >= least, bad.shape)


def widened(saturated: Flags, least: int, radius: int) -> Flags:
    """Saturated pixels, and whole columns with ``least`` of them or more, with ``radius`` columns on either side."""
    wide = saturated | fill_columns(saturated, least)
    for step in range(1, radius + 1):
        wide[:, step:] |= saturated[:, :-step]
        wide[:, :-step] |= saturated[:, step:]
    return wide
