"""Cosmic rays (D10): their rate, and what the stack should have rejected and did not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from cpp_dark.limits import limits_of, nearest_allowed
from cpp_dark.product import Dark
from cpp_dark.residual import AmplifierResidual, live_amplifiers
from cpp_framework.model import Check, Level, Mask, VerifyContext, oriented

RATE, TAIL = "D10_cosmic_rays", "D10_tail"

FAR = -6.0
"""Pull of a sample that is far below the dark. Nothing in a detector is negative: then the dark is too high there."""


@dataclass
class Tail:
    """Counts samples that lie far below the product in pixels it calls stable."""

    product: Dark
    ctx: VerifyContext
    counts: dict[str, tuple[int, int]] = field(default_factory=dict)

    def add(self, one: AmplifierResidual) -> None:
        """Take in one amplifier of one exposure."""
        stable = (oriented(self.product.mask, one.amplifier) & np.uint32(Mask.UNSTABLE)) == 0
        judged = stable & np.isfinite(one.pulls)
        far, samples = self.counts.get(one.amplifier.name, (0, 0))
        far += int(np.sum(one.pulls[judged] < FAR))
        self.counts[one.amplifier.name] = far, samples + int(judged.sum())

    def checks(self) -> Iterator[Check]:
        """D10_tail per amplifier."""
        for name, (far, samples) in self.counts.items():
            yield Check(
                name=TAIL,
                level=Level.RUN,
                detector=self.ctx.detector.id,
                amplifier=name,
                value=far / samples,
                error=math.sqrt(max(far, 1)) / samples,
                expected=0.0,
                unit="1",
                reason=f"{far} of {samples} samples more than {-FAR:g} sigma below the dark",
                **limits_of(self.ctx, TAIL),
            )


def cosmic_ray_checks(product: Dark, ctx: VerifyContext) -> Iterator[Check]:
    """D10_cosmic_rays per amplifier: how many hits were rejected."""
    for amp in live_amplifiers(product, ctx.detector):
        where = {"level": Level.AMPLIFIER, "detector": ctx.detector.id, "amplifier": amp.name}
        rate = product.amplifiers[amp.name].values.get("cosmic_rays")
        if rate is None:
            yield Check(name=RATE, skipped="no exposure time", **where)
            continue
        yield Check(
            name=RATE,
            value=rate.value,
            error=rate.error,
            expected=nearest_allowed(ctx, RATE, rate.value),
            unit=rate.unit,
            **limits_of(ctx, RATE),
            **where,
        )
