"""What the types of `run_types` do.

The environment tells how long they take and where they leave a trace of having begun, so that recipes do not depend
on it.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cpp_framework.declare import Config
from cpp_framework.model import AmplifierResult, Check, Image, ImageProduct, Measured, Measurement, TableProduct
from cpp_framework.model.context import Context, Inputs, Measurements, Needs, VerifyContext


class MeanConfig(Config):
    """No settings."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Mean(ImageProduct):
    """Mean [adu]."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Level(TableProduct):
    """One number."""


def _take_time(what: str, ctx: Context) -> None:
    if "RUN_TYPES_TRACE" in os.environ:
        (Path(os.environ["RUN_TYPES_TRACE"]) / f"{what}-{ctx.detector.id}").touch()
    time.sleep(float(os.environ.get(f"RUN_TYPES_{what}", "0")))


def measure(image: Image, config: MeanConfig, ctx: Context) -> Measurement:
    _take_time("MEASURE", ctx)
    return Measurement({"mean": np.array([image.data.mean(dtype=np.float64)])})


def pool(measurements: Measurements, config: MeanConfig, ctx: Context) -> Measurement:
    levels = [one.arrays["mean"][0] for some in measurements.values() for one in some["bias"]]
    dither = np.random.default_rng(ctx.seed).normal()
    return Measurement({"level": np.array([np.sum(levels) + dither])})


def pool_that_raises(measurements: Measurements, config: MeanConfig, ctx: Context) -> Measurement:
    raise ArithmeticError(f"{len(measurements)} detectors do not agree")


def solve(inputs: Inputs, needs: Needs, config: MeanConfig, ctx: Context) -> Mean:
    _take_time("SOLVE", ctx)
    samples = inputs["bias"].rows(0, ctx.detector.height)
    image = samples.mean(axis=0, dtype=np.float64).astype(np.float32)
    return Mean(
        unit="adu",
        image=image,
        error=np.ones_like(image),
        mask=np.zeros(image.shape, np.uint32),
        used=np.full(image.shape, len(samples), np.uint16),
        amplifiers={amp.name: AmplifierResult() for amp in ctx.detector.amplifiers},
    )


def solve_pooled(inputs: Inputs, needs: Needs, config: MeanConfig, ctx: Context) -> Level:
    _take_time("SOLVE", ctx)
    frames = inputs["bias"]
    assert frames.shared is not None
    level = frames.shared.arrays["level"][0] - frames.measurements[0].arrays["mean"][0]
    return Level(
        amplifiers={amp.name: AmplifierResult() for amp in ctx.detector.amplifiers},
        metrics={"level": Measured(value=float(level), unit="adu")},
    )


def solve_deadly(inputs: Inputs, needs: Needs, config: MeanConfig, ctx: Context) -> Mean:
    if ctx.detector.id == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return solve(inputs, needs, config, ctx)


def solve_jealous(inputs: Inputs, needs: Needs, config: MeanConfig, ctx: Context) -> Mean:
    """As if there were memory for one at a time."""
    with Path(os.environ["RUN_TYPES_MEMORY"]).open("ab") as memory:
        try:
            fcntl.flock(memory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.kill(os.getpid(), signal.SIGKILL)
        return solve(inputs, needs, config, ctx)


def verify(product: Mean, ctx: VerifyContext) -> Iterator[Check]:
    yield from ()
