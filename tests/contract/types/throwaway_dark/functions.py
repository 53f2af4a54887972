"""Offset and rate by least squares, per pixel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    VerifyContext,
)
from cpp_framework.model.context import Context, Frames, Needs
from cpp_framework.stats import read_noise_from_differences


class DarkConfig(Config):
    clip: float = setting(5.0, "not used by this small fit", unit="sigma")


@dataclass(frozen=True, eq=False, kw_only=True)
class Dark(ImageProduct):
    """Dark rate [adu/s]."""


def solve(inputs: Mapping[str, Frames], needs: Needs, config: DarkConfig, ctx: Context) -> Dark:
    zeros, darks = inputs["zeros"], inputs["darks"]
    height = ctx.detector.height
    time = np.array([one.dark_time for frames in (zeros, darks) for one in frames.exposures])
    samples = np.concatenate([zeros.rows(0, height), darks.rows(0, height)]).astype(float)
    good = np.isfinite(samples)
    n = good.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        about = time[:, None, None] - (good * time[:, None, None]).sum(axis=0) / n
        spread = np.where(good, about**2, 0).sum(axis=0)
        rate = np.where(good, about * np.nan_to_num(samples), 0).sum(axis=0) / spread
        unit_error = 1 / np.sqrt(spread)
    bad = ~np.isfinite(rate) | (spread < 1e-9)
    rate[bad], unit_error[bad] = np.nan, np.nan
    mask = np.where(bad, np.uint32(Mask.NO_DATA), np.uint32(0)).astype(np.uint32)
    error, amplifiers = unit_error.copy(), {}
    for amp in ctx.detector.amplifiers:
        noise = read_noise_from_differences(zeros, amp.box)
        error[amp.box.slices] *= noise.value
        amplifiers[amp.name] = AmplifierResult(values={"read_noise": noise})
        if noise.value == 0:
            mask[amp.box.slices] |= np.uint32(Mask.DEAD_AMPLIFIER | Mask.NO_DATA)
            amplifiers[amp.name] = AmplifierResult(status=AmplifierStatus.DEAD, reason="no noise in the zeros")
    return Dark(
        unit="adu/s",
        image=rate.astype(np.float32),
        error=error.astype(np.float32),
        mask=mask,
        used=n.astype(np.uint16),
        amplifiers=amplifiers,
        metrics={"exposure_time": Measured(value=float(time.sum()), unit="s")},
    )


def verify(product: Dark, ctx: VerifyContext) -> Iterator[Check]:
    yield Check(
        name="rate", level=Level.DETECTOR, value=float(np.nanmean(product.image)), unit="adu/s", fail=Limit(high=1.0)
    )


def subtract(image: Image, product: Dark, config: Config) -> None:
    assert image.exposure is not None
    image.data -= product.image * np.float32(image.exposure.dark_time)
    image.mask |= product.mask
