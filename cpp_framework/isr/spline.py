"""A smooth level of all lines of an overscan: a cubic spline fitted to the level each line has of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cpp_framework.isr import _kernels

CLIP = 5.0
"""Lines further than this many standard deviations from the spline take no part."""

_LEAST_LINES = 4
"""Usable lines for each piece of the spline."""
_STIFFNESS = 1e-9
"""Weight of second differences of the coefficients: nothing to data, but a gap is bridged without swinging out."""

Levels1d = NDArray[np.float64]


@dataclass(frozen=True)
class Spline:
    """``values`` of all lines [adu]; ``freedom`` is the share of one line's noise variance that is left in them.

    ``scatter`` is the variance of a single line about a spline without noise [adu²].
    """

    values: Levels1d
    freedom: float
    scatter: float


def fit_spline(levels: Levels1d, spacing: int) -> Spline | None:
    """Fit a cubic spline with even knots by least squares.

    Parameters
    ----------
    levels : float64 array ``[line]``
        NaN leaves a line out. Lines beyond `CLIP` standard deviations from the fit are left out as well.
    spacing : int
        Lines from one knot to the next; more where too few lines are usable.

    Returns
    -------
    Spline or None
        None with fewer than eight usable lines.

    Notes
    -----
    A fit of m coefficients to n lines of variance s² leaves s²·m/n in each line's level, errors of lines closer than
    the knots being the same; the mean over all lines has s²/n, as without a spline.
    """
    used = np.isfinite(levels)
    if used.sum() < 2 * _LEAST_LINES:
        return None
    pieces = min(math.ceil(levels.size / spacing), int(used.sum()) // _LEAST_LINES)
    values = np.empty(levels.size)
    for iteration in range(10):
        _kernels.cubic_spline(levels, used, pieces, _STIFFNESS, values)
        residuals = levels - values
        freedom = (pieces + 3) / int(used.sum())
        variance = float(np.mean(residuals[used] ** 2)) / (1 - freedom)
        # The first fit holds all hits, so its rms would hide them; the median of few lines is no good scale later on.
        square = (1.4826 * float(np.median(np.abs(residuals[used])))) ** 2 if iteration == 0 else variance
        kept = np.isfinite(levels) & (residuals**2 <= CLIP**2 * square / (1 - freedom))
        if np.array_equal(kept, used) or kept.sum() < 2 * (pieces + 3):
            break
        used = kept
    return Spline(values, freedom, variance)
