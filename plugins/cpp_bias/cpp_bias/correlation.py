"""Correlation of amplifiers (B7): noise that they have in common in pixels read at the same time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cpp_bias.limits import CORRELATION_CHANGE, limits_of
from cpp_bias.residual import AmplifierResidual
from cpp_framework.model import Check, Level, Limit, VerifyContext
from cpp_framework.stats import TWO_VALUES

NAME = "B7_correlation"
Pair = tuple[str, str]


@dataclass
class Correlations:
    """Gathers Pearson correlations of pairs of amplifiers of equal size, and their variances for independent noise."""

    pairs: dict[Pair, list[float]] = field(default_factory=dict)
    variances: dict[Pair, list[float]] = field(default_factory=dict)

    def add(self, amplifiers: Sequence[AmplifierResidual]) -> None:
        """Take in all amplifiers of one exposure; their values are in readout order."""
        for shape in {one.values.shape for one in amplifiers}:
            self._add_equal([one for one in amplifiers if one.values.shape == shape])

    def _add_equal(self, amplifiers: Sequence[AmplifierResidual]) -> None:
        matrix = _matrix([one.values for one in amplifiers])
        for i, first in enumerate(amplifiers):
            for j, second in enumerate(amplifiers[:i]):
                pair = (second.amplifier.name, first.amplifier.name)
                if math.isfinite(matrix[i, j]):
                    self.pairs.setdefault(pair, []).append(float(matrix[i, j]))
                    self.variances.setdefault(pair, []).append(_variance(first, second))

    def checks(self, ctx: VerifyContext) -> Iterator[Check]:
        """B7 of the detector and of each amplifier: the mean over its pairs, and a failure if that changed."""
        if not self.pairs:
            yield Check(
                name=NAME,
                level=Level.RUN,
                detector=ctx.detector.id,
                skipped="no two amplifiers of equal size to compare",
            )
            return
        means = {pair: float(np.mean(values)) for pair, values in self.pairs.items()}
        yield self._check("", means, ctx)
        for amp in ctx.detector.amplifiers:
            own = {pair: mean for pair, mean in means.items() if amp.name in pair}
            if own:
                yield self._check(amp.name, own, ctx)

    def _check(self, amplifier: str, means: dict[Pair, float], ctx: VerifyContext) -> Check:
        value, error = float(np.mean(list(means.values()))), self._error(list(means))
        strongest = max(means, key=lambda pair: abs(means[pair]))
        reason = f"mean of {len(means)} pairs; the most, {means[strongest]:.2g}, is of {' and '.join(strongest)}"
        limits, expected = limits_of(ctx, NAME), None
        previous = ctx.previous_check(NAME, amplifier)
        if previous is not None and limits["fail"] is None:
            limits["fail"] = Limit(low=previous.value - CORRELATION_CHANGE, high=previous.value + CORRELATION_CHANGE)
            expected, error = previous.value, TWO_VALUES * error
            reason += f"; {previous.value:.3g} in the previous verdict"
        return Check(
            name=NAME,
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

    def _error(self, pairs: Sequence[Pair]) -> float:
        """Error of the mean over pairs and exposures: of independent noise, or as the exposures scatter if more."""
        exposures = min(len(self.pairs[pair]) for pair in pairs)
        # Held-out residuals of a stack sum to zero: one of them says nothing the others do not.
        independent = max(exposures - 1, 1)
        model = sum(float(np.mean(self.variances[pair])) for pair in pairs) / len(pairs) ** 2 / independent
        if exposures < 3:
            return math.sqrt(model)
        each = np.mean([self.pairs[pair][:exposures] for pair in pairs], axis=0)
        return math.sqrt(max(model, float(np.var(each, ddof=1)) / independent))


def _matrix(values: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    """Pearson correlations ``[amplifier, amplifier]`` over the pixels both have; NaN without two of them."""
    deviations = np.array([(one - np.nanmean(one, dtype=np.float64)).ravel() for one in values], np.float32)
    good = np.isfinite(deviations)
    deviations[~good] = 0
    squares = (deviations**2).astype(np.float32)
    present = good.astype(np.float32)
    products = (deviations @ deviations.T).astype(np.float64)
    # Sum of the squares of one amplifier over the pixels the other has as well.
    shared = (squares @ present.T).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        matrix: NDArray[np.float64] = products / np.sqrt(shared * shared.T)
    return matrix


def _variance(first: AmplifierResidual, second: AmplifierResidual) -> float:
    """Variance of the correlation of two amplifiers whose noise is independent: of pixels, of rows and of columns."""
    rows, columns = first.values.shape
    one, two = first.noise, second.noise
    pixels = min(first.moments.n, second.moments.n)
    independent = rows / max(one.row_length, two.row_length, 1.0)
    product: float = (
        one.pixel * two.pixel / pixels + one.row * two.row / independent + one.column * two.column / columns
    )
    return product / (one.total * two.total)
