"""Compiled inner loops of the defects. Each has a plain numpy reference in the tests.

Only modules that work on pixels import this one, when they do: it costs the start of numba.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cpp_framework.stats.jit import kernel

Float = NDArray[np.float32]
Double = NDArray[np.float64]
Index = NDArray[np.int64]
Bits = NDArray[np.bool_]


@kernel
def block_medians(values: Float, rows: Index, columns: Index) -> Double:
    """Medians of the finite values in blocks with edges ``rows`` and ``columns``; NaN where there is none.

    Of each block the fields of one colour of a chessboard are taken: they are enough, at half the time.
    """
    medians = np.full((rows.size - 1, columns.size - 1), np.nan)
    largest = np.max(np.diff(rows)) * np.max(np.diff(columns))
    kept = np.empty(largest + 1, np.float32)  # one more, for the value after the last
    for j in range(rows.size - 1):
        for i in range(columns.size - 1):
            n = 0
            for y in range(rows[j], rows[j + 1]):
                for x in range(columns[i] + (y + columns[i]) % 2, columns[i + 1], 2):
                    kept[n] = values[y, x]
                    n += np.isfinite(values[y, x])  # if it is not, the next one takes its place
            if n > 0:
                medians[j, i] = np.median(kept[:n])
    return medians


@kernel
def bilinear(nodes: Double, row_cell: Index, row_part: Double, column_cell: Index, column_part: Double) -> Float:
    """Plane through the nodes: pixel y lies in cell ``row_cell[y]`` at ``row_part[y]`` of its height; x likewise."""
    plane = np.empty((row_cell.size, column_cell.size), np.float32)
    line = np.empty(nodes.shape[1], np.float64)
    for y in range(row_cell.size):
        below, above = row_cell[y], min(row_cell[y] + 1, nodes.shape[0] - 1)
        for i in range(line.size):
            line[i] = nodes[below, i] + row_part[y] * (nodes[above, i] - nodes[below, i])
        for x in range(column_cell.size):
            left, right = column_cell[x], min(column_cell[x] + 1, line.size - 1)
            plane[y, x] = line[left] + column_part[x] * (line[right] - line[left])
    return plane


@kernel
def strongest_tails(deviation: Float, clip: float, least: int) -> tuple[Index, Double, Double]:
    """Per column, of all tails ``[start:]`` of ``least`` values or more, that with the largest ``|sum|/√n``.

    Values are clipped to ± ``clip`` and those not finite left out. Returns start, ``sum/√n`` with its sign, and the
    mean of the clipped values; start is the height and the others 0 where there is no such tail.
    """
    height, width = deviation.shape
    total, count = np.zeros(width), np.zeros(width)
    start = np.full(width, height)
    strength, mean = np.zeros(width), np.zeros(width)
    for y in range(height - 1, -1, -1):
        for x in range(width):
            value = deviation[y, x]
            if not np.isfinite(value):
                continue
            total[x] += min(max(value, -clip), clip)
            count[x] += 1
            found = total[x] / np.sqrt(count[x])
            if count[x] >= least and abs(found) > abs(strength[x]):
                start[x], strength[x], mean[x] = y, found, total[x] / count[x]
    return start, strength, mean


@kernel
def steps_to_good(bad: Bits, y: int, x: int, dy: int, dx: int, most: int) -> int:
    """Steps from a bad pixel to the nearest good one; minus the steps to leave the image; 0 if more than ``most``."""
    for step in range(1, most + 1):
        y += dy
        x += dx
        if y < 0 or x < 0 or y >= bad.shape[0] or x >= bad.shape[1]:
            return -step
        if not bad[y, x]:
            return step
    return 0


@kernel
def run_length(before: int, after: int, most: int) -> int:
    """Bad pixels between good ones ``before`` and ``after`` steps away; ``most + 1`` if it is not closed or longer."""
    return min(before + after - 1, most + 1) if before > 0 and after > 0 else most + 1


@kernel
def carried(before: int, after: int, most: int) -> int:
    """Signed steps to the good pixel of a run that begins at the border of the image; 0 where there is no such run."""
    if before > 0 and after < 0 and before - after - 1 <= most:
        return -before
    if after > 0 and before < 0 and after - before - 1 <= most:
        return after
    return 0


@kernel
def interpolate(data: Float, variance: Float, bad: Bits, most: int) -> Bits:
    """Fill bad pixels of ``data`` and ``variance`` in place; return which. See `cpp_defects.apply.interpolate`."""
    filled = np.zeros(bad.shape, np.bool_)
    for y in range(bad.shape[0]):
        for x in range(bad.shape[1]):
            if not bad[y, x]:
                continue
            left, right = steps_to_good(bad, y, x, 0, -1, most), steps_to_good(bad, y, x, 0, 1, most)
            below, above = steps_to_good(bad, y, x, -1, 0, most), steps_to_good(bad, y, x, 1, 0, most)
            across, along = run_length(left, right, most), run_length(below, above, most)
            by_row = across < along
            if across == along and across <= most:
                rise_x, rise_y = data[y, x + right] - data[y, x - left], data[y + above, x] - data[y - below, x]
                by_row = abs(rise_x) <= abs(rise_y)  # over equal distances
            if by_row:
                part = left / (left + right)
                data[y, x] = data[y, x - left] * (1 - part) + data[y, x + right] * part
                variance[y, x] = variance[y, x - left] * (1 - part) ** 2 + variance[y, x + right] * part**2
            elif along <= most:
                part = below / (below + above)
                data[y, x] = data[y - below, x] * (1 - part) + data[y + above, x] * part
                variance[y, x] = variance[y - below, x] * (1 - part) ** 2 + variance[y + above, x] * part**2
            else:
                dx, dy = carried(left, right, most), carried(below, above, most)
                if dx == 0 and dy == 0:
                    continue
                if dx != 0 and dy != 0:
                    dx, dy = (dx, 0) if abs(dx) <= abs(dy) else (0, dy)
                data[y, x], variance[y, x] = data[y + dy, x + dx], variance[y + dy, x + dx]
            filled[y, x] = True
    return filled
