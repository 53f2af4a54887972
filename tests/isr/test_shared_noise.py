"""What the records say of noise that pixels share explains how the mean of an amplifier scatters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cpp_framework.camera.catalogue import load_instrument
from cpp_framework.camera.instrument import OverscanRule, OverscanRules
from cpp_framework.camera.raw import read_raw
from cpp_framework.camera.reader import read_exposures
from cpp_framework.declare import Stage
from cpp_framework.isr.chain import Chain
from cpp_framework.sim import SimSettings, simulate_night

EXPOSURES = 150
PER_LINE = OverscanRules(serial=OverscanRule(), parallel=OverscanRule(method="median_per_line", skip_leading=2))
RULES = {
    "per line": PER_LINE,
    "serial only": OverscanRules(serial=OverscanRule()),
    "spline": OverscanRules(serial=OverscanRule(method="spline", knots=20)),
    "spline and columns": OverscanRules(
        serial=OverscanRule(method="spline", knots=20), parallel=OverscanRule(method="mean_per_line", skip_leading=2)
    ),
    "one serial median": OverscanRules(serial=OverscanRule(method="median")),
    "one serial mean": OverscanRules(serial=OverscanRule(method="mean")),
    "one level each": OverscanRules(serial=OverscanRule(method="mean"), parallel=OverscanRule(method="mean")),
}


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_the_mean_of_an_amplifier_scatters_as_the_records_say(tmp_path: Path, rules: OverscanRules) -> None:
    instrument = load_instrument("simcam").model_copy(update={"overscan": rules})
    # One level for all rows cannot follow rows that jump, and does not say it could.
    settings = SimSettings(off=frozenset({"row_pattern"}))
    chain = Chain(instrument, 0, Stage.FULL_WELL)
    means, predicted = [], []
    for path in simulate_night(tmp_path / "raw", instrument, biases=EXPOSURES, seed=11, settings=settings):
        (exposure,) = read_exposures(path, instrument)
        image = chain.correct(read_raw(path, instrument, exposure))
        for amp in image.detector.amplifiers[::2]:
            record, (height, width) = image.records[amp.name], amp.box.shape
            assert record.read_noise is not None
            if rules is PER_LINE:
                # The noise of the serial levels of the 8 parallel rows is in every column, whatever they look like.
                assert record.amplifier_variance >= record.level_variance / 8 > 0
            means.append(float(np.mean(image.data[amp.box.slices], dtype=np.float64)))
            predicted.append(
                record.amplifier_variance
                + record.level_variance * min(record.level_length / height, 1.0)
                + record.column_variance / width
                + record.read_noise**2 / (height * width)
            )
    residuals = np.reshape(means, (EXPOSURES, -1)) - np.mean(np.reshape(means, (EXPOSURES, -1)), axis=0)
    pulls = residuals.ravel() / np.sqrt(predicted)
    # 300 values that are nearly independent: 4 % at one sigma. A few parallel rows overrate their noise by up to 10 %.
    assert 0.81 < np.std(pulls) < 1.13
    # The error of each exposure holds, not only that of the average one.
    assert np.abs(pulls).max() < 4.2


@pytest.mark.parametrize("name", ["per line", "serial only", "spline", "spline and columns"])
def test_pixels_rows_and_columns_scatter_as_the_records_say(tmp_path: Path, name: str) -> None:
    """Variances inside an amplifier, rows jumping as they do: 150 × 4 amplifiers, each limit 4 sigma and more."""
    instrument = load_instrument("simcam").model_copy(update={"overscan": RULES[name]})
    chain = Chain(instrument, 0, Stage.FULL_WELL)
    planes, records = [], []
    for path in simulate_night(tmp_path / "raw", instrument, biases=EXPOSURES, seed=12):
        (exposure,) = read_exposures(path, instrument)
        image = chain.correct(read_raw(path, instrument, exposure))
        planes.append(image.data)
        records.append(image.records)
    # Rows that jump are no steps: of 600 levels, none is one at 1e-5.
    assert all(1e-5 < one[amp].step_alarm <= 1 and one[amp].step_row >= 0 for one in records for amp in one)
    residuals = (planes - np.mean(planes, axis=0)) * np.sqrt(EXPOSURES / (EXPOSURES - 1))
    pixels, rows, columns = [], [], []
    for amp in image.detector.amplifiers:
        own, (height, width) = residuals[:, *amp.box.slices], amp.box.shape
        pixel, row, column = (
            float(np.mean(values))
            for values in zip(
                *(
                    (one[amp.name].read_noise ** 2, one[amp.name].level_variance, one[amp.name].column_variance)
                    for one in records
                ),
                strict=True,
            )
        )
        pixels.append(np.mean(np.var(own, axis=(1, 2))) / (pixel + row + column))
        rows.append(np.mean(np.var(own.mean(axis=2), axis=1, ddof=1)) / (pixel / width + row))
        columns.append(np.mean(np.var(own.mean(axis=1), axis=1, ddof=1)) / (pixel / height + column))
    assert np.mean(pixels) == pytest.approx(1, abs=0.008)
    assert np.mean(rows) == pytest.approx(1, abs=0.05)
    assert np.mean(columns) == pytest.approx(1, abs=0.03)
