"""Measure one exposure, average the exposures, judge the average."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from astropy.table import Table, vstack
from numpy.typing import NDArray

from cpp_framework.declare import Config, UsedBy, setting
from cpp_framework.model import (
    UNUSABLE,
    AmplifierResult,
    AmplifierStatus,
    Check,
    Image,
    Level,
    Limit,
    Measured,
    Measurement,
    TableProduct,
    VerifyContext,
)
from cpp_framework.model.context import Context, Inputs, Needs


class SpectrumConfig(Config):
    """Settings of the spectrum."""

    line: float = setting(
        2.0, "a line this many times above the white level fails", unit="1", used_by=UsedBy.VERIFY, gt=1.0
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class NoiseSpectrum(TableProduct):
    """Table SPECTRA: amplifier, frequency [1/pixel], power and its error [adu²]; white noise of σ has power σ²."""


def measure(image: Image, config: SpectrumConfig, ctx: Context) -> Measurement:  # noqa: ARG001
    """Sum the power of the differences between rows 2k and 2k + 1, in which fixed columns cancel."""
    arrays = {}
    for amp in ctx.detector.amplifiers:
        view = image.amp(amp.name)
        rows = np.where(view.mask & UNUSABLE, np.nan, view.data.astype(float))
        even = len(rows) // 2 * 2
        pairs = (rows[1:even:2] - rows[:even:2]) / np.sqrt(2)
        pairs = pairs[np.isfinite(pairs).all(axis=1)]
        # Frequency 0 and the last one have other statistics than those between: they are left out.
        power = np.abs(np.fft.rfft(pairs, axis=1)[:, 1:-1]) ** 2 / pairs.shape[1]
        arrays[f"{amp.name}/power"], arrays[f"{amp.name}/rows"] = power.sum(axis=0), np.array(len(pairs))
    return Measurement(arrays)


def solve(inputs: Inputs, needs: Needs, config: SpectrumConfig, ctx: Context) -> NoiseSpectrum:  # noqa: ARG001
    """Average the exposures. The error is that of the white level: power over the root of the number of rows."""
    measured = inputs["bias"].measurements
    tables, amplifiers = [], {}
    for amp in ctx.detector.amplifiers:
        n = int(sum(one.arrays[f"{amp.name}/rows"] for one in measured))
        total = np.sum([one.arrays[f"{amp.name}/power"] for one in measured], axis=0)
        if n == 0 or not total.any():
            amplifiers[amp.name] = AmplifierResult(status=AmplifierStatus.DEAD, reason="no row with noise")
            continue
        power = total / n
        white = float(power.mean())
        frequency = np.arange(1, power.size + 1) / amp.box.width
        tables.append(_table(amp.name, frequency, power, np.full(power.size, white / np.sqrt(n))))
        noise = Measured(value=np.sqrt(white), error=np.sqrt(white / (n * power.size)) / 2, unit="adu")
        amplifiers[amp.name] = AmplifierResult(values={"noise": noise, "rows": Measured(value=n, unit="rows")})
    return NoiseSpectrum(amplifiers=amplifiers, tables={"SPECTRA": vstack(tables)} if tables else {})


def _table(name: str, frequency: NDArray[np.float64], power: NDArray[np.float64], error: NDArray[np.float64]) -> Table:
    columns = {"AMPLIFIER": np.full(power.size, name), "FREQUENCY": frequency, "POWER": power, "ERROR": error}
    return Table(columns, units={"FREQUENCY": "1 / pix", "POWER": "adu2", "ERROR": "adu2"})


def verify(product: NoiseSpectrum, ctx: VerifyContext) -> Iterator[Check]:
    """Compare the strongest line of each amplifier with the median power and with what white noise would give."""
    assert isinstance(ctx.config, SpectrumConfig)
    for name, result in product.amplifiers.items():
        where = {"name": "strongest_line", "level": Level.AMPLIFIER, "amplifier": name, "detector": ctx.detector.id}
        if result.status == AmplifierStatus.DEAD:
            yield Check(dead=True, reason=result.reason, **where)
            continue
        spectrum = product.tables["SPECTRA"][product.tables["SPECTRA"]["AMPLIFIER"] == name]
        power, relative = np.asarray(spectrum["POWER"]), 1 / np.sqrt(result.values["rows"].value)
        peak = int(np.argmax(power))
        yield Check(
            value=power[peak] / np.median(power),
            error=relative,
            expected=1 + relative * np.sqrt(2 * np.log(power.size)),
            unit="1",
            fail=Limit(high=ctx.config.line),
            reason=f"at {spectrum['FREQUENCY'][peak]:.4f} cycles per pixel",
            **where,
        )
