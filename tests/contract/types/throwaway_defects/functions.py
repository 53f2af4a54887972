"""A pixel whose dark rate is above a threshold is a defect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from astropy.table import Table

from cpp_framework.declare import Config, setting
from cpp_framework.model import (
    AmplifierResult,
    AmplifierStatus,
    Check,
    Image,
    ImageProduct,
    Level,
    Limit,
    Mask,
    RegionProduct,
    VerifyContext,
)
from cpp_framework.model.context import Context, Inputs, Needs


class DefectConfig(Config):
    hot: float = setting(5.0, "pixels above this dark rate are hot", unit="adu/s", gt=0)


@dataclass(frozen=True, eq=False, kw_only=True)
class Defects(RegionProduct):
    """Hot pixels."""


def solve(inputs: Inputs, needs: Needs, config: DefectConfig, ctx: Context) -> Defects:
    dark = needs["throwaway_dark"]
    assert isinstance(dark, ImageProduct)
    hot = dark.image > config.hot
    mask = np.where(hot, np.uint32(Mask.BAD | Mask.HOT), np.uint32(0)).astype(np.uint32)
    y, x = np.nonzero(hot)
    regions = Table({"X0": x.astype(np.int32), "Y0": y.astype(np.int32)}, units={"X0": "pixel", "Y0": "pixel"})
    amplifiers = {}
    for amp in ctx.detector.amplifiers:
        dead = bool(np.all(dark.mask[amp.box.slices] & Mask.DEAD_AMPLIFIER))
        amplifiers[amp.name] = (
            AmplifierResult(status=AmplifierStatus.DEAD, reason="dead in the dark") if dead else AmplifierResult()
        )
    return Defects(mask=mask, tables={"REGIONS": regions}, amplifiers=amplifiers)


def verify(product: Defects, ctx: VerifyContext) -> Iterator[Check]:
    fraction = float(np.mean((product.mask & Mask.BAD) != 0))
    yield Check(name="budget", level=Level.DETECTOR, value=fraction, unit="1", fail=Limit(high=0.01))


def flag(image: Image, product: Defects, config: Config) -> None:
    image.mask |= product.mask
