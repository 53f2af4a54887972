"""A plain-numpy master bias, written without looking at the product's code: what the real sets are compared with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits


@dataclass(frozen=True)
class Section:
    """Half-open columns of data and of overscan (None if there is none); ``right`` if the overscan's far end is read
    first is of no matter here: all of it but ``skip`` columns next to the data is used.
    """

    data: tuple[int, int]
    overscan: tuple[int, int] | None = None
    skip: int = 3
    skip_at_end: bool = False


def read(path: Path, hdu: int) -> np.ndarray:
    """Pixels of one HDU in float64."""
    with fits.open(path) as hdus:
        return np.asarray(hdus[hdu].data, float)


def overscan_corrected(raw: np.ndarray, section: Section) -> np.ndarray:
    """Data minus the median of each row's overscan; the data themselves where there is none."""
    data = raw[:, slice(*section.data)]
    if section.overscan is None:
        return data
    return data - np.median(_overscan(raw, section), axis=1)[:, None]


def _overscan(raw: np.ndarray, section: Section) -> np.ndarray:
    assert section.overscan is not None
    first, last = section.overscan
    return raw[:, first : last - section.skip] if section.skip_at_end else raw[:, first + section.skip : last]


def read_noise(raws: list[np.ndarray], section: Section) -> float:
    """Standard deviation of the overscan about its row's mean, outliers beyond 5 sigma left out."""
    squares, count = 0.0, 0
    for raw in raws:
        strip = _overscan(raw, section)
        rest = strip - strip.mean(axis=1)[:, None]
        rest *= np.sqrt(strip.shape[1] / (strip.shape[1] - 1))
        good = np.abs(rest) < 5 * rest.std()
        squares, count = squares + np.sum(rest[good] ** 2), count + good.sum()
    return float(np.sqrt(squares / count))


def difference_noise(frames: list[np.ndarray]) -> float:
    """Read noise from differences of successive frames, by percentiles."""
    found = []
    for one, two in zip(frames[::2], frames[1::2], strict=True):
        low, high = np.percentile(two - one + np.random.default_rng(1).uniform(-0.5, 0.5, one.shape), [15.866, 84.134])
        found.append(((high - low) / 2) ** 2 / 2 - 1 / 24)
    return float(np.sqrt(np.mean(found)))


def clipped_mean(stack: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and count of the samples within 4 scales of the pixel's median."""
    middle = np.nanmedian(stack, axis=0)
    scale = np.full(middle.shape, sigma)
    if len(stack) >= 4:
        scale = np.maximum(scale, 1.4826 * np.nanmedian(np.abs(stack - middle), axis=0))
    good = np.abs(stack - middle) <= 4 * scale
    return np.nanmean(np.where(good, stack, np.nan), axis=0), good.sum(axis=0)
