"""Compiled inner loops of instrument-signature removal. Each has a plain numpy reference in ``tests/isr``.

Only modules that work on pixels import this one: it costs the start of numba.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cpp_framework.stats.jit import kernel

Pixels = NDArray[Any]
Float = NDArray[np.float32]
Double = NDArray[np.float64]
Bits = NDArray[np.uint32]
Index = NDArray[np.int64]


@kernel
def _select(values: Pixels, n: int, k: int) -> Any:
    """Hoare's quickselect: reorder ``values[:n]`` so that the k-th smallest is at k, nothing above it before it."""
    low, high = 0, n - 1
    while low < high:
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while pivot < values[j]:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            break
    return values[k]


@kernel
def grouped_median(values: Pixels, n: int, quantum: float) -> float:
    """Median of ``values[:n]`` (reordered); numbers known to a quantum count as spread evenly over it."""
    median = np.float64(_select(values, n, (n - 1) // 2))
    half = 0.5 * quantum
    below = inside = 0
    for i in range(n):
        below += values[i] < median - half
        inside += median - half <= values[i] < median + half
    if quantum > 0 and 2 * (below + inside) != n:
        return median - half + quantum * (0.5 * n - below) / inside
    if n % 2:
        return median
    above = np.inf
    for i in range(n // 2, n):
        above = min(above, values[i])
    return 0.5 * (median + above)


@kernel
def line_medians(section: Float, saturation: float, quantum: float, levels: Double, scatter: Double) -> None:
    """Median and mean square about it of every line of ``section[line, sample]``.

    Samples that are not finite or reach ``saturation`` are left out; a line of which less than half is left gets NaN.
    """
    lines, width = section.shape
    values = np.empty(width, section.dtype)
    for line in range(lines):
        n = 0
        for i in range(width):
            value = section[line, i]
            if np.isfinite(value) and value < saturation:
                values[n] = value
                n += 1
        if 2 * n < width or n == 0:
            levels[line] = scatter[line] = np.nan
            continue
        level = grouped_median(values, n, quantum)
        square = 0.0
        for i in range(n):
            square += (values[i] - level) ** 2
        levels[line] = level
        scatter[line] = square / n


@kernel
def line_means(section: Float, centres: Double, limit: float, levels: Double) -> None:
    """Mean of the samples of every line that lie within ``limit`` of the line's centre; NaN where that is NaN."""
    lines, width = section.shape
    for line in range(lines):
        total, n = 0.0, 0
        for i in range(width):
            if abs(section[line, i] - centres[line]) <= limit:
                total += section[line, i]
                n += 1
        levels[line] = total / n if n else np.nan


@kernel
def residual_square(section: Float, levels: Double, limit: float) -> tuple[float, int]:
    """Sum of squares and number of the residuals ``section[line, i] − levels[line]`` within ``limit``."""
    lines, width = section.shape
    total, n = 0.0, 0
    for line in range(lines):
        for i in range(width):
            residual = section[line, i] - levels[line]
            if abs(residual) <= limit:
                total += residual * residual
                n += 1
    return total, n


@kernel
def _median_between(levels: Double, begin: int, end: int, values: Double) -> tuple[float, int]:
    """Median of the finite levels of lines begin … end−1, and how many there are (left in ``values``)."""
    n = 0
    for i in range(begin, end):
        if np.isfinite(levels[i]):
            values[n] = levels[i]
            n += 1
    return (grouped_median(values, n, 0.0) if n else np.nan), n


@kernel
def find_wild(levels: Double, block: int, limit: float, floor: float, wild: NDArray[np.bool_]) -> None:
    """Flag levels that are off the median of their block *and* of the lines around them.

    Off means further than ``limit`` scaled MADs of the block, each at least ``floor``. A step inside a block puts the
    smaller side off the block, but not off the lines around.
    """
    values = np.empty(2 * block)
    begin = 0
    while begin < levels.size:
        # A short rest would be a poor judge of its own lines, so it joins the block before.
        end = begin + block if levels.size - begin >= 2 * block else levels.size
        median, n = _median_between(levels, begin, end, values)
        for i in range(n):
            values[i] = abs(values[i] - median)
        scale = max(1.4826 * grouped_median(values, n, 0.0), floor) if n else 0.0
        for i in range(begin, end):
            if abs(levels[i] - median) > limit * scale:
                first, last = max(i - block // 2, 0), min(i + block // 2 + 1, levels.size)
                around, _ = _median_between(levels, first, last, values)
                wild[i] = abs(levels[i] - around) > limit * scale
        begin = end


@kernel
def place(
    raw: Pixels,
    rows: Double,
    columns: Double,
    saturation: float,
    full_well: float,
    bits: Bits,
    out: Float,
    mask: Bits,
) -> tuple[float, float]:
    """Put raw pixels less their row and column levels where they belong, and flag them, in one pass.

    ``bits`` are the mask bits of saturated, above-full-well and not-finite pixels. Returns the lowest and highest
    raw value.
    """
    height, width = raw.shape
    low, high = np.inf, -np.inf
    for y in range(height):
        level = rows[y]
        row_low, row_high, top, odd = np.inf, -np.inf, -np.inf, 0
        for x in range(width):
            value = np.float64(raw[y, x])
            signal = value - level - columns[x]
            out[y, x] = signal
            row_low = min(row_low, value)
            row_high = max(row_high, value)
            top = max(top, signal)
            odd += not np.isfinite(value)
        low, high = min(low, row_low), max(high, row_high)
        if row_high >= saturation or top >= full_well or odd:
            for x in range(width):
                value = np.float64(raw[y, x])
                if value >= saturation:
                    mask[y, x] |= bits[0]
                if value - level - columns[x] >= full_well:
                    mask[y, x] |= bits[1]
                if not np.isfinite(value):
                    mask[y, x] |= bits[2]
    return low, high


@kernel
def subtract_columns(data: Float, mask: Bits, columns: Double, full_well: float, bit: np.uint32) -> None:
    """Subtract column levels in place and flag what is then at full well."""
    height, width = data.shape
    for y in range(height):
        for x in range(width):
            signal = data[y, x] - columns[x]
            data[y, x] = signal
            if signal >= full_well:
                mask[y, x] |= bit


@kernel
def count_runs(mask: Bits) -> int:
    """Number of runs of equal bits other than 0 in a flat mask."""
    runs, before = 0, np.uint32(0)
    for i in range(mask.size):
        runs += mask[i] != before and mask[i] != 0
        before = mask[i]
    return runs


@kernel
def find_runs(mask: Bits, starts: Index, lengths: Index, bits: Bits) -> None:
    """Write start, length and bits of the runs that `count_runs` counted."""
    run, before = -1, np.uint32(0)
    for i in range(mask.size):
        if mask[i] != 0:
            if mask[i] != before:
                run += 1
                starts[run], lengths[run], bits[run] = i, 0, mask[i]
            lengths[run] += 1
        before = mask[i]


@kernel
def paint_runs(starts: Index, lengths: Index, bits: Bits, first: int, mask: Bits) -> None:
    """Paint runs into a flat piece of a mask that begins at pixel ``first``; runs may stick out."""
    for run in range(starts.size):
        begin = max(starts[run] - first, 0)
        for i in range(begin, min(starts[run] + lengths[run] - first, mask.size)):
            mask[i] = bits[run]
