"""Structure that is left in residuals: column and row profiles, and block means, against white noise."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cpp_framework.model.check import Check, Level, Limit
from cpp_framework.model.context import VerifyContext
from cpp_framework.stats.frame_noise import FrameNoise
from cpp_framework.stats.robust import Profiles, block_means

BLOCK = 16

GROWTH = 2.0
"""Structure may grow by this factor against the previous verdict."""

TWO_VALUES = math.sqrt(2)
"""Error of a difference over that of one value, the previous one being known as well.

The error in the previous verdict may itself be one of a difference; taken over, errors would grow without end.
"""


@dataclass(frozen=True)
class _Ratio:
    """Measured over white-noise expectation in one exposure, what known row and column noise makes of it, its error."""

    value: float
    expected: float
    error: float


@dataclass
class Structure:
    """Gathers the ratios of all exposures; the checks speak of their median in each amplifier.

    ``names`` are those of the checks of columns, rows and blocks.
    """

    names: tuple[str, str, str]
    ratios: dict[tuple[str, str], list[_Ratio]] = field(default_factory=dict)

    def add(
        self, amplifier: str, values: NDArray[np.float32], profiles: Profiles, std: float, noise: FrameNoise
    ) -> None:
        """Take in one amplifier of one exposure.

        Parameters
        ----------
        amplifier : str
        values : float32 ``[y, x]``
            Its residual, in readout orientation.
        profiles : Profiles
            Column and row means of it.
        std : float
            Standard deviation of a pixel, without hits.
        noise : FrameNoise
            What noise to expect.
        """
        for check, ratio in zip(self.names, _ratios(values, profiles, std, noise), strict=True):
            found = self.ratios.setdefault((check, amplifier), [])
            if math.isfinite(ratio.value):
                found.append(ratio)

    def checks(self, ctx: VerifyContext) -> Iterator[Check]:
        """A report per amplifier, and a failure if structure grew against the previous verdict."""
        for (check, amplifier), ratios in self.ratios.items():
            if ratios:
                yield _check(check, amplifier, ratios, ctx)
            else:
                where = {"level": Level.RUN, "detector": ctx.detector.id, "amplifier": amplifier}
                yield Check(name=check, skipped="too few rows, columns or blocks to compare", **where)


def _check(name: str, amplifier: str, ratios: list[_Ratio], ctx: VerifyContext) -> Check:
    value = float(np.median([ratio.value for ratio in ratios]))
    # The median of n Gaussian numbers scatters √(π/2) as much as their mean.
    error = float(np.median([ratio.error for ratio in ratios])) * math.sqrt(math.pi / 2 / len(ratios))
    expected = float(np.median([ratio.expected for ratio in ratios]))
    fail, warn = ctx.limits.of(name)
    reason = f"median of {len(ratios)} exposures; reported, no previous verdict to compare with"
    previous = ctx.previous_check(name, amplifier)
    if previous is not None and fail is None:
        fail = Limit(high=GROWTH * previous.value)
        expected, error = previous.value, TWO_VALUES * error
        reason = f"median of {len(ratios)} exposures; {previous.value:.3g} in the previous verdict"
    return Check(
        name=name,
        level=Level.RUN,
        detector=ctx.detector.id,
        amplifier=amplifier,
        value=value,
        error=error,
        unit="1",
        expected=expected,
        reason=reason,
        fail=fail,
        warn=warn,
    )


def _ratios(
    values: NDArray[np.float32], profile: Profiles, std: float, noise: FrameNoise
) -> tuple[_Ratio, _Ratio, _Ratio]:
    """Columns and rows as ratios of standard deviations, blocks as reduced χ².

    What a row shares is the same in the means of all columns, so it does not scatter them; and the other way round.
    """
    rows, columns = values.shape
    variance = std**2
    means, counts = block_means(values, BLOCK)
    return (
        _root(
            _reduced_chi2(profile.columns, profile.column_counts, variance),
            (noise.pixel + rows * noise.column) / noise.total,
            columns,
        ),
        _root(
            _reduced_chi2(profile.rows, profile.row_counts, variance),
            (noise.pixel + columns * noise.row) / noise.total,
            rows,
        ),
        _blocks(_reduced_chi2(means.ravel(), counts.ravel(), variance), noise, means.shape),
    )


def _root(chi2: float, expected: float, lines: int) -> _Ratio:
    value = math.sqrt(chi2)
    return _Ratio(value, math.sqrt(expected), value / math.sqrt(2 * lines))


def _blocks(chi2: float, noise: FrameNoise, shape: tuple[int, ...]) -> _Ratio:
    """Row noise has as many independent values as there are rows of blocks, column noise as there are columns."""
    number = max(shape[0] * shape[1], 2)
    expected, error = noise.pixel, 2 * noise.pixel**2 / (number - 1)
    shared = max(noise.row_length / BLOCK, 1.0)
    for variance, n in ((noise.of_rows(BLOCK), max(shape[0] / shared, 2)), (noise.column / BLOCK, max(shape[1], 2))):
        part = BLOCK**2 * variance * (1 - 1 / n) / (1 - 1 / number)
        expected += part
        error += 2 * part**2 / (n - 1)
    return _Ratio(chi2, expected / noise.total, chi2 * math.sqrt(error) / expected)


def _reduced_chi2(means: NDArray[np.float64], counts: NDArray[np.int64], variance: float) -> float:
    """χ² per degree of freedom of means of ``counts`` pixels about their common mean; NaN for fewer than two."""
    good = counts > 0
    if good.sum() < 2:
        return math.nan
    weights = counts[good]
    deviations = means[good] - np.average(means[good], weights=weights)
    return float(np.sum(weights * deviations**2)) / variance / (int(good.sum()) - 1)
