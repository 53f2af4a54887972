"""Compiled inner loop of the Poisson part of the variance. Its plain numpy reference is in ``tests/isr``.

Only modules that work on pixels import this one: it costs the start of numba.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cpp_framework.stats.jit import kernel

Float = NDArray[np.float32]

REACH = 5
"""Rows and columns of the window the signal is smoothed over."""


@kernel
def add_signal_noise(
    data: Float,
    variance: Float,
    box: tuple[int, int, int, int],
    gain: float,
    clip: float,
    floor: float,
) -> None:
    """Add the signal's Poisson noise [adu²] to a variance plane [adu²] in place; see `cpp_framework.isr.variance`.

    ``box`` is x0, y0, x1, y1 of one amplifier in planes that are contiguous: only rows of such run on SIMD.
    """
    x0, y0, x1, y1 = box
    width = x1 - x0
    columns, smooth = np.empty(width, np.float32), np.empty(width, np.float32)
    per_signal, clip_square, lowest = np.float32(1 / gain), np.float32(clip * clip), np.float32(floor)
    zero, rest = np.float32(0), width - REACH
    for y in range(y0, y1):
        first = min(max(y - 2, y0), y1 - REACH)
        median_of_five(
            data[first, x0:x1],
            data[first + 1, x0:x1],
            data[first + 2, x0:x1],
            data[first + 3, x0:x1],
            data[first + 4, x0:x1],
            columns,
        )
        inside = smooth[2 : width - 2]
        median_of_five(
            columns[: rest + 1],
            columns[1 : rest + 2],
            columns[2 : rest + 3],
            columns[3 : rest + 4],
            columns[4:],
            inside,
        )
        # The outermost pixels share the last whole window.
        smooth[0] = smooth[1] = inside[0]
        smooth[width - 1] = smooth[width - 2] = inside[rest]
        row, noise = data[y, x0:x1], variance[y, x0:x1]
        for x in range(width):
            own, around, before = row[x], smooth[x], noise[x]
            level = around if around > zero else zero
            off = own - around
            stands_out = not (off * off <= clip_square * (before + level * per_signal))
            dark = around < zero and around * around > before
            signal = (own if own > zero else zero) if stands_out else (zero if dark else around)
            total, least = before + signal * per_signal, lowest * before
            noise[x] = total if total > least else least


@kernel
def median_of_five(a: Float, b: Float, c: Float, d: Float, e: Float, out: Float) -> None:
    """Median of five rows, pixel by pixel, with comparisons only, so that it runs on SIMD."""
    for x in range(out.size):
        low_ab, high_ab = (a[x], b[x]) if a[x] < b[x] else (b[x], a[x])
        low_cd, high_cd = (c[x], d[x]) if c[x] < d[x] else (d[x], c[x])
        low = low_ab if low_ab > low_cd else low_cd
        high = high_ab if high_ab < high_cd else high_cd
        below, above = (low, high) if low < high else (high, low)
        upper = e[x] if e[x] < above else above
        out[x] = below if below > upper else upper
