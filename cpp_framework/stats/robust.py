"""Mean and standard deviation without outliers, of pixels, amplifiers, profiles and blocks, with their errors."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cpp_framework.model.detector import Amplifier
from cpp_framework.model.mask import UNUSABLE

START_SIZE = 1 << 15
"""Values from which the first centre and scale are taken."""

COMMON = (0.02, 0.98)
"""Quantiles between which the steps of quantised data are looked for: up to 2 % outliers on either side."""


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation of the values kept, their errors, and how many were kept. NaN if there are none."""

    mean: float
    error: float
    std: float
    std_error: float
    n: int

    @classmethod
    def empty(cls) -> Self:
        """Moments of nothing."""
        return cls(math.nan, math.nan, math.nan, math.nan, 0)


def clipped_moments(values: NDArray[np.floating], clip: float = 5.0, iterations: int = 3) -> Moments:
    """Mean and standard deviation of values within ``clip`` standard deviations of their mean.

    The first centre and scale are median and MAD of up to 32768 values; a few iterations over all of them follow.
    The standard deviation is corrected for the truncation of a Gaussian at ``clip``. Its error comes from the
    fourth moment of what was kept, so it also holds for quantised data.

    Quantised data can have MAD = 0. Their step (the smallest difference from the median among the central 96 %)
    therefore sets a floor of step/√12 for the scale: neighbouring levels are never clipped away.

    Parameters
    ----------
    values : float array of any shape
        Not-finite values are left out.
    clip : float
        Limit in standard deviations.
    iterations : int
        Passes over the data, at least 1.
    """
    from cpp_framework.stats._moment_kernels import moments_within

    flat = np.ascontiguousarray(values).reshape(-1)
    centre, scale, floor = _start(flat)
    if math.isnan(centre):
        return Moments.empty()
    kept, feedback = _truncation(clip)
    n, mean, variance, fourth = 0, centre, scale**2, 0.0
    for _ in range(iterations):
        n, mean, variance_kept, fourth = moments_within(flat, mean, clip * math.sqrt(max(variance, floor**2)))
        variance = variance_kept / kept
    # Variance of a sample variance for any distribution (Kendall & Stuart, vol. 1, 12.5, for k-statistics).
    spread = math.sqrt(max(fourth - variance_kept**2 * (n - 3) / max(n - 1, 1), 0.0) / n) / kept
    std = math.sqrt(variance)
    return Moments(
        mean=mean,
        error=std / math.sqrt(n * kept),
        std=std,
        std_error=spread / (2 * std) * feedback if std > 0 else 0.0,
        n=n,
    )


def _truncation(clip: float) -> tuple[float, float]:
    """Share f of its variance a Gaussian keeps when truncated at ``clip`` σ, and how the limits act on the errors.

    The limits follow the estimates, which raises the error of the mean by 1/f and that of σ by 1/(1 − c·f′/2f).
    """
    density = math.exp(-(clip**2) / 2) / math.sqrt(2 * math.pi) / math.erf(clip / math.sqrt(2))
    kept = 1 - 2 * clip * density
    slope = 2 * density * (clip**2 - 1 + 2 * clip * density)
    return kept, 1 / (1 - clip * slope / (2 * kept))


def _start(values: NDArray[np.floating]) -> tuple[float, float, float]:
    """Median, scale from MAD, and the least scale the steps of the data allow, from an even part of the values."""
    # An odd stride visits all columns of an image whose width is a power of two.
    part = values[:: (values.size // START_SIZE) | 1]
    part = np.sort(part[np.isfinite(part)].astype(np.float64))
    if part.size == 0:
        part = np.sort(values[np.isfinite(values)].astype(np.float64))
    if part.size == 0:
        return math.nan, math.nan, math.nan
    median = float(np.median(part))
    low, high = (int(quantile * part.size) for quantile in COMMON)
    steps = np.abs(part[low : high + 1] - median)
    step = float(np.min(steps, where=steps > 0, initial=math.inf))
    floor = step / math.sqrt(12) if math.isfinite(step) else 0.0
    return median, 1.4826 * float(np.median(np.abs(part - median))), floor


@dataclass(frozen=True)
class AmplifierStatistics:
    """Level and noise of one amplifier of one image, with errors, in the image's unit; ``n`` pixels were kept."""

    level: float
    level_error: float
    noise: float
    noise_error: float
    n: int


def frame_statistics(
    plane: NDArray[np.float32], bits: NDArray[np.uint32], amplifiers: Iterable[Amplifier]
) -> dict[str, AmplifierStatistics]:
    """Level and noise of each amplifier of a masked image ``[y, x]``.

    The level is the clipped mean. The noise is that of differences between rows 2k and 2k + 1, divided by √2:
    column structure and gradients do not count, a pattern that differs from pixel to pixel does.
    """
    statistics = {}
    for amp in amplifiers:
        good = (bits[amp.box.slices] & UNUSABLE) == 0
        values = np.where(good, plane[amp.box.slices], np.float32(np.nan))
        level = clipped_moments(values)
        noise = row_pair_noise(values)
        statistics[amp.name] = AmplifierStatistics(level.mean, level.error, noise.std, noise.std_error, level.n)
    return statistics


def row_pair_noise(values: NDArray[np.float32]) -> Moments:
    """Moments of differences between rows 2k and 2k + 1 of ``values[y, x]``, divided by √2."""
    even = values.shape[0] // 2 * 2
    return clipped_moments((values[1:even:2] - values[0:even:2]) * np.float32(math.sqrt(0.5)))


@dataclass(frozen=True)
class Profiles:
    """Means along the axes of an image: ``rows[y]`` and ``columns[x]``, NaN where empty, and how many pixels each."""

    rows: NDArray[np.float64]
    row_counts: NDArray[np.int64]
    columns: NDArray[np.float64]
    column_counts: NDArray[np.int64]


def profiles(plane: NDArray[np.floating]) -> Profiles:
    """Means of the finite pixels of each row and each column of ``plane[y, x]``."""
    good = np.isfinite(plane)
    values = np.where(good, plane, 0).astype(np.float64)
    row_counts, column_counts = good.sum(axis=1), good.sum(axis=0)
    rows, columns = _mean(values.sum(axis=1), row_counts), _mean(values.sum(axis=0), column_counts)
    return Profiles(rows, row_counts, columns, column_counts)


def block_means(plane: NDArray[np.floating], block: int = 16) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Means and numbers of the finite pixels in blocks of ``block`` × ``block``; pixels beyond the last whole block
    are left out.

    Returns
    -------
    means, counts : arrays ``[y // block, x // block]``
        NaN and 0 where a block has no finite pixel.
    """
    height, width = (size // block for size in plane.shape)
    blocks = plane[: height * block, : width * block].reshape(height, block, width, block)
    good = np.isfinite(blocks)
    counts = good.sum(axis=(1, 3))
    return _mean(np.where(good, blocks, 0).sum(axis=(1, 3), dtype=np.float64), counts), counts


def _mean(sums: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    means = np.full(sums.shape, np.nan)
    np.divide(sums, counts, out=means, where=counts > 0)
    return means
