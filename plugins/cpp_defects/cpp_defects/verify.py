"""Verify defects: one pass over the real exposures of the products they were made from, and the mask itself."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cpp_defects.deviants import COMPLETENESS, Deviants
from cpp_defects.limits import limits_of, share
from cpp_defects.product import Defects, own_pixels
from cpp_defects.residual_tails import NAME as TAILS
from cpp_defects.residual_tails import ResidualTails
from cpp_defects.solve import KINDS, masked_fraction
from cpp_framework.model import AmplifierStatus, Check, ImageProduct, Level, VerifyContext

AMPLIFIER, DETECTOR, PERSISTENCE = "X3_amplifier", "X3_detector", "X6_persistence"


def verify(product: Defects, ctx: VerifyContext) -> Iterator[Check]:
    """Yield the checks X1–X4 and X6.

    Parameters
    ----------
    product : Defects
        The stored candidate.
    ctx : VerifyContext
        The exposures of its bias, dark and flat are read once.

    Yields
    ------
    Check
        A dead amplifier is said once and not judged further.
    """
    deviants = Deviants(product, ctx)
    kinds = [kind for kind in KINDS if isinstance(ctx.needs.get(kind), ImageProduct)]
    for kind in kinds:
        tails = ResidualTails(kind, product, ctx)
        for image in deviants.add_kind(kind, ctx.frames(kind)):
            tails.add(image)
        yield from tails.checks()
    if not kinds:
        where = {"level": Level.DETECTOR, "detector": ctx.detector.id}
        yield Check(name=TAILS, skipped="the defects were not made from a bias, dark or flat", **where)
    yield from deviants.checks()
    yield from _budget(product, ctx)
    yield from _persistence(product, ctx)


def _budget(product: Defects, ctx: VerifyContext) -> Iterator[Check]:
    """X3: what is masked by a border or by hand does not count."""
    for amp in ctx.detector.amplifiers:
        where = {"level": Level.AMPLIFIER, "detector": ctx.detector.id, "amplifier": amp.name}
        result = product.amplifiers[amp.name]
        if result.status == AmplifierStatus.DEAD:
            yield Check(name=COMPLETENESS, dead=True, reason=f"dead: {result.reason}", **where)
            continue
        value = masked_fraction(product.mask[amp.box.slices]).value
        yield Check(name=AMPLIFIER, value=value, unit="1", **limits_of(ctx, AMPLIFIER), **where)
    alive = [amp.box for amp in ctx.detector.amplifiers if product.amplifiers[amp.name].status != AmplifierStatus.DEAD]
    pixels = sum(box.width * box.height for box in alive)
    masked = sum(masked_fraction(product.mask[box.slices]).value * box.width * box.height for box in alive)
    where = {"name": DETECTOR, "level": Level.DETECTOR, "detector": ctx.detector.id}
    if pixels:
        yield Check(value=masked / pixels, unit="1", **limits_of(ctx, DETECTOR), **where)
    else:
        yield Check(skipped="all amplifiers are dead", **where)


def _persistence(product: Defects, ctx: VerifyContext) -> Iterator[Check]:
    """X6: pixels masked for what they are, now and in the previous product."""
    where = {"name": PERSISTENCE, "level": Level.DETECTOR, "detector": ctx.detector.id}
    if not isinstance(ctx.previous, Defects):
        yield Check(skipped="there are no previous defects", **where)
        return
    now, before = own_pixels(product.mask), own_pixels(ctx.previous.mask)
    either, both = int(np.count_nonzero(now | before)), int(np.count_nonzero(now & before))
    numbers = share(ctx, PERSISTENCE, both, either) if either else share(ctx, PERSISTENCE, 1, 1)
    yield Check(reason=f"{both} pixels masked now and before, {either} now or before", **numbers, **where)
