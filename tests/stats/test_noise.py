"""Read noise of a stack: from overscan records, from differences, from rows."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import norm

from cpp_framework.errors import ContractError
from cpp_framework.model import AmplifierRecord, Box
from cpp_framework.stats import (
    ArrayFrames,
    StackNoise,
    measure_stack_noise,
    noise_penalty,
    read_noise_from_differences,
)

Frames = Callable[..., ArrayFrames]
CASES = [(count, sigma) for count in (2, 3, 10) for sigma in (0.5, 1.0, 6.0)]
LIMIT = norm.isf(0.01 / 2 / (2 * len(CASES)))


@pytest.mark.parametrize(("count", "sigma"), CASES)
def test_pulls_from_differences(frames_of: Frames, count: int, sigma: float) -> None:
    rng = np.random.default_rng([count, int(10 * sigma)])
    truth = math.sqrt(sigma**2 + 1 / 12)
    pulls = []
    for _ in range(256):
        shape = (count, 40, 50)
        samples = rng.normal(0, sigma, shape) + rng.normal(300, 50, shape[1:]) + rng.normal(0, 20, (count, 1, 1))
        samples += np.where(rng.random(shape) < 0.001, 100 * sigma, 0)
        found = read_noise_from_differences(frames_of(np.round(samples)), Box(0, 0, 50, 40))
        pulls.append((found.value - truth) / found.error)
    assert abs(np.mean(pulls)) < LIMIT / math.sqrt(256)
    assert abs(math.sqrt(np.mean(np.square(pulls))) - 1) < LIMIT / math.sqrt(2 * 256)


def test_differences_use_only_the_box_and_the_exposures_chosen(frames_of: Frames) -> None:
    samples = np.random.default_rng(3).normal(0, 2, (4, 300, 60))
    samples[1] *= 50
    samples[:, :, :30] *= 50
    found = read_noise_from_differences(frames_of(samples), Box(30, 0, 60, 300), [0, 2, 3])
    assert found.value == pytest.approx(2, abs=5 * found.error)
    assert found.error == pytest.approx(2 / math.sqrt(2 * 9000) * math.sqrt(1.25 / 2), rel=0.1)
    assert found.unit == "adu"


def test_differences_need_two_exposures_and_a_good_pixel(frames_of: Frames) -> None:
    with pytest.raises(ContractError, match="at least two"):
        read_noise_from_differences(frames_of(np.zeros((1, 4, 4))), Box(0, 0, 4, 4))
    with pytest.raises(ContractError, match=r"no pixel of \[1:4,1:4\]"):
        read_noise_from_differences(frames_of(np.full((2, 4, 4), np.nan)), Box(0, 0, 4, 4))


def test_stack_noise_prefers_the_overscan_and_adds_the_noise_of_the_row_levels(frames_of: Frames) -> None:
    records = [{"A0": AmplifierRecord(read_noise=3.0, level_variance=1.0)}] * 2
    records += [{"A0": AmplifierRecord(read_noise=90.0)}]
    used = np.array([[True], [True], [False]])
    noise = measure_stack_noise(frames_of(np.zeros((3, 4, 4)), records=records), used)
    assert noise.read_noise["A0"] == pytest.approx(math.sqrt(10))
    assert noise.source["A0"] == "overscan"


def test_stack_noise_without_overscan_comes_from_differences_or_rows(frames_of: Frames) -> None:
    samples = np.random.default_rng(5).normal(0, 4, (3, 100, 200)) + np.linspace(0, 500, 200)
    several, single = measure_stack_noise(frames_of(samples)), measure_stack_noise(frames_of(samples[:1]))
    assert several.read_noise["A0"] == pytest.approx(4, rel=0.03)
    assert single.read_noise["A0"] == pytest.approx(4, rel=0.04)
    assert several.source["A0"] != single.source["A0"]


def test_variance_is_floored_at_rounding_and_has_poisson_noise_with_a_gain() -> None:
    noise = StackNoise({"A": 0.1, "B": 3.0}, gain={"B": 2.0})
    assert noise.variance("A") == (1 / 12, 0)
    assert noise.variance("B") == (9, 0.5)


@pytest.mark.parametrize(("n", "penalty"), [(1, math.sqrt(2) - 1), (20, 0.0247), (100, 0.00499)])
def test_noise_penalty(n: int, penalty: float) -> None:
    assert noise_penalty(n) == pytest.approx(penalty, rel=1e-2)
