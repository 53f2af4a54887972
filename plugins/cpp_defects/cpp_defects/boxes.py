"""Boxes that cover a map of codes exactly: runs along rows or columns, merged where equal, the shorter list kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint8]


@dataclass(frozen=True)
class Boxes:
    """Boxes that do not overlap, in order of y0, then x0.

    ``corners`` are int64 ``(n, 4)``: x0, y0, width, height (pixels from 0); ``codes`` uint8 ``(n,)``.
    """

    corners: NDArray[np.int64]
    codes: Codes

    def render(self, shape: tuple[int, int]) -> Codes:
        """Draw the boxes: uint8 ``[y, x]``, 0 outside of them."""
        return render(self.corners, self.codes, shape)


def render(corners: NDArray[np.int64], codes: Codes, shape: tuple[int, int]) -> Codes:
    """Draw boxes that do not overlap: uint8 ``[y, x]``, the code of its box in each pixel and 0 outside."""
    return _sums(corners, codes, shape).astype(np.uint8)


def count(corners: NDArray[np.int64], shape: tuple[int, int]) -> NDArray[np.int32]:
    """How many of the boxes, which may overlap, cover each pixel: int32 ``[y, x]``."""
    return _sums(corners, np.ones(len(corners), np.uint8), shape)


def _sums(corners: NDArray[np.int64], values: Codes, shape: tuple[int, int]) -> NDArray[np.int32]:
    """Sum of the values of the boxes over each pixel: each adds its value at its corners, running sums do the rest."""
    x0, y0, width, height = corners.T
    steps = np.zeros((shape[0] + 1, shape[1] + 1), np.int32)
    value = values.astype(np.int32)
    for y, x, sign in ((y0, x0, 1), (y0 + height, x0, -1), (y0, x0 + width, -1), (y0 + height, x0 + width, 1)):
        np.add.at(steps, (y, x), sign * value)
    return steps.cumsum(axis=0, out=steps).cumsum(axis=1, out=steps)[:-1, :-1]


def boxes_of(codes: Codes) -> Boxes:
    """Cover all pixels of each code but 0 with boxes.

    Each code takes the shorter of two lists: runs along rows merged upwards, or runs along columns merged sideways.

    Parameters
    ----------
    codes : uint8 array ``[y, x]``
    """
    by_rows, row_codes = _merged_runs(codes)
    by_columns, column_codes = _merged_runs(codes.T)
    by_columns = by_columns[:, [1, 0, 3, 2]]
    counts = [np.bincount(found, minlength=256) for found in (row_codes, column_codes)]
    rows_win = counts[0] <= counts[1]
    keep_rows, keep_columns = rows_win[row_codes], ~rows_win[column_codes]
    corners = np.concatenate([by_rows[keep_rows], by_columns[keep_columns]])
    found = np.concatenate([row_codes[keep_rows], column_codes[keep_columns]])
    order = np.lexsort((corners[:, 0], corners[:, 1]))
    return Boxes(corners[order], found[order])


def _merged_runs(codes: Codes) -> tuple[NDArray[np.int64], Codes]:
    """Runs of one code along the second axis; equal runs on successive lines are one box of x0, y0, width, height."""
    line, start, length, code = _runs(codes)
    order = np.lexsort((line, length, start, code))
    line, start, length, code = line[order], start[order], length[order], code[order]
    if line.size == 0:
        return np.zeros((0, 4), np.int64), code
    same = (np.diff(start) == 0) & (np.diff(length) == 0) & (np.diff(code.astype(np.int16)) == 0)
    first = np.flatnonzero(np.concatenate([[True], ~(same & (np.diff(line) == 1))]))
    height = np.diff(np.append(first, line.size))
    return np.stack([start[first], line[first], length[first], height], axis=1), code[first]


def _runs(codes: Codes) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], Codes]:
    """Line, start, length and code of each run that is not 0, along the second axis."""
    # Most lines have no defect at all; only the others are looked at.
    lines = np.flatnonzero(codes.any(axis=1))
    few = codes[lines]
    change = np.ones((len(few), codes.shape[1] + 1), bool)
    change[:, 1:-1] = few[:, 1:] != few[:, :-1]
    y, x = np.nonzero(change)
    inside = x < codes.shape[1]
    length = np.diff(x, append=0)[inside]
    y, x = y[inside], x[inside]
    code = few[y, x]
    set_ = code != 0
    return lines[y[set_]], x[set_], length[set_], code[set_]
