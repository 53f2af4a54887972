"""What the types of `campaign_types` do; the environment, which is in no recipe, makes them fail or take their time.

``CHAIN_RAISES`` and ``CHAIN_FAILS`` name units (``rate-0``: type and detector) whose `solve` raises or whose
verification fails; ``CHAIN_TRACE`` is a file that gets a line per call; ``CHAIN_SLEEP`` seconds of each `solve`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cpp_framework.declare import Config, setting
from cpp_framework.model import AmplifierResult, Check, ImageProduct, Level, Limit, VerifyContext
from cpp_framework.model.context import Context, Frames, Needs


class ChainConfig(Config):
    scale: float = setting(1.0, "factor on the image", unit="1")


@dataclass(frozen=True, eq=False, kw_only=True)
class Plane(ImageProduct):
    """Mean of the frames and of the products it was made from [adu]."""


def _trace(what: str) -> None:
    if "CHAIN_TRACE" in os.environ:
        with Path(os.environ["CHAIN_TRACE"]).open("a") as file:
            file.write(what + "\n")


def _named(variable: str, unit: str) -> bool:
    return unit in os.environ.get(variable, "").split()


def solve(inputs: Mapping[str, Frames], needs: Needs, config: ChainConfig, ctx: Context) -> Plane:
    kind = next(iter(inputs), "spots")
    unit = f"{ {'bias': 'base', 'dark': 'rate', 'flat': 'response'}.get(kind, kind) }-{ctx.detector.id}"
    _trace(f"SOLVE {unit} {' '.join(sorted(needs))}".strip())
    time.sleep(float(os.environ.get("CHAIN_SLEEP", "0")))
    if _named("CHAIN_RAISES", unit):
        raise ArithmeticError(f"{unit} does not add up")
    shape = ctx.detector.shape
    parts = [frames.rows(0, shape[0]).mean(axis=0, dtype=np.float64) for frames in inputs.values()]
    parts += [np.asarray(need.image, float) for _, need in sorted(needs.items()) if isinstance(need, ImageProduct)]
    image = (config.scale * sum(parts, np.zeros(shape))).astype(np.float32)
    return Plane(
        unit="adu",
        image=image,
        error=np.ones_like(image),
        mask=np.zeros(shape, np.uint32),
        used=np.ones(shape, np.uint16),
        amplifiers={amp.name: AmplifierResult() for amp in ctx.detector.amplifiers},
    )


def verify(product: Plane, ctx: VerifyContext) -> Iterator[Check]:
    assert product.header is not None
    unit = f"{product.header.type}-{ctx.detector.id}"
    _trace(f"VERIFY {unit}")
    if _named("CHAIN_VERIFY_RAISES", unit):
        raise ArithmeticError(f"{unit} cannot be judged")
    value = 2.0 if _named("CHAIN_FAILS", unit) else 0.0
    yield Check(name="sound", level=Level.DETECTOR, detector=ctx.detector.id, value=value, unit="1", fail=Limit(high=1))
