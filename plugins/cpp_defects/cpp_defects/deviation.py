"""How far the pixels of a bias, dark or flat are off, and how far a healthy one may be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cpp_defects.config import DefectsConfig
from cpp_defects.local import local_level
from cpp_framework.stats import clipped_moments, profiles

Plane = NDArray[np.float32]

STRIDE = 3
"""Every so many rows and columns are looked at where a percentile need not be exact."""


def even_part(values: Plane) -> Plane:
    """A part of an amplifier's values that is even over it; all of them where the part has none that is finite."""
    part = values[::STRIDE, ::STRIDE]
    return part if np.isfinite(part).any() else values


@dataclass(frozen=True)
class Deviation:
    """One amplifier of one product, all ``[y, x]`` in one unit (adu, electron/s, or 1), NaN where unusable.

    Parameters
    ----------
    pixels : float32 ``[y, x]``
        Deviation that is compared with ``high`` and ``low``.
    local : float32 ``[y, x]``
        Deviation from the surroundings, for columns: compared with ``column``.
    errors : float32 ``[y, x]``
        One sigma of ``pixels``.
    high, low, column : float
        How far a healthy pixel may be above or below, and the median of a healthy column off.
    """

    pixels: Plane
    local: Plane
    errors: Plane
    high: float
    low: float
    column: float


def of_bias(values: Plane, errors: Plane, gain: float, config: DefectsConfig) -> Deviation:  # noqa: ARG001
    """Difference from the surroundings [adu]; the bias is always in adu."""
    local = values - local_level(values, config.bias_threshold / 2)
    return Deviation(local, local, errors, config.bias_threshold, config.bias_threshold, config.column_bias)


def of_dark(values: Plane, errors: Plane, gain: float, config: DefectsConfig) -> Deviation:
    """Rate above the amplifier's median, in the product's unit: thresholds in electron/s are divided by ``gain``.

    A dark has no pixels that are too cold.
    """
    above = values - np.float32(np.nanmedian(even_part(values)))
    local = values - local_level(values, config.dark_threshold / gain / 2)
    return Deviation(above, local, errors, config.dark_threshold / gain, np.inf, config.column_dark / gain)


def of_flat(values: Plane, errors: Plane, gain: float, config: DefectsConfig) -> Deviation:  # noqa: ARG001
    """Response over that of the surroundings, minus 1: vignetting and gradients are in neither."""
    typical = float(np.nanmedian(even_part(values)))
    level = local_level(values, (1 - config.cold_threshold) / 2 * typical)
    level[level <= 0] = np.nan
    local = values / level - np.float32(1)
    high, low = config.bright_threshold - 1, 1 - config.cold_threshold
    return Deviation(local, local, errors / level, high, low, config.column_flat)


OF: dict[str, Callable[[Plane, Plane, float, DefectsConfig], Deviation]] = {
    "bias": of_bias,
    "dark": of_dark,
    "flat": of_flat,
}
"""By calibration type: ``(values, errors, gain, config) -> Deviation``; ``gain`` is electron per unit of the values."""


def in_sigma(deviation: Deviation, n_sigma: float) -> Deviation:
    """The same with limits of ``n_sigma`` times the scatter of pixels and of column means about the surroundings."""
    scatter = clipped_moments(deviation.local).std
    columns = clipped_moments(profiles(deviation.local).columns).std
    return replace(
        deviation,
        pixels=deviation.local,
        errors=np.broadcast_to(np.float32(scatter), deviation.local.shape),
        high=n_sigma * scatter if np.isfinite(deviation.high) else np.inf,
        low=n_sigma * scatter if np.isfinite(deviation.low) else np.inf,
        column=n_sigma * columns,
    )
