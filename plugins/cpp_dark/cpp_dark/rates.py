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

OF_MIDDLES = np.array([[1.571, 0.822], [0.822, 1.355]])
"""Covariance of the median and of the middle of the quantiles ± 1 σ of n Gaussian numbers [σ²/n]."""

SIGMA_ERROR = 0.96
"""Error of half the distance of the quantiles ± 1 σ of n Gaussian numbers [σ/√n]."""

SEEN = 5.0
"""Rates are seen to spread if the variance of the image exceeds that of its noise by this many errors."""


@dataclass(frozen=True)
class Skewness:
    """How Poisson noise skews the distribution of rates, for a rate Σ factor_k·x_k.

    ``third`` is the third cumulant of the noise of a typical rate, ``per_rate`` the variance a higher rate adds. Both 0
    where no gain is known.
    """

    third: float = 0.0
    per_rate: float = 0.0

    @classmethod
    def of(cls, factors: Float, times: Float, rate: float, gain: float | None) -> Self:
        """That of a fit with these factors; the gain is in electron per unit of the samples."""
        if gain is None:
            return cls()
        third = float(np.sum(factors**3 * times)) * max(rate, 0.0) / gain**2
        return cls(third, float(np.sum(factors**2 * times)) / gain)

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
    """Median of the rates that the noise of the image was added to, and its error.

    The median of the image is freed of what the skewness of the noise does to it. Of skewed rates even Gaussian noise
    moves the median, towards the mean: in the first approximation (Cornish & Fisher 1938) their distance goes with
    1/variance, so between the rates it is R = (variance of the image)/(variance of the rates) times that in the image.
    Half of this correction is in the error, as the approximation is rough.

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
    typical = _typical(errors[good])
    median = float(middle) - skewness.shift(sigma, typical, 0.0)
    ratio = _widening(sigma, typical, values.size)
    # The middle of the quantiles ± 1 σ is the mean in that approximation, whatever a far tail of hot pixels does.
    correction = (ratio - 1) * (float(low + high) / 2 - median)
    covariance = sigma**2 / values.size * OF_MIDDLES
    towards = np.array([ratio, 1 - ratio])
    own = math.sqrt(float(towards @ covariance @ towards))
    return median - correction, math.hypot(own, correction / 2, common)


def _widening(sigma: float, noise: float, pixels: int) -> float:
    """Variance of the image over that of the rates in it; 1 where these are not seen to spread at all."""
    spread = sigma**2 - noise**2
    if spread < SEEN * SIGMA_ERROR * sigma**2 * 2 / math.sqrt(pixels):
        return 1.0
    return sigma**2 / spread


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
