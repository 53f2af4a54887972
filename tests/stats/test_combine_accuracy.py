"""Accuracy of combined stacks (DESIGN §6): pulls over independent fields, and noise cost.

A field is one amplifier of 32 × 32 pixels with its own deviating exposure, if any. Per stack there are two
statistics, mean and rms of 256 pulls; their limits give the whole table a false-alarm rate of 1 %.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import norm

from cpp_framework.stats import (
    ArrayFrames,
    Combined,
    StackNoise,
    combine,
    find_deviant_exposures,
    stack_statistics,
    used_exposures,
)

Frames = Callable[..., ArrayFrames]

SIZE, FIELDS = 32, 16
COUNTS = (2, 3, 5, 10, 25)
CLEAN, OUTLIERS = "clean", "0.1 % outliers"
WILD = {"shift +2": (2, 1), "shift +5": (5, 1), "shift +30": (30, 1), "noise ×5": (0, 5), "noise ×50": (0, 50)}
TABLE = [(count, kind) for count in COUNTS for kind in (CLEAN, OUTLIERS, *(WILD if count >= 3 else ()))]
ROUNDED = [(count, sigma) for count in COUNTS for sigma in (0.5, 1.0, 3.0)]
LIMIT = norm.isf(0.01 / 2 / (2 * (len(TABLE) + len(ROUNDED))))
READ_NOISE = 4.0


@dataclass(frozen=True)
class Night:
    """Simulated samples ``[exposure, y, x]``, the truth ``[y, x]``, and which samples are as they should be."""

    samples: np.ndarray
    truth: np.ndarray
    good: np.ndarray


def simulate(count: int, sigma: float, kind: str, rng: np.random.Generator) -> Night:
    shape = (FIELDS * SIZE, FIELDS * SIZE)
    truth = rng.uniform(-20, 20, shape)
    deviates = rng.normal(0, sigma, (count, *shape))
    hit = (rng.random(deviates.shape) < 0.001) & (kind != CLEAN)
    good = ~hit
    if kind in WILD:
        shift, factor = WILD[kind]
        chosen = np.kron(rng.integers(count, size=(FIELDS, FIELDS)), np.ones((SIZE, SIZE), int))
        wild = np.arange(count)[:, None, None] == chosen
        deviates = np.where(wild, shift * sigma + factor * deviates, deviates)
        good &= ~wild
    outliers = sigma * (10 + rng.exponential(30, deviates.shape)) * hit
    return Night(truth + deviates + outliers, truth, good)


def reduce(frames: ArrayFrames, sigma: float) -> tuple[Combined, np.ndarray]:
    """Refuse deviating exposures, then combine, as a calibration type does."""
    amplifiers = frames.detector.amplifiers
    deviants = find_deviant_exposures(*stack_statistics(frames))
    used = used_exposures(deviants, len(frames.exposures), len(amplifiers))
    return combine(frames, StackNoise({amp.name: sigma for amp in amplifiers}), used_exposures=used), used


def field_pulls(found: Combined, truth: np.ndarray) -> np.ndarray:
    """(estimate − truth)/error of the mean of each field."""

    def per_field(plane: np.ndarray) -> np.ndarray:
        return plane.reshape(FIELDS, SIZE, FIELDS, SIZE).sum(axis=(1, 3))

    return per_field(found.image - truth).ravel() / np.sqrt(per_field(found.error.astype(float) ** 2)).ravel()


def assert_pulls(pulls: np.ndarray) -> None:
    n = pulls.size
    assert abs(pulls.mean()) < LIMIT / math.sqrt(n)
    assert abs(math.sqrt(np.mean(pulls**2)) - 1) < LIMIT / math.sqrt(2 * n)


def noise_cost(found: Combined, night: Night) -> float:
    """Relative increase of the noise over that of the mean of the uncontaminated samples.

    A pixel hit in all its samples is not counted.
    """
    number = night.good.sum(axis=0)
    seen = number > 0
    ideal = np.where(night.good, night.samples, 0).sum(axis=0)[seen] / number[seen]
    return float(np.std((found.image - night.truth)[seen]) / np.std(ideal - night.truth[seen]) - 1)


@pytest.mark.parametrize(("count", "kind"), TABLE)
def test_pulls_and_noise_cost(frames_of: Frames, count: int, kind: str) -> None:
    night = simulate(count, READ_NOISE, kind, np.random.default_rng([count, len(kind), 20]))
    frames = frames_of(night.samples, fields=(FIELDS, FIELDS))
    found, used = reduce(frames, READ_NOISE)
    wild = ~night.good.reshape(count, FIELDS, SIZE, FIELDS, SIZE).any(axis=(2, 4)).reshape(count, -1)
    np.testing.assert_array_equal(used, ~wild)
    assert_pulls(field_pulls(found, night.truth))
    if kind not in WILD:
        assert noise_cost(found, night) < 0.01


@pytest.mark.parametrize(("count", "sigma"), ROUNDED)
def test_pulls_on_whole_numbers(frames_of: Frames, count: int, sigma: float) -> None:
    night = simulate(count, sigma, OUTLIERS, np.random.default_rng([count, int(10 * sigma), 30]))
    frames = frames_of(np.round(night.samples), fields=(FIELDS, FIELDS))
    found, used = reduce(frames, math.sqrt(sigma**2 + 1 / 12))
    assert used.all()
    assert_pulls(field_pulls(found, night.truth))
