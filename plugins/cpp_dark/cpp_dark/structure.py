"""Structure that is left in the residuals (D3): column and row profiles, and block means, against white noise."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cpp_dark.limits import GROWTH, TWO_VALUES, limits_of
from cpp_dark.residual import AmplifierResidual
from cpp_framework.model import Check, Level, Limit, VerifyContext
from cpp_framework.stats import FrameNoise, block_means, profiles

BLOCK = 16
CHECKS = ("D3_columns", "D3_rows", "D3_blocks")


@dataclass(frozen=True)
class _Ratio:
    """Measured over white-noise expectation in one exposure, what known row and column noise makes of it, its error."""

    value: float
    expected: float
    error: float


@dataclass
class Structure:
    """Gathers the ratios of all exposures; the checks speak of their median in each amplifier."""

    ratios: dict[tuple[str, str], list[_Ratio]] = field(default_factory=dict)

    def add(self, one: AmplifierResidual) -> None:
        """Take in one amplifier of one exposure."""
        for check, ratio in zip(CHECKS, _ratios(one), strict=True):
            found = self.ratios.setdefault((check, one.amplifier.name), [])
            if math.isfinite(ratio.value):
                found.append(ratio)

    def checks(self, ctx: VerifyContext) -> Iterator[Check]:
        """D3 per amplifier: a report, and a failure if structure grew against the previous verdict."""
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
    limits = limits_of(ctx, name)
    reason = f"median of {len(ratios)} exposures; reported, no previous verdict to compare with"
    previous = _previous(name, amplifier, ctx)
    if previous is not None and limits["fail"] is None:
        limits["fail"] = Limit(high=GROWTH * previous.value)
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
        **limits,
    )


def _previous(name: str, amplifier: str, ctx: VerifyContext) -> Check | None:
    """The same check in the verdict of the product this one would replace."""
    if ctx.previous_verdict is None:
        return None
    for check in ctx.previous_verdict.checks:
        if (check.name, check.amplifier) == (name, amplifier) and math.isfinite(check.value):
            return check
    return None


def _ratios(one: AmplifierResidual) -> tuple[_Ratio, _Ratio, _Ratio]:
    """Columns and rows as ratios of standard deviations, blocks as reduced χ².

    What a row shares is the same in the means of all columns, so it does not scatter them; and the other way round.
    """
    rows, columns = one.values.shape
    variance, noise = one.moments.std**2, one.noise
    profile = profiles(one.values)
    means, counts = block_means(one.values, BLOCK)
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
    for variance, n in ((noise.row, max(shape[0], 2)), (noise.column, max(shape[1], 2))):
        part = BLOCK * variance * (1 - 1 / n) / (1 - 1 / number)
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
