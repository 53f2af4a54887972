"""Verify a bias: one pass over the held-out residuals of its exposures, then the checks of the whole stack."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cpp_bias.config import BiasConfig
from cpp_bias.correlation import Correlations
from cpp_bias.halves import Halves
from cpp_bias.levels import exposure_checks
from cpp_bias.limits import limits_of
from cpp_bias.lines import CHECKS as LINE_CHECKS
from cpp_bias.lines import Lines
from cpp_bias.product import Bias
from cpp_bias.residual import amplifier_residuals, live_amplifiers
from cpp_bias.stability import LEVEL, SHIFTS, Stability
from cpp_framework.model import AmplifierStatus, Check, Level, VerifyContext
from cpp_framework.stats import Structure, noise_penalty

PENALTY = "B4_noise_penalty"
STRUCTURE_CHECKS = ("B3_columns", "B3_rows", "B3_blocks")
FROM_RESIDUALS = ("B1_level", "B2_noise", *STRUCTURE_CHECKS, *LINE_CHECKS, LEVEL, SHIFTS, "B8_corner")


def verify(product: Bias, ctx: VerifyContext) -> Iterator[Check]:
    """Yield the checks B1–B8.

    Parameters
    ----------
    product : Bias
        The stored candidate.
    ctx : VerifyContext
        Its residuals are read once.

    Yields
    ------
    Check
        A dead amplifier is said once and not judged further.
    """
    assert isinstance(ctx.config, BiasConfig)
    structure, lines, stability, correlations = Structure(STRUCTURE_CHECKS), Lines(), Stability(), Correlations()
    halves = Halves(product, ctx)
    judged: set[str] = set()
    for frame in ctx.residuals():
        amplifiers = list(amplifier_residuals(frame, product, ctx.detector))
        for one in amplifiers:
            judged.add(one.amplifier.name)
            structure.add(one.amplifier.name, one.values, one.profiles, one.moments.std, one.noise)
            lines.add(one)
            stability.add(one, stacked=frame.exposure.id in product.stacked)
            yield from exposure_checks(one, ctx.config, ctx)
        correlations.add(amplifiers)
        halves.add(frame)
    yield from structure.checks(ctx)
    yield from lines.checks(ctx)
    yield from _noise_penalty(product, ctx)
    yield from halves.checks()
    yield from stability.checks(ctx)
    yield from correlations.checks(ctx)
    yield from _not_judged(product, ctx, judged)


def _noise_penalty(product: Bias, ctx: VerifyContext) -> Iterator[Check]:
    """B4: the noise of the bias is added to every image it is subtracted from."""
    for amp in live_amplifiers(product, ctx.detector):
        where = {"level": Level.AMPLIFIER, "detector": ctx.detector.id, "amplifier": amp.name}
        n = int(np.median(product.used[amp.box.slices]))
        if n == 0:
            yield Check(name=PENALTY, skipped="most pixels have no data", **where)
        else:
            reason = f"{n} exposures in the median pixel"
            yield Check(
                name=PENALTY, value=noise_penalty(n), unit="1", reason=reason, **limits_of(ctx, PENALTY), **where
            )


def _not_judged(product: Bias, ctx: VerifyContext, judged: set[str]) -> Iterator[Check]:
    """Say of every amplifier without a residual why: it is dead, or only one exposure is left in it."""
    for amp in ctx.detector.amplifiers:
        if amp.name in judged:
            continue
        where = {"level": Level.AMPLIFIER, "detector": ctx.detector.id, "amplifier": amp.name}
        result = product.amplifiers[amp.name]
        if result.status == AmplifierStatus.DEAD:
            yield Check(name="B1_level", dead=True, reason=f"dead: {result.reason}", **where)
        else:
            for name in FROM_RESIDUALS:
                yield Check(name=name, skipped="no exposure has a held-out residual here", **where)
