"""Compiled inner loops of instrument-signature removal. Each has a plain numpy reference in ``tests/isr``.

Only modules that work on pixels import this one: it costs the start of numba.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cpp_framework.stats.jit import kernel, reduction_kernel

Pixels = NDArray[Any]
Float = NDArray[np.float32]
Double = NDArray[np.float64]
Bits = NDArray[np.uint32]
Runs = NDArray[np.int32]


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
    if n % 2 == 0:
        above = np.inf
        for i in range(n // 2, n):
            above = min(above, values[i])
        median = 0.5 * (median + above)
    half = 0.5 * quantum
    below = inside = 0
    for i in range(n):
        below += values[i] < median - half
        inside += median - half <= values[i] < median + half
    if quantum > 0 and 2 * (below + inside) != n:
        return median - half + quantum * (0.5 * n - below) / inside
    return median


@reduction_kernel
def _count_below(values: Pixels, n: int, limit: float) -> int:
    count = 0
    for i in range(n):
        count += values[i] < limit
    return count


@kernel
def integer_median(values: Pixels, n: int, guess: float) -> float:
    """What `grouped_median` gives for whole numbers and a quantum of 1, by counting outwards from a guess.

    Counting has no branches to mispredict: ten times faster on an overscan, where the line before is a good guess.
    """
    k = (n - 1) // 2
    low, step = np.floor(guess), 1.0
    while _count_below(values, n, low) > k:
        low -= step
        step *= 2
    high, step = low + 1, 1.0
    while _count_below(values, n, high) <= k:
        low = high
        high += step
        step *= 2
    while high - low > 1:
        middle = np.floor(0.5 * (low + high))
        if _count_below(values, n, middle) <= k:
            low = middle
        else:
            high = middle
    below, up_to = _count_below(values, n, low), _count_below(values, n, high)
    if 2 * up_to != n:
        return float(low - 0.5 + (0.5 * n - below) / (up_to - below))
    above = np.inf
    for i in range(n):
        if values[i] >= high:
            above = min(above, values[i])
    return float(0.5 * (low + above))


@kernel
def line_medians(section: Float, saturation: float, quantum: float, levels: Double, scatter: Double) -> None:
    """Median and mean square about it of every line of ``section[line, sample]``.

    Samples that are not finite or reach ``saturation`` are left out; a line of which less than half is left gets NaN.
    """
    lines, width = section.shape
    values = np.empty(width, section.dtype)
    guess = 0.0
    for line in range(lines):
        n, whole = 0, quantum == 1
        for i in range(width):
            value = section[line, i]
            if np.isfinite(value) and value < saturation:
                values[n] = value
                n += 1
                whole &= value == np.floor(value)
        if 2 * n < width or n == 0:
            levels[line] = scatter[line] = np.nan
            continue
        level = integer_median(values, n, guess) if whole else grouped_median(values, n, quantum)
        square = 0.0
        for i in range(n):
            square += (values[i] - level) ** 2
        levels[line] = guess = level
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


@reduction_kernel
def residual_square(section: Float, levels: Double, limit: float) -> tuple[float, int]:
    """Sum of squares and number of the residuals ``section[line, i] − levels[line]`` within ``limit``.

    Summed in float32 inside a line, in float64 over the lines.
    """
    lines, width = section.shape
    total, n = 0.0, 0
    for line in range(lines):
        level, square, count = np.float32(levels[line]), np.float32(0), 0
        for i in range(width):
            residual = section[line, i] - level
            kept = abs(residual) <= limit
            square += residual * residual if kept else np.float32(0)
            count += kept
        total += float(square)
        n += count
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
def _cubic(u: float, weights: Double) -> None:
    """Values of the four cubic B-splines that are not zero at ``u`` (0 … 1) between two knots."""
    weights[0] = (1 - u) ** 3 / 6
    weights[1] = (3 * u**3 - 6 * u**2 + 4) / 6
    weights[2] = (-3 * u**3 + 3 * u**2 + 3 * u + 1) / 6
    weights[3] = u**3 / 6


@kernel
def _solve_banded(band: Double, right: Double) -> None:
    """Solve a symmetric, positive definite system in place by Cholesky; ``band[i, k]`` is its element ``i, i − k``."""
    size, width = band.shape
    for i in range(size):
        for k in range(min(i, width - 1), -1, -1):
            j, total = i - k, band[i, k]
            for m in range(max(0, i - width + 1), j):
                if j - m < width:
                    total -= band[i, i - m] * band[j, j - m]
            band[i, k] = total / band[j, 0] if k else np.sqrt(total)
        for k in range(1, min(i, width - 1) + 1):
            right[i] -= band[i, k] * right[i - k]
        right[i] /= band[i, 0]
    for i in range(size - 1, -1, -1):
        for k in range(1, min(size - 1 - i, width - 1) + 1):
            right[i] -= band[i + k, k] * right[i + k]
        right[i] /= band[i, 0]


@kernel
def cubic_spline(levels: Double, used: NDArray[np.bool_], pieces: int, stiffness: float, values: Double) -> None:
    """Least-squares cubic spline of ``pieces`` equal pieces through the used levels, evaluated at all lines.

    ``stiffness`` times their mean weight is the weight of the second differences of the coefficients.
    """
    lines, size = levels.size, pieces + 3
    band, right, weights = np.zeros((size, 4)), np.zeros(size), np.empty(4)
    scale = pieces / max(lines - 1, 1)
    for line in range(lines):
        if used[line]:
            first = min(int(line * scale), pieces - 1)
            _cubic(line * scale - first, weights)
            for i in range(4):
                right[first + i] += weights[i] * levels[line]
                for k in range(i + 1):
                    band[first + i, k] += weights[i] * weights[i - k]
    weight = stiffness * band[:, 0].mean()
    bend = (1.0, -2.0, 1.0)
    for first in range(size - 2):
        for i in range(3):
            for k in range(i + 1):
                band[first + i, k] += weight * bend[i] * bend[i - k]
    _solve_banded(band, right)
    for line in range(lines):
        first = min(int(line * scale), pieces - 1)
        _cubic(line * scale - first, weights)
        total = 0.0
        for i in range(4):
            total += weights[i] * right[first + i]
        values[line] = total


@reduction_kernel
def place(
    raw: Pixels,
    rows: Double,
    columns: Float,
    saturation: float,
    full_well: float,
    bits: Bits,
    out: Float,
    mask: Bits,
) -> bool:
    """Put raw pixels less their row and column levels where they belong, and flag them, in one pass.

    ``bits`` are the mask bits of saturated, above-full-well and not-finite pixels. Returns whether raw values differ.
    """
    height, width = raw.shape
    values, signals = np.empty(width, raw.dtype), np.empty(width, np.float32)
    differ = 0
    for y in range(height):
        # Flipped rows cannot be computed on with SIMD, only copied: so one copy in, arithmetic, one copy out.
        for x in range(width):
            values[x] = raw[y, x]
        level, odd = rows[y], 0
        for x in range(width):
            signal = np.float32(values[x] - level) - columns[x]
            signals[x] = signal
            differ |= values[x] != raw[0, 0]
            odd |= (values[x] >= saturation) | (signal >= full_well) | (not np.isfinite(signal))
        for x in range(width):
            out[y, x] = signals[x]
        if odd:
            for x in range(width):
                if values[x] >= saturation:
                    mask[y, x] |= bits[0]
                if signals[x] >= full_well:
                    mask[y, x] |= bits[1]
                if not np.isfinite(signals[x]):
                    mask[y, x] |= bits[2]
    return differ != 0


@kernel
def subtract_columns(data: Float, mask: Bits, columns: Float, full_well: float, bit: np.uint32) -> None:
    """Subtract column levels in place and flag what is then at full well."""
    height, width = data.shape
    for y in range(height):
        for x in range(width):
            signal = data[y, x] - columns[x]
            data[y, x] = signal
            if signal >= full_well:
                mask[y, x] |= bit


@kernel
def _any_bits(row: Bits) -> np.uint32:
    seen = np.uint32(0)
    for x in range(row.size):
        seen |= row[x]
    return seen


@kernel
def count_runs(mask: Bits) -> int:
    """Number of runs of equal bits other than 0 in the rows of a mask."""
    runs = 0
    for y in range(mask.shape[0]):
        if _any_bits(mask[y]):
            before = np.uint32(0)
            for x in range(mask.shape[1]):
                runs += mask[y, x] != before and mask[y, x] != 0
                before = mask[y, x]
    return runs


@kernel
def find_runs(mask: Bits, runs: Runs, bits: Bits) -> None:
    """Write the runs that `count_runs` counted: y, x and length in ``runs[run]``, and their bits."""
    run = -1
    for y in range(mask.shape[0]):
        if _any_bits(mask[y]):
            before = np.uint32(0)
            for x in range(mask.shape[1]):
                if mask[y, x] != 0:
                    if mask[y, x] != before:
                        run += 1
                        runs[run, 0], runs[run, 1], runs[run, 2] = y, x, 0
                        bits[run] = mask[y, x]
                    runs[run, 2] += 1
                before = mask[y, x]


@kernel
def paint_runs(runs: Runs, bits: Bits, first_row: int, mask: Bits) -> None:
    """Paint runs into rows ``first_row …`` of a mask."""
    for run in range(bits.size):
        y, x = runs[run, 0] - first_row, runs[run, 1]
        mask[y, x : x + runs[run, 2]] = bits[run]


@kernel
def blank_runs(runs: Runs, bits: Bits, unusable: np.uint32, first_row: int, rows: Float) -> None:
    """Set samples to NaN where a run has one of the ``unusable`` bits."""
    for run in range(bits.size):
        if bits[run] & unusable:
            y, x = runs[run, 0] - first_row, runs[run, 1]
            rows[y, x : x + runs[run, 2]] = np.nan
