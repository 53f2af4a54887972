"""Default limits of the checks, and the unit a level is judged in. An instrument file may set its own."""

from __future__ import annotations

from cpp_framework.model import Limit, VerifyContext

FAIL: dict[str, Limit] = {
    "B1_level": Limit(low=-1.0, high=1.0),
    "B2_noise": Limit(low=0.97, high=1.05),
    "B5_halves_noise": Limit(low=0.97, high=1.03),
    "B6_stability": Limit(high=0.3),
    "B6_shifts": Limit(high=0.05),
    "B8_corner": Limit(low=-1.0, high=1.0),
}
"""Levels in electron, B6_stability in adu. B2 is wider above: pick-up that the overscan does not have is common."""

WARN: dict[str, Limit] = {
    "B1_level": Limit(low=-0.5, high=0.5),
    "B4_noise_penalty": Limit(high=0.025),
    "B5_halves_mean": Limit(low=-3.0, high=3.0),
}
"""B4: DMTN-101 4.1 wants a bias that adds no more than 2.5 % of noise (20 exposures). B5_halves_mean is in sigma."""

CORRELATION_CHANGE = 0.1
"""By how much the mean correlation of amplifiers may change against the previous verdict."""

FALSE_ALARM = 1e-7
"""A line or step that noise makes more often than this, anywhere in the profile, is not one.

Hundreds of profiles are looked at in each verification; so rare, none of them is a false alarm in thousands of those.
"""


def limits_of(ctx: VerifyContext, check: str) -> dict[str, Limit | None]:
    """Return ``fail`` and ``warn`` of a check: the instrument's if it sets them, else the defaults."""
    fail, warn = ctx.limits.of(check, fail=FAIL.get(check), warn=WARN.get(check))
    return {"fail": fail, "warn": warn}


def scale_of(ctx: VerifyContext, check: str, amplifier: str) -> tuple[float, str] | None:
    """Factor and unit that turn adu into the unit of the check's limits; None if that takes a gain nobody knows."""
    if ctx.limits.units.get(check) == "adu":
        return 1.0, "adu"
    gain = ctx.gains.get(amplifier)
    return None if gain is None else (gain, "electron")
