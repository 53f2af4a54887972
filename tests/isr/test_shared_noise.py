"""What the records say of noise that pixels share explains how the mean of an amplifier scatters."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from cpp_framework.camera.catalogue import load_instrument
from cpp_framework.camera.raw import read_raw
from cpp_framework.camera.reader import read_exposures
from cpp_framework.declare import Stage
from cpp_framework.isr.chain import Chain
from cpp_framework.sim import simulate_night

EXPOSURES = 150


def test_the_mean_of_an_amplifier_scatters_as_the_records_say(tmp_path: Path) -> None:
    instrument = load_instrument("simcam")
    chain = Chain(instrument, 0, Stage.FULL_WELL)
    means, predicted = [], []
    for path in simulate_night(tmp_path / "raw", instrument, biases=EXPOSURES, seed=11):
        (exposure,) = read_exposures(path, instrument)
        image = chain.correct(read_raw(path, instrument, exposure))
        for amp in image.detector.amplifiers[::2]:
            record, (height, width) = image.records[amp.name], amp.box.shape
            assert record.read_noise is not None
            means.append(float(np.mean(image.data[amp.box.slices], dtype=np.float64)))
            predicted.append(
                record.amplifier_variance
                + record.level_variance / height
                + record.column_variance / width
                + record.read_noise**2 / (height * width)
            )
    scatter = np.std(np.reshape(means, (EXPOSURES, -1)), axis=0, ddof=1)
    ratio = math.sqrt(float(np.mean(scatter**2)) / float(np.mean(predicted)))
    # 300 values that are nearly independent: 4 % at one sigma.
    assert abs(ratio - 1) < 0.13
