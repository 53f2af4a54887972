"""Default limits of the checks, and the unit a value is judged in. An instrument file may set its own."""

from __future__ import annotations

from cpp_dark.product import Dark
from cpp_framework.model import Limit, VerifyContext

FAIL: dict[str, Limit] = {
    "D1_level": Limit(low=-1.0, high=1.0),
    "D2_noise": Limit(low=0.97, high=1.05),
    "D5_halves_noise": Limit(low=0.97, high=1.03),
    "D6_linearity": Limit(low=-0.01, high=0.01),
    "D7_current": Limit(high=0.2),
    "D8_glow": Limit(high=0.5),
    "D8_gradient": Limit(high=0.5),
    "D9_hot_pixels": Limit(high=0.005),
    "D9_growth": Limit(high=2.0),
    "D10_cosmic_rays": Limit(high=5.0),
    "D10_tail": Limit(high=1e-4),
}
"""Levels in electron, rates in electron/s. D7: CCD-014. D9: CCD-012 allows 0.5 % of defects of all kinds. D10: pixels
of 5 to 25 µm see 0.004 to 0.1 muons per megapixel and second at sea level (1 per cm² and minute), thick detectors and
mountains several times that; far more is light, particles from the camera, or noise that was rejected."""

WARN: dict[str, Limit] = {
    "D1_level": Limit(low=-0.5, high=0.5),
    "D4_noise_penalty": Limit(high=0.025),
    "D5_halves_mean": Limit(low=-3.0, high=3.0),
    "D8_glow": Limit(high=0.1),
    "D8_gradient": Limit(high=0.1),
    "D10_cosmic_rays": Limit(low=0.001, high=1.0),
}
"""D4: as DMTN-101 4.1 wants it of a bias. D5_halves_mean is in sigma."""


def limits_of(ctx: VerifyContext, check: str) -> dict[str, Limit | None]:
    """Return ``fail`` and ``warn`` of a check: the instrument's if it sets them, else the defaults."""
    fail, warn = ctx.limits.of(check, fail=FAIL.get(check), warn=WARN.get(check))
    return {"fail": fail, "warn": warn}


def nearest_allowed(ctx: VerifyContext, check: str, value: float) -> float | None:
    """The limit a value lies beyond: what it must exceed significantly to break it. None for a value within.

    Where a warning and a failure have limits, the one that is broken first counts.
    """
    found = [limit for limit in limits_of(ctx, check).values() if limit is not None]
    high = min((limit.high for limit in found if limit.high is not None), default=None)
    low = max((limit.low for limit in found if limit.low is not None), default=None)
    if high is not None and value > high:
        return high
    return low if low is not None and value < low else None


def scale_of(ctx: VerifyContext, check: str, product: Dark, amplifier: str) -> tuple[float, str] | None:
    """Factor and unit that turn the unit of the exposures into that of the check's limits; None if that takes a gain
    nobody knows."""
    wanted = "adu" if ctx.limits.units.get(check) == "adu" else "electron"
    if product.frame_unit == wanted:
        return 1.0, wanted
    gain = ctx.gains.get(amplifier)
    if gain is None:
        return None
    return (gain, wanted) if wanted == "electron" else (1 / gain, wanted)
