"""Rates of an amplifier as numbers: median, and 95th percentile without the noise of the image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

HIGH = 0.95
GAUSSIAN_HIGH = 1.6448536269514722
"""95 % of a Gaussian lie below this many σ."""


@dataclass(frozen=True)
class Skewness:
    """How Poisson noise skews the distribution of rates, for a rate Σ factor_k·x_k.

    ``third`` is the third cumulant of the noise of a typical rate, ``per_rate`` the variance a higher rate adds. Both 0
    where no gain is known.
    """

    third: float = 0.0
    per_rate: float = 0.0

    @classmethod
    def of(cls, factors: Float, times: Float, rate: float) -> Self:
        """That of a fit with these factors, in electron."""
        return cls(float(np.sum(factors**3 * times)) * max(rate, 0.0), float(np.sum(factors**2 * times)))

    def shift(self, sigma: float, noise: float, deviate: float) -> float:
        """By how much it moves a quantile (Cornish & Fisher 1938, first term).

        Of rates that spread by more than their ``noise``, the higher also have more noise: the third moment of the sum
        has three times the covariance of rate and variance in it.
        """
        spread = max(sigma**2 - noise**2, 0.0)
        third = self.third + 3 * self.per_rate * spread
        return third / (6 * sigma**2) * (deviate**2 - 1) if sigma > 0 else 0.0


def median_rate(
    rates: NDArray[np.float32], errors: NDArray[np.float32], common: float, skewness: Skewness
) -> tuple[float, float]:
    """Median of finite rates, without what the skewness of their noise does to it, and its error.

    Parameters
    ----------
    rates, errors : float32 arrays
    common : float
        Error that all pixels share.
    skewness : Skewness
    """
    good = np.isfinite(rates) & np.isfinite(errors)
    values = rates[good].astype(np.float64)
    if values.size == 0:
        return math.nan, math.nan
    low, middle, high = np.quantile(values, [0.1587, 0.5, 0.8413])
    sigma = float(high - low) / 2
    # The error of a median is √(π/2) of that of a mean where the middle is Gaussian; hot pixels are not in it.
    own = math.sqrt(math.pi / 2 / values.size) * sigma
    return float(middle) - skewness.shift(sigma, _typical(errors[good]), 0.0), math.hypot(own, common)


def _typical(errors: NDArray[np.float32]) -> float:
    return math.sqrt(float(np.median(np.square(errors, dtype=np.float64))))


def high_rate(
    rates: NDArray[np.float32], errors: NDArray[np.float32], error_scale: float, common: float, skewness: Skewness
) -> tuple[float, float]:
    """95th percentile of the rates that the noise of the image was added to, and its error.

    The observed percentile lies d above the median, noise alone would put it 1.645 σ above, and the estimate is
    median + √(d² − (1.645 σ)²): exact where the true rates are Gaussian or all alike, and where they spread much more
    than the noise.

    Parameters
    ----------
    rates, errors : float32 arrays
        Finite rates and their errors.
    error_scale : float
        Relative error of the errors: that of the read noise they rest on.
    common : float
        Error that all pixels share.
    skewness : Skewness
    """
    good = np.isfinite(rates) & np.isfinite(errors)
    values = rates[good].astype(np.float64)
    if values.size < 100:
        return math.nan, math.nan
    low, median, one, below, high, above = np.quantile(values, [0.1587, 0.5, 0.8413, HIGH - 0.02, HIGH, HIGH + 0.02])
    sigma = float(one - low) / 2
    typical = _typical(errors[good])
    median -= skewness.shift(sigma, typical, 0.0)
    high -= skewness.shift(sigma, typical, GAUSSIAN_HIGH)
    noise = GAUSSIAN_HIGH * typical
    seen = float(high - median)
    # Error of a sample quantile: √(p(1 − p)/n) over the density, here from the quantiles around it. The median's own
    # error is smaller and correlated with it: it is neglected.
    seen_error = math.sqrt(HIGH * (1 - HIGH) / values.size) * float(above - below) / 0.04
    excess = seen**2 - noise**2
    excess_error = math.hypot(2 * seen * seen_error, 2 * noise**2 * error_scale)
    spread = math.sqrt(max(excess, 0.0))
    # d(√e) = de/2√e; near 0 the root of the error bounds it.
    spread_error = min(excess_error / (2 * spread) if spread > 0 else math.inf, math.sqrt(excess_error))
    return float(median) + spread, math.hypot(spread_error, common)
