"""Verify a flat: one pass over the held-out residuals of its exposures, then the checks of the flat itself."""

from __future__ import annotations

from collections.abc import Iterator

from cpp_flat.edges import edge_checks
from cpp_flat.exposures import exposure_checks
from cpp_flat.product import Flat
from cpp_flat.residual import flat_fielded
from cpp_flat.response import response_checks
from cpp_flat.stability import Halves, previous_check
from cpp_framework.model import AmplifierStatus, Check, Level, VerifyContext

FROM_RESIDUALS = ("F1_noise", "F2_level", "F3_boundaries", "F4_tearing")


def verify(product: Flat, ctx: VerifyContext) -> Iterator[Check]:
    """Yield the checks F1–F8.

    Parameters
    ----------
    product : Flat
        The stored candidate.
    ctx : VerifyContext
        Its residuals are read once.

    Yields
    ------
    Check
        A dead amplifier is said once and not judged further.
    """
    halves = Halves(product, ctx)
    judged: set[str] = set()
    for frame in ctx.residuals():
        one = flat_fielded(frame, product, ctx.detector)
        if not one.amplifiers:
            continue
        judged |= {amp.name for amp in one.amplifiers}
        clamped = one.clamped()
        yield from exposure_checks(one, clamped, product, frame, ctx)
        yield from edge_checks(clamped, ctx)
        halves.add(frame)
    yield halves.check()
    yield previous_check(product, ctx)
    yield from response_checks(product, ctx)
    yield from _not_judged(product, ctx, judged)


def _not_judged(product: Flat, ctx: VerifyContext, judged: set[str]) -> Iterator[Check]:
    """Say of every amplifier without a residual why: it is dead, or only one exposure is left in it."""
    why = "no exposure has a held-out residual here"
    if not judged:
        yield Check(name="F2_flatness", level=Level.DETECTOR, detector=ctx.detector.id, skipped=why)
    live = False
    for amp in ctx.detector.amplifiers:
        where = {"level": Level.AMPLIFIER, "detector": ctx.detector.id, "amplifier": amp.name}
        result = product.amplifiers[amp.name]
        if result.status in (AmplifierStatus.DEAD, AmplifierStatus.FAILED):
            yield Check(name="F8_support", dead=True, reason=f"{result.status.value}: {result.reason}", **where)
            continue
        live = True
        if amp.name not in judged:
            for name in FROM_RESIDUALS:
                yield Check(name=name, skipped=why, **where)
    if not live:
        for name in ("F6_prnu", "F6_change", "F8_support", "F8_outliers"):
            yield Check(name=name, level=Level.DETECTOR, detector=ctx.detector.id, skipped="no live amplifier")
