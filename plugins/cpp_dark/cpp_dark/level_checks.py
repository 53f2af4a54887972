"""Checks of single exposures: level (D1) and noise (D2) of each held-out residual."""

from __future__ import annotations

import math
from collections.abc import Iterator

from cpp_dark.limits import limits_of, scale_of
from cpp_dark.product import Dark
from cpp_dark.residual import AmplifierResidual
from cpp_framework.model import Check, Level, VerifyContext


def exposure_checks(one: AmplifierResidual, product: Dark, ctx: VerifyContext) -> Iterator[Check]:
    """D1 and D2 of one amplifier of one exposure."""
    where = {
        "level": Level.AMPLIFIER,
        "detector": ctx.detector.id,
        "amplifier": one.amplifier.name,
        "exposure": one.exposure,
    }
    yield _level(one, product, ctx, where)
    yield _noise(one, ctx, where)


def mean_variance(one: AmplifierResidual) -> float:
    """Variance of the mean residual, in the unit of the exposure squared."""
    return one.noise.of_mean(one.moments.n, *one.values.shape)


def _level(one: AmplifierResidual, product: Dark, ctx: VerifyContext, where: dict[str, object]) -> Check:
    name = "D1_level"
    if product.relative:
        return Check(name=name, skipped="the level of each exposure was fitted", **where)
    scale = scale_of(ctx, name, product, one.amplifier.name)
    if scale is None:
        return Check(name=name, skipped="no gain of this amplifier is known, and no limit is set in adu", **where)
    factor, unit = scale
    return Check(
        name=name,
        value=one.moments.mean * factor,
        error=math.sqrt(mean_variance(one)) * factor,
        unit=unit,
        expected=0.0,
        **limits_of(ctx, name),
        **where,
    )


def _noise(one: AmplifierResidual, ctx: VerifyContext, where: dict[str, object]) -> Check:
    """Measured over expected noise; the error holds that of both."""
    if one.circular:
        return Check(name="D2_noise", skipped=one.circular, **where)
    ratio, noise = one.pull_moments.std, one.noise
    white_error = one.pull_moments.std_error / ratio * noise.pixel / noise.total
    own_error = math.hypot(white_error, noise.lines_error(*one.values.shape))
    return Check(
        name="D2_noise",
        value=ratio,
        error=ratio * math.hypot(own_error, noise.relative_error),
        unit="1",
        expected=1.0,
        **limits_of(ctx, "D2_noise"),
        **where,
    )
