"""Gain = mean over variance, from the differences of pairs of flats."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from cpp_framework.declare import Config, setting
from cpp_framework.model import (
    AmplifierResult,
    AmplifierStatus,
    Check,
    Image,
    Level,
    Limit,
    Measured,
    Measurement,
    TableProduct,
    VerifyContext,
    oriented,
)
from cpp_framework.model.context import Context, Frames, Measurements, Needs
from cpp_framework.model.mask import UNUSABLE
from cpp_framework.stats import clipped_moments


class GainConfig(Config):
    clip: float = setting(5.0, "outliers of the difference are clipped here", unit="sigma")


@dataclass(frozen=True, eq=False, kw_only=True)
class GainTable(TableProduct):
    """Gain [electron/adu] per amplifier."""


def measure(pair: tuple[Image, Image], config: GainConfig, ctx: Context) -> Measurement:
    rows = []
    for amp in ctx.detector.amplifiers:
        first, second = (np.where(oriented(one.mask, amp) & UNUSABLE, np.nan, oriented(one.data, amp)) for one in pair)
        difference, mean = clipped_moments(first - second, config.clip), clipped_moments((first + second) / 2)
        read_noise = np.mean([one.records[amp.name].read_noise or 0.0 for one in pair])
        rows.append((mean.mean, difference.std**2 / 2 - read_noise**2, difference.n))
    return Measurement({"table": np.array(rows)}, {"unit": "adu, adu**2, pixel"})


def pool(measurements: Measurements, config: GainConfig, ctx: Context) -> Measurement:
    levels = np.nanmean([[m.arrays["table"][:, 0].mean() for m in some["flat"]] for some in measurements.values()])
    return Measurement(values={"level": float(levels)})


def solve(inputs: Mapping[str, Frames], needs: Needs, config: GainConfig, ctx: Context) -> GainTable:
    frames = inputs["flat"]
    assert frames.shared is not None
    tables = np.stack([one.arrays["table"] for one in frames.measurements])
    amplifiers = {amp.name: _gain(*tables[:, i].T) for i, amp in enumerate(ctx.detector.amplifiers)}
    return GainTable(
        amplifiers=amplifiers, metrics={"level": Measured(value=frames.shared.values["level"], unit="adu")}
    )


def _gain(mean: np.ndarray, variance: np.ndarray, n: np.ndarray) -> AmplifierResult:
    good = np.isfinite(mean) & (variance > 0)
    if not good.any():
        return AmplifierResult(status=AmplifierStatus.FAILED, reason="no pair with photon noise")
    inverse = np.average(variance[good] / mean[good], weights=n[good])
    gain = 1 / inverse
    return AmplifierResult(
        values={"gain": Measured(value=gain, error=gain * math.sqrt(2 / n[good].sum()), unit="electron/adu")}
    )


def verify(product: GainTable, ctx: VerifyContext) -> Iterator[Check]:
    for name, gain in product.provided("gain").items():
        ratio = gain.value / ctx.gains[name]
        yield Check(
            name="nominal",
            level=Level.AMPLIFIER,
            amplifier=name,
            value=ratio,
            error=(gain.error or 0) / ctx.gains[name],
            expected=1.0,
            unit="1",
            fail=Limit(low=0.9, high=1.1),
        )
