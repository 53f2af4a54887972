"""Errors of the fit, corrected for what a pixel's own noise does to them.

The fit takes the Poisson noise of a pixel from its own fitted rate. A pixel that came out low then seems surer than one
that came out high: pulls are 5 % of σ too low on average where shot noise matters, and weighted means of dark-corrected
pixels are biased. So a pixel that does not stand out of its surroundings is given their Poisson noise.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cpp_dark.blocks import surroundings
from cpp_dark.estimator import Float, rate_coefficients, zero_coefficients
from cpp_dark.fit import DarkFit, Plane
from cpp_dark.frames import StackedFrames
from cpp_framework.model import Mask
from cpp_framework.model.mask import UNUSABLE

BLOCK = 32
STANDS_OUT = 4.0
"""σ by which a pixel stands out of its surroundings: it has a rate of its own."""


def with_surrounding_noise(fit: DarkFit, frames: StackedFrames, used: NDArray[np.bool_], *, joint: bool) -> DarkFit:
    """Return the fit with the Poisson noise of pixels that do not stand out taken from the block they are in.

    Without a gain all pixels have the same noise already.
    """
    gains = frames.poisson_gains()
    error, zero_error = fit.error.copy(), fit.zero_error.copy()
    for i, amp in enumerate(frames.detector.amplifiers):
        which = np.flatnonzero(used[:, i])
        if which.size == 0 or amp.name not in gains:
            continue
        box = amp.box.slices
        times, weights = fit.times[which], fit.weights[which]
        excess = _excess(fit, box) / np.float32(gains[amp.name])
        error[box] = _changed(error[box], rate_coefficients(times, weights, joint=joint), times, excess)
        if joint:
            zero_error[box] = _changed(zero_error[box], zero_coefficients(times, weights), times, excess)
    return replace(fit, error=error, zero_error=zero_error)


def _excess(fit: DarkFit, box: tuple[slice, slice]) -> Plane:
    """Rate the errors rest on minus the rate that makes the noise of a pixel."""
    bad = (fit.mask[box] & np.uint32(UNUSABLE | Mask.UNSTABLE)) != 0
    excess: Plane = np.maximum(fit.image[box], 0) - noise_rate(fit.image[box], fit.error[box], bad)
    return np.where(bad, np.float32(0), excess)


def noise_rate(rates: Plane, errors: Plane, bad: NDArray[np.bool_]) -> Plane:
    """Rate that makes the Poisson noise of each pixel, at least 0: its own where it stands out, else that around it."""
    good = np.where(bad, np.float32(np.nan), rates)
    if not np.any(np.isfinite(good)):
        return np.maximum(rates, 0)
    around = surroundings(good, BLOCK)
    found: Plane = np.maximum(np.where(np.abs(rates - around) < STANDS_OUT * errors, around, rates), 0)
    return found


def _changed(error: Plane, factors: Float, times: Float, excess: Plane) -> Plane:
    """Error without the Poisson noise of an excess rate over gain, for an estimate Σ factor_k·x_k."""
    per_rate = np.float32(np.sum(factors**2 * times))
    if not np.isfinite(per_rate):
        return error
    # A pixel with rejected samples has other factors, so the change is never more than half of the variance.
    square = np.square(error)
    changed: Plane = np.sqrt(np.maximum(square - per_rate * excess, 0.5 * square))
    return changed
