"""Verify a dark: one pass over the held-out residuals of its exposures, then the checks of stack and product."""

from __future__ import annotations

from collections.abc import Iterator

from cpp_dark.config import DarkConfig
from cpp_dark.cosmic_checks import TAIL, Tail, cosmic_ray_checks
from cpp_dark.declare import CHECKS
from cpp_dark.halves import Halves
from cpp_dark.level_checks import exposure_checks
from cpp_dark.product import Dark
from cpp_dark.rate_checks import PENALTY, rate_checks
from cpp_dark.residual import Judge, live_amplifiers
from cpp_dark.time_trend import TimeTrend
from cpp_framework.model import AmplifierStatus, Check, Level, VerifyContext
from cpp_framework.stats import Structure, profiles

STRUCTURE_CHECKS = ("D3_columns", "D3_rows", "D3_blocks")
FROM_RESIDUALS = ("D1_level", "D2_noise", *STRUCTURE_CHECKS, TAIL)


def verify(product: Dark, ctx: VerifyContext) -> Iterator[Check]:
    """Yield the checks D1–D10.

    Parameters
    ----------
    product : Dark
        The stored candidate.
    ctx : VerifyContext
        Its residuals are read once.

    Yields
    ------
    Check
        A dead amplifier is said once and not judged further.
    """
    assert isinstance(ctx.config, DarkConfig)
    if not live_amplifiers(product, ctx.detector):
        yield from _all_dead(product, ctx)
        return
    judge = Judge(product, ctx)
    structure, halves = Structure(STRUCTURE_CHECKS), Halves(product, ctx, judge)
    trend, tail = TimeTrend(product, ctx, judge), Tail(product, ctx)
    judged: set[str] = set()
    for frame in ctx.residuals():
        for one in judge.residuals(frame):
            judged.add(one.amplifier.name)
            structure.add(one.amplifier.name, one.values, profiles(one.values), one.moments.std, one.noise)
            trend.add(one)
            tail.add(one)
            yield from exposure_checks(one, product, ctx)
        halves.add(frame)
    yield from structure.checks(ctx)
    yield from halves.checks()
    yield from trend.checks()
    yield from tail.checks()
    yield from rate_checks(product, ctx.config, ctx)
    yield from cosmic_ray_checks(product, ctx)
    yield from _not_judged(product, ctx, judged)


def _not_judged(product: Dark, ctx: VerifyContext, judged: set[str]) -> Iterator[Check]:
    """Say of every amplifier without a residual why: it is dead, or no exposure is left to compare with.

    Dead ones are told in a check that needs neither gain nor a second exposure, so that it is always made.
    """
    for amp in ctx.detector.amplifiers:
        if amp.name in judged:
            continue
        where = {"level": Level.AMPLIFIER, "detector": ctx.detector.id, "amplifier": amp.name}
        result = product.amplifiers[amp.name]
        if result.status == AmplifierStatus.DEAD:
            yield Check(name=PENALTY, dead=True, reason=f"dead: {result.reason}", **where)
        else:
            for name in FROM_RESIDUALS:
                yield Check(name=name, skipped="no exposure has a held-out residual here", **where)


def _all_dead(product: Dark, ctx: VerifyContext) -> Iterator[Check]:
    """Say so of each amplifier, and that nothing could be judged."""
    yield from _not_judged(product, ctx, set())
    for spec in CHECKS:
        if spec.name != PENALTY:
            skipped = "every amplifier is dead"
            yield Check(name=spec.name, level=Level.DETECTOR, detector=ctx.detector.id, skipped=skipped)
