"""Mean of the finite samples of a stack, with the noise of the overscan."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

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
    Measured,
    Measurement,
    VerifyContext,
)
from cpp_framework.model.context import Context, Inputs, Needs


class PlainConfig(Config):
    scale: float = setting(1.0, "the image is multiplied by this", unit="1", gt=0)


@dataclass(frozen=True, eq=False, kw_only=True)
class Plain(ImageProduct):
    """Mean [adu]."""


def measure(image: Image, config: PlainConfig, ctx: Context) -> Measurement:
    """Peak-to-peak of each amplifier: 0 in dead ones."""
    return Measurement({"range": np.array([np.ptp(image.amp(amp.name).data) for amp in ctx.detector.amplifiers])})


def solve(inputs: Inputs, needs: Needs, config: PlainConfig, ctx: Context) -> Plain:
    frames = inputs["bias"]
    samples = frames.rows(0, ctx.detector.height)
    used = np.isfinite(samples).sum(axis=0)
    mask = np.where(used == 0, np.uint32(Mask.NO_DATA), np.uint32(0)).astype(np.uint32)
    with warnings.catch_warnings(), np.errstate(divide="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        image = np.nanmean(samples, axis=0, dtype=np.float64) * config.scale
        error = config.scale / np.sqrt(used)
    error[used == 0] = np.nan
    amplifiers = {}
    varies = np.max([one.arrays["range"] for one in frames.measurements], axis=0) != 0
    for amp, alive in zip(ctx.detector.amplifiers, varies, strict=True):
        if not alive:
            mask[amp.box.slices] |= np.uint32(Mask.DEAD_AMPLIFIER | Mask.NO_DATA)
            amplifiers[amp.name] = AmplifierResult(status=AmplifierStatus.DEAD, reason="every pixel has the same value")
            continue
        noise = float(np.sqrt(np.mean([(record.read_noise or 0.0) ** 2 for record in frames.records(amp.name)])))
        error[amp.box.slices] *= noise
        amplifiers[amp.name] = AmplifierResult(values={"read_noise": Measured(value=noise, unit="adu")})
    return Plain(
        unit="adu",
        image=image.astype(np.float32),
        error=error.astype(np.float32),
        mask=mask,
        used=used.astype(np.uint16),
        amplifiers=amplifiers,
    )


def verify(product: Plain, ctx: VerifyContext) -> Iterator[Check]:
    for amp in ctx.detector.amplifiers:
        yield Check(
            name="level",
            level=Level.AMPLIFIER,
            amplifier=amp.name,
            value=float(np.nanmean(product.image[amp.box.slices])),
            unit="adu",
            fail=Limit(low=-10, high=10),
        )


def subtract(image: Image, product: Plain, config: Config) -> None:
    image.data -= product.image
    image.mask |= product.mask
