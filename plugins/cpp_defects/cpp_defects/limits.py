"""Default limits of the checks. An instrument file may set its own."""

from __future__ import annotations

import math

from cpp_framework.model import Limit, VerifyContext

FAIL: dict[str, Limit] = {
    "X1_completeness": Limit(low=0.99),
    "X3_amplifier": Limit(high=0.005),
    "X3_detector": Limit(high=0.01),
    "X4_tails": Limit(high=3.0),
    "X6_persistence": Limit(low=0.8),
}
"""X3: CCD-012 wants less than 0.5 % of an amplifier."""

WARN: dict[str, Limit] = {"X2_purity": Limit(high=0.1)}


def limits_of(ctx: VerifyContext, check: str) -> dict[str, Limit | None]:
    """Return ``fail`` and ``warn`` of a check: the instrument's if it sets them, else the defaults."""
    fail, warn = ctx.limits.of(check, fail=FAIL.get(check), warn=WARN.get(check))
    return {"fail": fail, "warn": warn}


def share(ctx: VerifyContext, check: str, part: int, whole: int) -> dict[str, object]:
    """Value, error, expectation and limits of ``part`` pixels of ``whole``.

    The expectation is the limit itself and the error its binomial scatter: a share of few pixels is a failure only if
    it cannot be one that keeps the limit.
    """
    limits = limits_of(ctx, check)
    limit = limits["fail"] or limits["warn"]
    bound = None if limit is None else limit.low if limit.low is not None else limit.high
    value: dict[str, object] = {"value": part / whole, "unit": "1", **limits}
    if bound is None or not 0 < bound < 1:
        return value
    return value | {"expected": bound, "error": math.sqrt(bound * (1 - bound) / whole)}
