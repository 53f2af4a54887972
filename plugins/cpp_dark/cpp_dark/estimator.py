"""The rate as a linear combination of samples: what levels and errors that many pixels share do to it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


def rate_coefficients(times: Float, weights: Float, *, joint: bool) -> Float:
    """Factors c of the weighted fit: rate = Σ c_k x_k over the samples of a pixel without rejection.

    Parameters
    ----------
    times, weights : float64 arrays ``[exposure]``
        Dark times [s], and weights.
    joint : bool
        Whether a zero is fitted too.

    Returns
    -------
    float64 array ``[exposure]``
        [1/s]. NaN if the times do not determine the rate.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        if not joint:
            return np.asarray(weights * times / np.sum(weights * times**2))
        arms = times - np.sum(weights * times) / np.sum(weights)
        spread = float(np.sum(weights * arms**2))
        # Times that are all alike leave rounding errors, no arms.
        determined = spread > 1e-12 * float(np.sum(weights * times**2))
        return np.asarray(weights * arms / spread) if determined else np.full(times.size, np.nan)


def zero_coefficients(times: Float, weights: Float) -> Float:
    """Factors d of the weighted line: zero = Σ d_k x_k over the samples of a pixel without rejection."""
    rate = rate_coefficients(times, weights, joint=True)
    return np.asarray(weights / np.sum(weights) - rate * np.sum(weights * times) / np.sum(weights))
