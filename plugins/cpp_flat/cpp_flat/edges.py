"""Checks at the edges of amplifiers: steps across boundaries (F3) and tearing (F4) of each held-out exposure."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import trapezoid
from scipy.special import erf

from cpp_flat.limits import limits_of
from cpp_flat.residual import FlatFielded
from cpp_framework.model import Amplifier, Box, Check, Level, VerifyContext, oriented
from cpp_framework.stats import profiles

STRIP = 16
"""Depth in pixels of the strips on both sides of a boundary."""

ROWS = slice(10, 210)
"""Rows from the readout side over which tearing is averaged."""

MARGIN, EDGE = 25, 2
"""Columns left out of the straight line at each side, and columns at each side that are judged."""

Columns = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Moduli of deviations of columns, and their errors."""


def edge_checks(one: FlatFielded, ctx: VerifyContext) -> Iterator[Check]:
    """F3 of each boundary and F4 of each amplifier of one exposure, whose hits were pulled in."""
    boundaries = list(_boundaries(one.amplifiers))
    for first, second, strips in boundaries:
        yield _step(one, first, second, strips, ctx)
    if not boundaries:
        skipped = "no two good amplifiers touch"
        yield Check(name="F3_boundaries", level=Level.DETECTOR, detector=ctx.detector.id, skipped=skipped)
    edges = {(amp.name, side): edge for amp in one.amplifiers for side, edge in _edges_of(one, amp).items()}
    facing = {}
    for first, second, _ in boundaries:
        if first.box.x1 == second.box.x0:
            facing[first.name, "high"] = (second.name, "low")
            facing[second.name, "low"] = (first.name, "high")
    for amp in one.amplifiers:
        own = [(amp.name, side) for side in ("low", "high")]
        found = [edges[key] for key in (*own, *(facing[key] for key in own if key in facing)) if key in edges]
        yield _tearing(one, amp, found, ctx)


def _boundaries(amplifiers: tuple[Amplifier, ...]) -> Iterator[tuple[Amplifier, Amplifier, tuple[Box, Box]]]:
    """Pairs of touching amplifiers, with the strips of pixels along either side of their boundary."""
    for first in amplifiers:
        for second in amplifiers:
            a, b = first.box, second.box
            y0, y1, x0, x1 = max(a.y0, b.y0), min(a.y1, b.y1), max(a.x0, b.x0), min(a.x1, b.x1)
            if a.x1 == b.x0 and y1 > y0:
                before = Box(max(a.x0, a.x1 - STRIP), y0, a.x1, y1)
                yield first, second, (before, Box(b.x0, y0, min(b.x1, b.x0 + STRIP), y1))
            elif a.y1 == b.y0 and x1 > x0:
                before = Box(x0, max(a.y0, a.y1 - STRIP), x1, a.y1)
                yield first, second, (before, Box(x0, b.y0, x1, min(b.y1, b.y0 + STRIP)))


def _step(one: FlatFielded, first: Amplifier, second: Amplifier, strips: tuple[Box, Box], ctx: VerifyContext) -> Check:
    where = {"level": Level.AMPLIFIER, "detector": ctx.detector.id, "amplifier": first.name, "exposure": one.exposure}
    ratio = [one.ratio[strip.slices] for strip in strips]
    good = [np.isfinite(values) for values in ratio]
    if min(int(inside.sum()) for inside in good) == 0:
        return Check(name="F3_boundaries", skipped=f"no good pixel along the boundary to {second.name}", **where)
    means = [float(values[inside].mean(dtype=np.float64)) for values, inside in zip(ratio, good, strict=True)]
    variances = [
        float(np.mean(one.sigma[strip.slices][inside] ** 2)) / inside.sum()
        for strip, inside in zip(strips, good, strict=True)
    ]
    return Check(
        name="F3_boundaries",
        value=means[1] - means[0],
        error=math.sqrt(sum(variances)),
        unit="1",
        expected=0.0,
        reason=f"step from {first.name} to {second.name}",
        **limits_of(ctx, "F3_boundaries"),
        **where,
    )


def _edges_of(one: FlatFielded, amp: Amplifier) -> dict[str, Columns]:
    """Deviation of the columns at the low and high x edge from the amplifier's straight line, and its errors."""
    height, width = amp.box.shape
    rows = ROWS if height > ROWS.start + EDGE else slice(None)
    columns = profiles(oriented(one.ratio, amp)[rows])
    with np.errstate(divide="ignore"):
        errors = np.sqrt(np.nanmean(oriented(one.sigma, amp)[rows] ** 2) / columns.column_counts)
    x = np.arange(width)
    margin = min(MARGIN, width // 4)
    inner = np.isfinite(columns.columns) & (x >= margin) & (x < width - margin)
    if inner.sum() < 3:
        return {}
    line = np.polynomial.Polynomial.fit(x[inner], columns.columns[inner], 1)
    deviation = np.abs((1 + columns.columns) / (1 + line(x)) - 1)
    centred = x - np.mean(x[inner])
    leverage = 1 / inner.sum() + centred**2 / np.sum(centred[inner] ** 2)
    errors = np.sqrt(errors**2 + leverage * np.mean(errors[inner] ** 2))
    sides = {"low": slice(0, EDGE), "high": slice(width - EDGE, width)}
    if amp.flip_x:
        sides = {"low": sides["high"], "high": sides["low"]}
    good = np.isfinite(deviation) & np.isfinite(errors)
    return {side: (deviation[part][good[part]], errors[part][good[part]]) for side, part in sides.items()}


def _tearing(one: FlatFielded, amp: Amplifier, edges: list[Columns], ctx: VerifyContext) -> Check:
    where = {"level": Level.AMPLIFIER, "detector": ctx.detector.id, "amplifier": amp.name, "exposure": one.exposure}
    deviations = np.concatenate([np.empty(0), *(deviation for deviation, _ in edges)])
    if deviations.size == 0:
        return Check(name="F4_tearing", skipped="no good pixel at the edges of the amplifier", **where)
    expected, scatter = largest_of(np.concatenate([errors for _, errors in edges]))
    return Check(
        name="F4_tearing",
        value=float(deviations.max()),
        error=scatter,
        unit="1",
        expected=expected,
        reason=f"largest of {deviations.size} columns",
        **limits_of(ctx, "F4_tearing"),
        **where,
    )


def largest_of(errors: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and scatter of the largest modulus of independent Gaussian numbers with these errors, all above 0.

    By integrating the probability that one of them is larger than a value.
    """
    reach = np.linspace(0.0, 8.0 * float(errors.max()), 2001)
    beyond = 1 - np.prod(erf(reach / (math.sqrt(2) * errors[:, None])), axis=0)
    mean = float(trapezoid(beyond, reach))
    return mean, math.sqrt(2 * float(trapezoid(reach * beyond, reach)) - mean**2)
