"""Pick-up that repeats (B3): the strongest line in the spectra of row means, of column means, and along the rows.

A sinusoid that does not keep its phase from row to row cancels in the column means. The stream is what is left of a
row when they are subtracted, pixel after pixel as it is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from cpp_bias.limits import FALSE_ALARM, limits_of
from cpp_bias.residual import AmplifierResidual
from cpp_bias.spectrum import SHORTEST, Line, MeanSpectrum
from cpp_framework.model import Check, Level, Limit, VerifyContext
from cpp_framework.stats import GROWTH, TWO_VALUES

CHECKS = ("B3_row_line", "B3_column_line", "B3_stream_line")

STREAM_ROWS = 256
"""Rows of an amplifier whose spectra are averaged in one exposure; evenly spread, so that large ones stay cheap."""


@dataclass
class _Spectra:
    """Spectra of one amplifier: of row means, column means and rows; ``exposures`` and rows that are in them."""

    spectra: tuple[MeanSpectrum, ...] = field(default_factory=lambda: (MeanSpectrum(), MeanSpectrum(), MeanSpectrum()))
    exposures: int = 0
    rows: int = 0


@dataclass
class Lines:
    """Gathers the spectra of all exposures."""

    amplifiers: dict[str, _Spectra] = field(default_factory=dict)

    def add(self, one: AmplifierResidual) -> None:
        """Take in one amplifier of one exposure."""
        profile = one.profiles
        rows = one.values[:: -(-len(one.values) // STREAM_ROWS)]
        streams = rows - profile.columns.astype(np.float32)
        gathered = self.amplifiers.setdefault(one.amplifier.name, _Spectra())
        gathered.exposures += 1
        gathered.rows = len(rows)
        row_means, column_means, along_rows = gathered.spectra
        row_means.add(profile.rows[np.newaxis])
        column_means.add(profile.columns[np.newaxis])
        along_rows.add(streams)

    def checks(self, ctx: VerifyContext) -> Iterator[Check]:
        """B3 per amplifier: a report, and a failure if a line grew against the previous verdict."""
        for amplifier, gathered in self.amplifiers.items():
            # Held-out residuals of a stack sum to zero: one of them says nothing the others do not.
            exposures = max(gathered.exposures - 1, 1)
            for name, spectrum, profiles in zip(CHECKS, gathered.spectra, (1, 1, gathered.rows), strict=True):
                where = {"level": Level.RUN, "detector": ctx.detector.id, "amplifier": amplifier}
                line = spectrum.strongest(exposures * profiles)
                if line is None:
                    yield Check(name=name, skipped=f"fewer than {SHORTEST} pixels, or no noise in them", **where)
                else:
                    yield _check(name, line, where, ctx)


def _check(name: str, line: Line, where: dict[str, object], ctx: VerifyContext) -> Check:
    limits, expected, error = limits_of(ctx, name), None, line.error
    what = f"{line.frequency:.4f} cycles/pixel"
    significant = line.false_alarm < FALSE_ALARM
    if significant:
        reason = f"{what}; noise makes such a line with a probability below {max(line.false_alarm, 1e-12):.1g}"
    else:
        reason = f"no significant line; the strongest at {what} is noise with probability {line.false_alarm:.2g}"
    previous = ctx.previous_check(name, str(where["amplifier"]))
    if previous is not None and significant and limits["fail"] is None:
        limits["fail"] = Limit(high=GROWTH * previous.value)
        expected, error = previous.value, TWO_VALUES * error
        reason += f"; {previous.value:.3g} adu in the previous verdict"
    return Check(
        name=name,
        value=line.amplitude,
        error=error,
        unit="adu",
        expected=expected,
        reason=reason,
        **where,
        **limits,
    )
