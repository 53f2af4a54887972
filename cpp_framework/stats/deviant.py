"""Find exposures that do not belong to their stack: no clipping of pixels can handle a mildly wild exposure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cpp_framework.errors import ContractError
from cpp_framework.model.context import Frames
from cpp_framework.stats.robust import Moments, clipped_moments

LEVEL_LIMIT = 1.0
"""Deviation of a level that matters, in units of the noise of one pixel."""

NOISE_LIMIT = 0.2
"""Deviation of a noise that matters, as a fraction of the stack's."""

SIGNIFICANT = 5.0
"""Least deviation in its own errors."""

SCATTER = 6.0
"""Least deviation in median absolute deviations of the stack (4 Gaussian σ): a drifting zero refuses nothing."""

BANDS, BAND_ROWS = 8, 4
"""Rows of an amplifier that are looked at: evenly spaced bands, enough for a level to 1 % of a pixel's noise."""


class StackStatistics(NamedTuple):
    """Level and noise of each exposure in each amplifier, with errors: float64 ``[exposure, amplifier]``.

    NaN where an exposure has hardly a good pixel in an amplifier.
    """

    levels: NDArray[np.float64]
    level_errors: NDArray[np.float64]
    noises: NDArray[np.float64]
    noise_errors: NDArray[np.float64]


def stack_statistics(frames: Frames) -> StackStatistics:
    """Level and noise of each exposure of a stack, in the unit of the frames.

    The level is the clipped mean. The noise comes from the differences to the (up to four) exposures taken next to
    it, so a fixed pattern does not hide it; the second smallest of four differences is taken, so a wild neighbour
    does not count. Evenly spaced bands of rows are read, not the whole stack.
    """
    amplifiers = frames.detector.amplifiers
    statistics = StackStatistics(*np.full((4, len(frames.exposures), len(amplifiers)), np.nan))
    for y0, y1 in sorted({(amp.box.y0, amp.box.y1) for amp in amplifiers}):
        samples = np.concatenate([frames.rows(*band) for band in _bands(y0, y1)], axis=1)
        for index, amp in enumerate(amplifiers):
            if (amp.box.y0, amp.box.y1) == (y0, y1):
                part = samples[:, :, amp.box.x0 : amp.box.x1]
                level = [clipped_moments(plane) for plane in part]
                noise = _noise_to_neighbours(part)
                statistics.levels[:, index] = [one.mean for one in level]
                statistics.level_errors[:, index] = [one.error for one in level]
                statistics.noises[:, index] = [one.std for one in noise]
                statistics.noise_errors[:, index] = [one.std_error for one in noise]
    return statistics


def _bands(y0: int, y1: int) -> list[tuple[int, int]]:
    if y1 - y0 <= BANDS * BAND_ROWS:
        return [(y0, y1)]
    return [(int(y), int(y) + BAND_ROWS) for y in np.linspace(y0, y1 - BAND_ROWS, BANDS)]


def _noise_to_neighbours(samples: NDArray[np.float32]) -> list[Moments]:
    """Moments of the differences of ``samples[exposure, y, x]`` to neighbours, divided by √2; one per exposure."""
    count = len(samples)
    differences: list[list[Moments]] = [[] for _ in range(count)]
    pairs = {(k, (k + step) % count) for step in (1, 2) for k in range(count)}
    for one, other in sorted({(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]}):
        moments = clipped_moments((samples[one] - samples[other]) * np.float32(math.sqrt(0.5)))
        differences[one].append(moments)
        differences[other].append(moments)
    return [_second_smallest(moments) for moments in differences]


def _second_smallest(moments: list[Moments]) -> Moments:
    """The second smallest of three or four, else the smallest: half of the neighbours may be wild."""
    found = sorted((one for one in moments if one.n > 1), key=lambda one: one.std)
    return found[min(1, (len(found) - 1) // 2)] if found else Moments.empty()


@dataclass(frozen=True)
class Deviant:
    """One exposure refused in one amplifier: ``quantity`` is level or noise; ``stack`` is the stack's median."""

    exposure: int
    amplifier: int
    quantity: str
    value: float
    stack: float
    limit: float
    unit: str

    @property
    def reason(self) -> str:
        """Text with value, stack value and limit."""
        difference = self.value - self.stack
        return (
            f"{self.quantity} {self.value:.4g} {self.unit} differs by {difference:+.3g} from the stack's "
            f"{self.stack:.4g}, limit {self.limit:.2g}"
        )


def find_deviant_exposures(
    levels: ArrayLike,
    level_errors: ArrayLike,
    noises: ArrayLike,
    noise_errors: ArrayLike,
    *,
    unit: str = "adu",
) -> list[Deviant]:
    """Find exposures whose level or noise in an amplifier deviates from the stack.

    The stack's value is the median of at least three exposures. An exposure is refused in an amplifier if it
    differs by more than all of

    - what matters: 1 × the stack's noise of one pixel (levels), 20 % (noise);
    - what its errors can explain: 5 × its error;
    - what the stack does anyway: 6 × the median absolute deviation of the exposures. So a zero that drifts
      through the night, or a stack split in halves, refuses nothing.

    Healthy exposures agree far better than what matters, so practically none is lost: with independent pixels a
    level is known to a hundredth of the noise of one.

    Parameters
    ----------
    levels, level_errors, noises, noise_errors : float arrays ``[exposure, amplifier]``
        From `stack_statistics`. NaN where an amplifier has no good pixel: it is left out.
    unit : str
        Unit of all four, for the reasons.

    Returns
    -------
    list of Deviant
        In order of exposure and amplifier; level before noise.

    Raises
    ------
    ContractError
        The arrays differ in shape.
    """
    given = [np.asarray(array, np.float64) for array in (levels, level_errors, noises, noise_errors)]
    if given[0].ndim != 2 or any(array.shape != given[0].shape for array in given):
        raise ContractError(f"levels, noises and errors must be [exposure, amplifier]; got {[a.shape for a in given]}")
    found: list[Deviant] = []
    for amplifier in range(given[0].shape[1]):
        level, level_error, noise, noise_error = (array[:, amplifier] for array in given)
        good = np.isfinite(level) & np.isfinite(noise)
        if np.count_nonzero(good) < 3:
            continue
        typical = max(float(np.median(noise[good])), 12**-0.5)
        for quantity, value, error, matters in (
            ("level", level, level_error, LEVEL_LIMIT * typical),
            ("noise", noise, noise_error, NOISE_LIMIT * typical),
        ):
            stack, limits = _limits(value[good], error[good], matters)
            for k, limit in zip(np.flatnonzero(good), limits, strict=True):
                if abs(value[k] - stack) > limit:
                    found.append(Deviant(int(k), amplifier, quantity, float(value[k]), stack, float(limit), unit))
    return sorted(found, key=lambda one: (one.exposure, one.amplifier))


def _limits(
    values: NDArray[np.float64], errors: NDArray[np.float64], matters: float
) -> tuple[float, NDArray[np.float64]]:
    stack = float(np.median(values))
    scatter = float(np.median(np.abs(values - stack)))
    return stack, np.maximum(max(matters, SCATTER * scatter), SIGNIFICANT * errors)


def used_exposures(deviants: Sequence[Deviant], exposures: int, amplifiers: int) -> NDArray[np.bool_]:
    """Bool ``[exposure, amplifier]`` for `combine`: False where an exposure is refused."""
    used = np.ones((exposures, amplifiers), bool)
    for one in deviants:
        used[one.exposure, one.amplifier] = False
    return used
