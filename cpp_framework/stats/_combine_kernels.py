"""Kernels of `combine`. The plain numpy reference they must equal is in the tests."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cpp_framework.stats.jit import kernel

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int = NDArray[np.int64]
Count = NDArray[np.uint16]
Flag = NDArray[np.bool_]

MAD_TO_SIGMA = 1.4826
CHUNK = 256
"""Pixels combined at once: 25 samples of each fit the first-level cache."""


@kernel
def combine_box(
    samples: Float32,
    which: Int,
    x0: int,
    x1: int,
    variance_at_zero: float,
    variance_per_signal: float,
    clip: float,
    inflate_above: Float64,
    unstable_above: Float64,
    image: Float32,
    error: Float32,
    counted: Count,
    used: Count,
    unstable: Flag,
    centre: Float64,
    limit: Float64,
) -> None:
    """Combine columns ``x0 <= x < x1`` of ``samples[exposure, y, x]`` over the exposures ``which``.

    Fills the planes ``[y, x]``; a sample v was kept if ``abs(v - centre) <= limit``. Pixels with equally many finite
    samples are gathered and go through the same sorting network together.
    """
    most = which.size
    values = np.empty((most, CHUNK), np.float32)
    pixels = np.empty(CHUNK, np.int64)
    present = np.empty(most + 1, np.bool_)
    for y in range(samples.shape[1]):
        for first in range(x0, x1, CHUNK):
            last = min(first + CHUNK, x1)
            counts = counted[y, first:last]
            _count_finite(samples, which, y, first, counts)
            present[:] = False
            for i in range(last - first):
                present[counts[i]] = True
            if present[0]:
                _no_sample(counts, image[y, first:last], error[y, first:last], centre[y, first:last])
            for m in range(1, most + 1):
                if not present[m]:
                    continue
                size = _gather(samples, which, y, first, counts, m, values, pixels)
                _sort(values, m, size)
                _combine_sorted(
                    values, m, pixels[:size], variance_at_zero, variance_per_signal, clip,
                    inflate_above, unstable_above, image[y, first:last], error[y, first:last], used[y, first:last],
                    unstable[y, first:last], centre[y, first:last], limit[y, first:last],
                )  # fmt: skip


@kernel
def _count_finite(samples: Float32, which: Int, y: int, first: int, counts: Count) -> None:
    counts[:] = 0
    for k in which:
        row = samples[k, y, first : first + counts.size]
        for i in range(counts.size):
            counts[i] += np.uint16(abs(row[i]) < np.inf)


@kernel
def _no_sample(counts: Count, image: Float32, error: Float32, centre: Float64) -> None:
    for i in range(counts.size):
        if counts[i] == 0:
            image[i] = error[i] = centre[i] = np.nan


@kernel
def _gather(
    samples: Float32, which: Int, y: int, first: int, counts: Count, m: int, values: Float32, pixels: Int
) -> int:
    """Move the finite samples of all pixels that have m of them into ``values[sample, pixel]``; return how many."""
    size = 0
    for i in range(counts.size):
        if counts[i] == m:
            pixels[size] = i
            size += 1
    if size == counts.size and m == which.size:
        for j in range(m):
            row = samples[which[j], y, first : first + size]
            for i in range(size):
                values[j, i] = row[i]
        return size
    for p in range(size):
        j = 0
        for k in which:
            value = samples[k, y, first + pixels[p]]
            if abs(value) < np.inf:
                values[j, p] = value
                j += 1
    return size


@kernel
def _sort(values: Float32, m: int, size: int) -> None:
    """Sort the m samples of all pixels at once by Batcher's odd-even merge network (Knuth, TAOCP 3, 5.3.4)."""
    merged = 1
    while merged < m:
        step = merged
        while step >= 1:
            for first in range(step % merged, m - step, 2 * step):
                for j in range(first, min(first + step, m - step)):
                    if j // (2 * merged) == (j + step) // (2 * merged):
                        _exchange(values[j], values[j + step], size)
            step //= 2
        merged *= 2


@kernel
def _exchange(low: Float32, high: Float32, size: int) -> None:
    for i in range(size):
        a, b = low[i], high[i]
        low[i] = a if a < b else b
        high[i] = b if a < b else a


