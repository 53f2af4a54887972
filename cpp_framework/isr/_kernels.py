"""Compiled inner loops of instrument-signature removal. Each has a plain numpy reference in ``tests/isr``.

Only modules that work on pixels import this one: it costs the start of numba.
"""

from __future__ import annotations

import numpy as np

from cpp_framework.stats.cache import prepare_numba_cache

prepare_numba_cache()

from numba import njit  # noqa: E402  (the cache folder must be settled before numba is imported)


@njit(cache=True, nogil=True)
def _select(values, n, k):  # type: ignore[no-untyped-def]
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


@njit(cache=True, nogil=True)
def grouped_median(values, n, quantum):  # type: ignore[no-untyped-def]
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


@njit(cache=True, nogil=True)
def line_medians(section, saturation, quantum, levels, scatter):  # type: ignore[no-untyped-def]
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


@njit(cache=True, nogil=True)
def line_means(section, centres, limit, levels):  # type: ignore[no-untyped-def]
    """Mean of the samples of every line that lie within ``limit`` of the line's centre; NaN where that is NaN."""
    lines, width = section.shape
    for line in range(lines):
        total, n = 0.0, 0
        for i in range(width):
            if abs(section[line, i] - centres[line]) <= limit:
                total += section[line, i]
                n += 1
        levels[line] = total / n if n else np.nan


@njit(cache=True, nogil=True)
def residual_square(section, levels, limit):  # type: ignore[no-untyped-def]
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


@njit(cache=True, nogil=True)
def local_medians(levels, lines, reach, found):  # type: ignore[no-untyped-def]
    """Median of the finite levels at most ``reach`` lines away from each of ``lines``; NaN if there is none."""
    values = np.empty(2 * reach + 1)
    for k in range(lines.size):
        n = 0
        for i in range(max(0, lines[k] - reach), min(levels.size, lines[k] + reach + 1)):
            if np.isfinite(levels[i]):
                values[n] = levels[i]
                n += 1
        found[k] = grouped_median(values, n, 0.0) if n else np.nan


@njit(cache=True, nogil=True)
def place(raw, rows, columns, saturation, full_well, bits, out, mask):  # type: ignore[no-untyped-def]
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


@njit(cache=True, nogil=True)
def subtract_columns(data, mask, columns, full_well, bit):  # type: ignore[no-untyped-def]
    """Subtract column levels in place and flag what is then at full well."""
    height, width = data.shape
    for y in range(height):
        for x in range(width):
            signal = data[y, x] - columns[x]
            data[y, x] = signal
            if signal >= full_well:
                mask[y, x] |= bit


@njit(cache=True, nogil=True)
def count_runs(mask):  # type: ignore[no-untyped-def]
    """Number of runs of equal bits other than 0 in a flat mask."""
    runs, before = 0, np.uint32(0)
    for i in range(mask.size):
        runs += mask[i] != before and mask[i] != 0
        before = mask[i]
    return runs


@njit(cache=True, nogil=True)
def find_runs(mask, starts, lengths, bits):  # type: ignore[no-untyped-def]
    """Write start, length and bits of the runs that `count_runs` counted."""
    run, before = -1, np.uint32(0)
    for i in range(mask.size):
        if mask[i] != 0:
            if mask[i] != before:
                run += 1
                starts[run], lengths[run], bits[run] = i, 0, mask[i]
            lengths[run] += 1
        before = mask[i]


@njit(cache=True, nogil=True)
def paint_runs(starts, lengths, bits, first, mask):  # type: ignore[no-untyped-def]
    """Paint runs into a flat piece of a mask that begins at pixel ``first``; runs may stick out."""
    for run in range(starts.size):
        begin = max(starts[run] - first, 0)
        for i in range(begin, min(starts[run] + lengths[run] - first, mask.size)):
            mask[i] = bits[run]
