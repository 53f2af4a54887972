"""Steps in a profile: the place where a level jumps, told apart from drifts and from noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

LONGEST, SHORTEST = 64, 16
"""Lines on either side of a step that are compared: a sixteenth of the profile within these limits."""

START_UP = 30
"""First lines of a profile, in which amplifiers settle; of short profiles an eighth."""


@dataclass(frozen=True)
class Step:
    """A jump by ``size`` from ``line`` on, in the unit of the profile, with the error of the size.

    ``false_alarm`` is the probability that the noise of the profile makes a step as significant anywhere.
    """

    line: int
    size: float
    error: float
    false_alarm: float


def largest_step(profile: NDArray[np.float64], least_noise: float = 0.0) -> Step | None:
    """Find the most significant step of a profile ``[line]``; it may be noise.

    At every line a step and a cubic polynomial are fitted to the lines around it (least squares): slow drifts are in
    the polynomial. The error is that of white noise, as differences of neighbouring lines show it, or the scatter of
    step sizes elsewhere (scaled MAD) if that is more and the profile is long enough to measure it: lines whose noise is
    correlated do not pass for steps.

    Parameters
    ----------
    profile : float64 array ``[line]``
        NaN where there is no level; interpolated.
    least_noise : float
        Noise of a line that is known to be there.

    Returns
    -------
    Step or None
        None if fewer than 32 lines are left after the start-up, or if half of them have no level.
    """
    begin = min(START_UP, profile.size // 8)
    lines = profile[begin:]
    good = np.isfinite(lines)
    side = min(max(profile.size // 16, SHORTEST), LONGEST)
    if lines.size < 2 * side or 2 * good.sum() < lines.size:
        return None
    filled = np.interp(np.arange(lines.size), np.flatnonzero(good), lines[good])
    weights = _filter(side)
    sizes = np.correlate(filled, weights, "valid")
    place = int(np.argmax(np.abs(sizes)))
    size = float(sizes[place])
    error = max(_white_noise(filled), least_noise) * math.sqrt(float(weights @ weights))
    if sizes.size >= 12 * side:
        error = max(error, _scaled_mad(sizes[np.abs(np.arange(sizes.size) - place) >= side]))
    if error <= 1e-9 * np.ptp(filled):
        return None
    # The error has the freedom of a noise measured on so many differences: Student's t, by Wallace's approximation.
    freedom = 2 / 3 * lines.size
    deviate = math.sqrt(freedom * math.log1p((size / error) ** 2 / freedom))
    alarm = min(1.0, sizes.size * math.erfc(deviate / math.sqrt(2)))
    return Step(line=begin + place + side, size=size, error=error, false_alarm=alarm)


@cache
def _filter(side: int) -> NDArray[np.float64]:
    """Weights that give the size of a step in the middle of ``2·side`` lines, whatever cubic lies under it."""
    x = (np.arange(-side, side) + 0.5) / side
    step = np.where(x > 0, 0.5, -0.5)
    drift = np.vander(x, 4)
    beyond = step - drift @ np.linalg.lstsq(drift, step, rcond=None)[0]
    weights: NDArray[np.float64] = beyond / (beyond @ step)
    weights.flags.writeable = False
    return weights


def _white_noise(lines: NDArray[np.float64]) -> float:
    """Noise of a line from differences of neighbours, but for those a step makes."""
    differences = np.diff(lines) - np.median(np.diff(lines))
    tame = np.abs(differences) <= 4 * _scaled_mad(differences)
    return float(np.sqrt(np.mean(differences[tame] ** 2) / 2))


def _scaled_mad(values: NDArray[np.float64]) -> float:
    """Standard deviation of a Gaussian with this median absolute deviation."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))