@kernel
def _combine_sorted(
    values: Float32,
    m: int,
    pixels: Int,
    variance_at_zero: float,
    variance_per_signal: float,
    clip: float,
    inflate_above: Float64,
    unstable_above: Float64,
    image: Float32,
    error: Float32,
    used: Count,
    unstable: Flag,
    centre: Float64,
    limit: Float64,
) -> None:
    """Clip and average pixels with m sorted samples each, and put the results where ``pixels`` says."""
    size = pixels.size
    middle, reach = np.empty(size), np.empty(size)
    variance = np.empty(size)
    for i in range(size):
        middle[i] = 0.5 * (np.float64(values[(m - 1) // 2, i]) + np.float64(values[m // 2, i]))
        variance[i] = variance_at_zero + max(middle[i], 0.0) * variance_per_signal
        reach[i] = clip * math.sqrt(variance[i])
    if m == 2:
        _keep_lower_of_wide_pairs(values, middle, reach)
    elif m == 3:
        _keep_lowest_of_wide_triples(values, middle, reach)
    if m == 2 or m == 3:
        # Of a pair or triple that was decided for its lowest sample, that sample tells the signal.
        for i in range(size):
            if reach[i] == 0.0:
                variance[i] = variance_at_zero + max(middle[i], 0.0) * variance_per_signal
    if m >= 4:
        deviation = _median_deviation(values, m, middle)
        for i in range(size):
            reach[i] = max(reach[i], clip * MAD_TO_SIGMA * deviation[i])
    number, total, squares = _sums_of_kept(values, m, middle, reach)
    chi2 = np.empty(size)
    for i in range(size):
        offset = total[i] / number[i]
        chi2[i] = max(squares[i] - total[i] * offset, 0.0) / variance[i]
        total[i] = middle[i] + offset
        squares[i] = math.sqrt(variance[i] / number[i])
    for i in range(size):
        x, dof = pixels[i], int(number[i]) - 1
        image[x], error[x], used[x] = total[i], squares[i], np.uint16(number[i])
        centre[x], limit[x] = middle[i], reach[i]
        unstable[x] = chi2[i] > unstable_above[dof]
        if chi2[i] > inflate_above[dof]:
            error[x] = squares[i] * math.sqrt(chi2[i] / dof)


@kernel
def _sums_of_kept(values: Float32, m: int, middle: Float64, reach: Float64) -> tuple[Float64, Float64, Float64]:
    """Number of samples within reach, and sums of their offsets from the middle and of the offsets' squares."""
    size = middle.size
    number, total, squares = np.full(size, float(m)), np.zeros(size), np.zeros(size)
    for j in range(m):
        row = values[j]
        for i in range(size):
            offset = np.float64(row[i]) - middle[i]
            total[i] += offset
            squares[i] += offset * offset
    for i in range(size):
        # Samples are sorted: nearly always the two ends tell that all are kept.
        if middle[i] - values[0, i] <= reach[i] and values[m - 1, i] - middle[i] <= reach[i]:
            continue
        number[i] = total[i] = squares[i] = 0.0
        for j in range(m):
            offset = np.float64(values[j, i]) - middle[i]
            if abs(offset) <= reach[i]:
                number[i] += 1.0
                total[i] += offset
                squares[i] += offset * offset
    return number, total, squares


@kernel
def _keep_lower_of_wide_pairs(values: Float32, middle: Float64, reach: Float64) -> None:
    """Of two samples differing by more than √2 times the reach, only the lower is kept."""
    for i in range(middle.size):
        low, high = np.float64(values[0, i]), np.float64(values[1, i])
        if high - low > math.sqrt(2.0) * reach[i]:
            middle[i], reach[i] = low, 0.0


@kernel
def _keep_lowest_of_wide_triples(values: Float32, middle: Float64, reach: Float64) -> None:
    """Of three samples that all disagree the median is a hit, for hits are positive: only the lowest is kept."""
    for i in range(middle.size):
        low, high = np.float64(values[0, i]), np.float64(values[2, i])
        if middle[i] - low > reach[i] and high - middle[i] > reach[i]:
            middle[i], reach[i] = low, 0.0


@kernel
def _median_deviation(values: Float32, m: int, middle: Float64) -> Float64:
    """Median absolute deviation of m sorted samples from their median.

    The h-th smallest deviation is the half-width, seen from the median, of the narrowest run of h sorted samples.
    """
    lower = _smallest_reach(values, m, (m + 1) // 2, middle)
    if m % 2 == 0:
        upper = _smallest_reach(values, m, m // 2 + 1, middle)
        for i in range(middle.size):
            lower[i] = 0.5 * (lower[i] + upper[i])
    return lower


@kernel
def _smallest_reach(values: Float32, m: int, h: int, middle: Float64) -> Float64:
    reach = np.full(middle.size, np.inf)
    for j in range(m - h + 1):
        low, high = values[j], values[j + h - 1]
        for i in range(middle.size):
            left = middle[i] - np.float64(low[i])
            right = np.float64(high[i]) - middle[i]
            widest = left if left > right else right
            reach[i] = widest if widest < reach[i] else reach[i]
    return reach


@kernel
def weigh_box(
    samples: Float32,
    which: Int,
    weights: Float64,
    x0: int,
    x1: int,
    centre: Float64,
    limit: Float64,
    used: Count,
    image: Float32,
    error: Float32,
) -> None:
    """Replace the mean of the kept samples by their weighted mean, Σwx/Σw, and scale the error to match."""
    for y in range(samples.shape[1]):
        for x in range(x0, x1):
            weight, squares, total = 0.0, 0.0, 0.0
            for k in which:
                offset = np.float64(samples[k, y, x]) - centre[y, x]
                if abs(offset) <= limit[y, x]:
                    weight += weights[k]
                    squares += weights[k] * weights[k]
                    total += weights[k] * offset
            if weight > 0.0:
                image[y, x] = centre[y, x] + total / weight
                error[y, x] *= math.sqrt(used[y, x] * squares) / weight


@kernel
def rejected_runs(
    samples: Float32,
    which: Int,
    x0: int,
    x1: int,
    counted: Count,
    used: Count,
    centre: Float64,
    limit: Float64,
) -> NDArray[np.int32]:
    """Rejected samples as runs ``(exposure, y, x0, length)`` along x, rows counted from the tile's first."""
    most = 0
    for y in range(samples.shape[1]):
        for x in range(x0, x1):
            most += counted[y, x] - used[y, x]
    runs = np.empty((most, 4), np.int32)
    open_run = np.full(samples.shape[0], -1)
    size = 0
    for y in range(samples.shape[1]):
        open_run[:] = -1
        for x in range(x0, x1):
            if counted[y, x] == used[y, x]:
                continue
            for k in which:
                value = samples[k, y, x]
                if not abs(value) < np.inf or abs(np.float64(value) - centre[y, x]) <= limit[y, x]:
                    continue
                run = open_run[k]
                if run >= 0 and runs[run, 2] + runs[run, 3] == x:
                    runs[run, 3] += 1
                else:
                    runs[size] = (k, y, x, 1)
                    open_run[k] = size
                    size += 1
    return runs[:size]
