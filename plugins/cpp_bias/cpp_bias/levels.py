"""Checks of single exposures: level (B1), noise (B2) and readout corner (B8) of each held-out residual."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from cpp_bias.config import BiasConfig
from cpp_bias.limits import limits_of, scale_of
from cpp_bias.residual import NO_OVERSCAN, AmplifierResidual
from cpp_framework.model import Check, Level, VerifyContext


def exposure_checks(one: AmplifierResidual, config: BiasConfig, ctx: VerifyContext) -> Iterator[Check]:
    """B1, B2 and B8 of one amplifier of one exposure."""
    yield _level("B1_level", *_mean(one), one, ctx)
    yield _noise(one, ctx)
    yield _level("B8_corner", *_corner(one, config.corner), one, ctx)


def _mean(one: AmplifierResidual) -> tuple[float, float]:
    """Mean residual and its error [adu]."""
    variance = one.factor * one.noise.of_mean(one.moments.n, *one.values.shape)
    return one.moments.mean, math.sqrt(variance)


def _corner(one: AmplifierResidual, side: int) -> tuple[float, float]:
    """Mean of the box read first minus the mean of all, and the error [adu]. The box is part of the whole."""
    rows, columns = one.values.shape
    height, width = min(side, rows // 2), min(side, columns // 2)
    corner = one.values[:height, :width]
    inside, all_pixels = int(np.isfinite(corner).sum()), int(np.isfinite(one.values).sum())
    if inside == 0:
        return math.nan, math.nan
    difference = np.nanmean(corner, dtype=np.float64) - np.nanmean(one.values, dtype=np.float64)
    # Box and whole share the box's noise: the variance of the difference is the difference of the variances.
    variance = one.noise.of_mean(inside, height, width) - one.noise.of_mean(all_pixels, rows, columns)
    return float(difference), math.sqrt(one.factor * variance)


def _level(name: str, value: float, error: float, one: AmplifierResidual, ctx: VerifyContext) -> Check:
    where = _where(one, ctx)
    scale = scale_of(ctx, name, one.amplifier.name)
    if scale is None:
        return Check(name=name, skipped="no gain of this amplifier is known, and no limit is set in adu", **where)
    if math.isnan(value):
        return Check(name=name, skipped="no usable pixel in the corner", **where)
    factor, unit = scale
    return Check(
        name=name, value=value * factor, error=error * factor, unit=unit, expected=0.0, **limits_of(ctx, name), **where
    )


def _noise(one: AmplifierResidual, ctx: VerifyContext) -> Check:
    """Measured over expected noise; the error holds that of both."""
    if one.record.read_noise is None:
        return Check(name="B2_noise", skipped=NO_OVERSCAN, **_where(one, ctx))
    ratio = one.moments.std / math.sqrt(one.factor * one.noise.within(*one.values.shape))
    white_error = one.moments.std_error / one.moments.std * one.noise.pixel / one.noise.total
    own_error = math.hypot(white_error, one.noise.lines_error(*one.values.shape))
    error = ratio * math.hypot(own_error, one.noise.relative_error)
    return Check(
        name="B2_noise",
        value=ratio,
        error=error,
        unit="1",
        expected=1.0,
        **limits_of(ctx, "B2_noise"),
        **_where(one, ctx),
    )


def _where(one: AmplifierResidual, ctx: VerifyContext) -> dict[str, object]:
    return {
        "level": Level.AMPLIFIER,
        "detector": ctx.detector.id,
        "amplifier": one.amplifier.name,
        "exposure": one.exposure,
    }
