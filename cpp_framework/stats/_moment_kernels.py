"""Kernel of `clipped_moments`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cpp_framework.stats.jit import reduction_kernel


@reduction_kernel
def moments_within(values: NDArray[np.floating], centre: float, limit: float) -> tuple[int, float, float, float]:
    """Count, mean, variance (divisor n − 1) and fourth central moment of values within ``limit`` of ``centre``."""
    number = first = second = third = fourth = np.float64(0.0)
    for i in range(values.size):
        distance = np.float64(values[i]) - centre
        kept = abs(distance) <= limit
        offset = distance if kept else 0.0
        square = offset * offset
        number += 1.0 if kept else 0.0
        first += offset
        second += square
        third += square * offset
        fourth += square * square
    if number == 0.0:
        return 0, np.nan, np.nan, np.nan
    mean, m2, m3, m4 = first / number, second / number, third / number, fourth / number
    variance = max(m2 - mean * mean, 0.0)
    central = m4 - 4.0 * mean * m3 + 6.0 * mean * mean * m2 - 3.0 * mean**4
    return int(number), centre + mean, variance * number / max(number - 1.0, 1.0), central
