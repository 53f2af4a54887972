"""Default limits of the checks. An instrument file may set its own."""

from __future__ import annotations

from cpp_framework.model import Limit, VerifyContext

FAIL: dict[str, Limit] = {
    "F1_noise": Limit(low=0.97, high=1.03),
    "F2_level": Limit(low=-0.005, high=0.005),
    "F2_flatness": Limit(high=0.003),
    "F3_boundaries": Limit(low=-0.003, high=0.003),
    "F4_tearing": Limit(high=0.01),
    "F5_detectors": Limit(high=0.05),
    "F6_prnu": Limit(high=0.05),
    "F7_halves": Limit(high=0.002),
    "F7_previous": Limit(high=0.01),
    "F8_support": Limit(high=0),
    "F8_outliers": Limit(high=0.01),
    "F8_normalisation": Limit(low=-0.005, high=0.005),
}
"""Fractions of the level or response, but for F1 (a ratio of variances) and F8_support (pixels)."""

WARN: dict[str, Limit] = {
    "F2_level": Limit(low=-0.002, high=0.002),
    "F3_boundaries": Limit(low=-0.001, high=0.001),
    "F4_tearing": Limit(high=0.006),
    "F6_change": Limit(low=-0.001, high=0.001),
    "F7_previous": Limit(high=0.002),
    "F8_outliers": Limit(high=0.001),
}


def limits_of(ctx: VerifyContext, check: str) -> dict[str, Limit | None]:
    """Return ``fail`` and ``warn`` of a check: the instrument's if it sets them, else the defaults."""
    fail, warn = ctx.limits.of(check, fail=FAIL.get(check), warn=WARN.get(check))
    return {"fail": fail, "warn": warn}
