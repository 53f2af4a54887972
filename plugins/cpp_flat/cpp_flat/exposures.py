"""Checks of single exposures: noise (F1), level and flatness (F2) of each held-out residual."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
from scipy.special import ndtri

from cpp_flat.blocks import BlockMap, mean_map
from cpp_flat.limits import limits_of
from cpp_flat.product import Flat
from cpp_flat.residual import FlatFielded, expected_variance, level_error
from cpp_framework.model import Amplifier, AmplifierRecord, Check, Level, Limit, ResidualFrame, VerifyContext
from cpp_framework.stats import clipped_moments

FEWEST_BLOCKS = 20
"""Blocks it takes to speak of percentiles."""

BRIGHTER_FATTER = 1e4
"""Light [electron] from which on a pixel may have 3 % less variance than Poisson's (brighter-fatter, a₀₀ = -2.6e-6)."""


def exposure_checks(
    one: FlatFielded, clamped: FlatFielded, product: Flat, frame: ResidualFrame, ctx: VerifyContext
) -> Iterator[Check]:
    """F1 and F2 of one exposure; ``clamped`` is the same with hits pulled in, ``frame`` what it was made from."""
    for amp in one.amplifiers:
        yield _noise(one, product, frame, amp, ctx)
        yield _level(one, frame.records[amp.name], frame.scale, amp, ctx)
    yield _flatness(clamped, ctx)


def _noise(one: FlatFielded, product: Flat, frame: ResidualFrame, amp: Amplifier, ctx: VerifyContext) -> Check:
    """Variance of residual over expected noise, by a gain that does not come from these exposures."""
    where = {"level": Level.AMPLIFIER, "detector": ctx.detector.id, "amplifier": amp.name, "exposure": one.exposure}
    gain = 1.0 if product.frame_unit == "electron" else ctx.gains.get(amp.name)
    if gain is None:
        return Check(name="F1_noise", skipped="no gain is known but the one that fits this very noise", **where)
    box = amp.box.slices
    variance = expected_variance(product, amp, frame.model[box], gain) * frame.variance_factor[box]
    with np.errstate(divide="ignore", invalid="ignore"):
        pull = clipped_moments(np.where(np.isfinite(one.ratio[box]), frame.residual[box] / np.sqrt(variance), np.nan))
    value = pull.std**2
    light = gain * frame.scale * product.amplifiers[amp.name].values["throughput"].value
    limits = limits_of(ctx, "F1_noise")
    return Check(
        name="F1_noise",
        value=value,
        error=2 * pull.std * pull.std_error,
        unit="1",
        expected=1.0,
        reason=f"{light:.3g} electron",
        **(low_side_warns(limits) if light > BRIGHTER_FATTER else limits),
        **where,
    )


def low_side_warns(limits: Mapping[str, Limit | None]) -> dict[str, Limit | None]:
    """Return the limits with the low one that fails turned into one that warns."""
    fail, warn = limits["fail"] or Limit(), limits["warn"] or Limit()
    lows = [limit.low for limit in (fail, warn) if limit.low is not None]
    return {"fail": Limit(high=fail.high), "warn": Limit(low=max(lows, default=None), high=warn.high)}


def _level(one: FlatFielded, record: AmplifierRecord, scale: float, amp: Amplifier, ctx: VerifyContext) -> Check:
    moments = clipped_moments(one.ratio[amp.box.slices])
    return Check(
        name="F2_level",
        level=Level.AMPLIFIER,
        detector=ctx.detector.id,
        amplifier=amp.name,
        exposure=one.exposure,
        value=moments.mean,
        error=math.hypot(moments.error, level_error(record, amp, scale)),
        unit="1",
        expected=0.0,
        **limits_of(ctx, "F2_level"),
    )


def _flatness(clamped: FlatFielded, ctx: VerifyContext) -> Check:
    """P99 - P1 of block means without their plane, against what noise alone does."""
    where = {"level": Level.DETECTOR, "detector": ctx.detector.id, "exposure": clamped.exposure}
    blocks = mean_map(ctx.detector, clamped.ratio, clamped.sigma)
    n = blocks.values.size
    if n < FEWEST_BLOCKS:
        return Check(name="F2_flatness", skipped=f"{n} blocks with data; it takes {FEWEST_BLOCKS}", **where)
    left = _without_plane(blocks)
    low, high = np.quantile(left, (0.01, 0.99))
    noise = math.sqrt(float(np.mean(blocks.noise**2)))
    chi2 = float(np.sum((left / blocks.noise) ** 2)) / (n - 3)
    return Check(
        name="F2_flatness",
        value=float(high - low),
        error=_spread_error(n) * noise,
        expected=_expected_spread(n) * noise,
        unit="1",
        reason=f"reduced chi-square of {n} blocks {chi2:.3g}",
        **limits_of(ctx, "F2_flatness"),
        **where,
    )


def _without_plane(blocks: BlockMap) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Block values minus the plane that fits them best."""
    design = np.stack([np.ones(blocks.x.size), blocks.x, blocks.y], axis=1)
    weighted = design / blocks.noise[:, None]
    plane = np.linalg.lstsq(weighted, blocks.values / blocks.noise, rcond=None)[0]
    left: np.ndarray[tuple[int], np.dtype[np.float64]] = blocks.values - design @ plane
    return left


def _expected_spread(n: int) -> float:
    """P99 - P1 of n numbers of unit Gaussian noise: order statistics by Blom (1958), interpolated."""
    place = 0.99 * (n - 1)
    below = int(place)
    ranks = np.minimum(np.array([below, below + 1]) + 1, n)
    quantiles = ndtri((ranks - 0.375) / (n + 0.25))
    return 2 * float(quantiles[0] + (place - below) * (quantiles[1] - quantiles[0]))


def _spread_error(n: int) -> float:
    """Scatter of that number: two independent quantiles, each √(p(1 - p)/n) over the density there for large n.

    The factor for small n is from simulations of 25 to 1024 numbers, and good to 5 %.
    """
    density = math.exp(-(float(ndtri(0.99)) ** 2) / 2) / math.sqrt(2 * math.pi)
    return math.sqrt(2 * 0.99 * 0.01 / (n + 57)) / density
