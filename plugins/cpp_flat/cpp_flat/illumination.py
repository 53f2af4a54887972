"""Illumination of one detector: a surface of second order over the flat. Reported, never taken out of the flat."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cpp_flat.blocks import MEDIAN_NOISE, block_medians, blocks_of
from cpp_flat.surface import Surface, fit_surface, terms
from cpp_framework.model import Detector, Measured

ORDER = 2


def fit_illumination(detector: Detector, response: NDArray[np.float32]) -> Surface | None:
    """Fit ln(response) of the detector's blocks; each amplifier has a level of its own, so gains do not count.

    ``response`` is ``[y, x]``, NaN where masked. None with too few good blocks.
    """
    blocks = blocks_of(detector)
    values, counts = block_medians(response, blocks)
    around = response.copy()
    for block, value in zip(blocks, values, strict=True):
        around[block.box.slices] -= np.float32(value)
    # Noise and pixel-to-pixel response both scatter the pixels of a block.
    scatter, _ = block_medians(np.abs(around), blocks)
    owner = np.array([block.amplifier for block in blocks])
    x, y = np.array([block.centre for block in blocks]).T
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = MEDIAN_NOISE * 1.4826 * scatter / np.sqrt(counts) / values
        logs = np.where(values > 0, np.log(values), np.nan)
    levels = (owner[:, None] == np.unique(owner)).astype(np.float64)
    fit = fit_surface(detector.shape, (x, y), logs, errors, ORDER, extra=levels if levels.shape[1] > 1 else None)
    return None if fit is None else fit.surface


def illumination_metrics(surface: Surface) -> dict[str, Measured]:
    """How far the corners fall below the centre, and the gradient from edge to edge, as fractions."""
    height, width = surface.shape
    middle = terms(surface.shape, surface.powers, (width - 1) / 2, (height - 1) / 2)
    xs, ys = np.array([-0.5, width - 0.5] * 2), np.array([-0.5, -0.5, height - 0.5, height - 0.5])
    corners = terms(surface.shape, surface.powers, xs, ys).mean(axis=0)
    drop, drop_error = _linear(surface, corners - middle)
    first = [_linear(surface, 2.0 * np.all(surface.powers == power, axis=1)) for power in ((1, 0), (0, 1))]
    gradient = math.hypot(*(value for value, _ in first))
    gradient_error = math.hypot(*(value * error for value, error in first)) / gradient if gradient > 0 else 0.0
    return {
        "illumination_corner_drop": Measured(value=-math.expm1(drop), error=math.exp(drop) * drop_error, unit="1"),
        "illumination_gradient": Measured(value=gradient, error=gradient_error, unit="1"),
    }


def _linear(surface: Surface, combination: NDArray[np.float64]) -> tuple[float, float]:
    """Value and error of a linear combination of the coefficients."""
    variance = float(combination @ surface.covariance @ combination)
    return float(combination @ surface.coefficients), math.sqrt(max(variance, 0.0))
