"""Upper tail of the χ² distribution for whole degrees of freedom, without scipy."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray


def chi2_survival(x: float, dof: int) -> float:
    """Probability that χ² with ``dof`` degrees of freedom exceeds ``x`` (> 0).

    A finite sum for whole ``dof`` (Abramowitz & Stegun 26.4.4 and 26.4.5), taken from its largest term downwards.
    Relative accuracy 1e-10 for tails above 1e-300.
    """
    half = x / 2
    power = dof / 2 - 1
    term = math.exp(power * math.log(half) - half - math.lgamma(power + 1)) if power >= 0 else 0.0
    total = 0.0
    while power >= 0:
        total += term
        term *= power / half
        power -= 1
    return total + (math.erfc(math.sqrt(half)) if dof % 2 else 0.0)


def chi2_quantile(tail: float, dof: int) -> float:
    """Value that χ² with ``dof`` degrees of freedom exceeds with probability ``tail`` (0 < tail < 0.5).

    Newton's method on the logarithm of the tail, which is concave, from the Wilson–Hilferty approximation.
    """
    ninth = 2 / (9 * dof)
    deviate = math.sqrt(-2 * math.log(tail))
    x = dof * (1 - ninth + deviate * math.sqrt(ninth)) ** 3
    for _ in range(50):
        survival = chi2_survival(x, dof)
        log_density = (dof / 2 - 1) * math.log(x / 2) - x / 2 - math.lgamma(dof / 2) - math.log(2)
        step = math.log(survival / tail) * survival / math.exp(log_density)
        x += step
        if abs(step) < 1e-12 * x:
            break
    return x


@cache
def chi2_thresholds(tail: float, highest_dof: int) -> NDArray[np.float64]:
    """Quantiles for 0 … ``highest_dof`` degrees of freedom; infinite for 0, which nothing exceeds."""
    quantiles = [math.inf] + [chi2_quantile(tail, dof) for dof in range(1, highest_dof + 1)]
    thresholds = np.array(quantiles)
    thresholds.flags.writeable = False
    return thresholds
