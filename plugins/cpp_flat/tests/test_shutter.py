"""Shutter shading against simulated truth: delays by pulls, and the flat of infinitely long exposures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from cpp_flat.surface import Surface

from cpp_framework.stats.residuals import held_out_residual

SHAPE = (96, 128)
TIMES = (0.5, 0.5, 1.0, 2.0, 4.0, 8.0)
LEVELS = np.array([8e3, 8e3, 1.6e4, 3e4, 4e4, 5e4])
PLANES = 32
SIGMA = 3.3


def iris(peak: float = 0.01) -> Any:
    """Delay [s] of an iris that opens from the centre, relative to its mean."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    delay = -peak * ((2 * x / SHAPE[1] - 1) ** 2 + (2 * y / SHAPE[0] - 1) ** 2)
    return delay - delay.mean()


@pytest.fixture
def shaded(simulate_plane: Any) -> Any:
    def make(seed: int, delay: Any = None, **options: Any) -> Any:
        jitter = np.random.default_rng(seed).normal(1, 0.02, len(TIMES))
        given = {0: iris() if delay is None else delay}
        return simulate_plane(LEVELS * jitter, seed, times=TIMES, shape=SHAPE, delay=given, **options)

    return make


def surface_of(flat: Any) -> Surface:
    return Surface.from_table(flat.tables["SHUTTER"], SHAPE)


def test_delays_have_honest_errors(shaded: Any) -> None:
    """One place per simulated plane: corner and centre."""
    pulls = []
    for seed in range(PLANES):
        (flat,) = shaded(seed).flats().values()
        surface, true = surface_of(flat), iris()
        pulls.append([(surface.at(x, y) - true[y, x]) / surface.error_at(x, y) for x, y in ((4, 4), (64, 48))])
    for pull in np.array(pulls).T:
        # Means of blocks taken for their centres: 0.4 % of the shading, 0.4 of the error here.
        assert abs(pull.mean()) < SIGMA / math.sqrt(PLANES) + 0.4
        assert abs(np.sqrt(np.mean(pull**2)) - 1) < SIGMA / math.sqrt(2 * PLANES)


def test_flat_is_that_of_infinitely_long_exposures(shaded: Any) -> None:
    """The largest shading here is 2 % at half a second; uncorrected, the flat would be off by its weighted mean."""
    plane = shaded(1, iris(0.02), prnu=0.002)
    (flat,) = plane.flats().values()
    pull = (flat.image - plane.response[0]) / flat.error
    assert abs(np.sqrt(np.mean(pull**2)) - 1) < 0.05
    corner = np.s_[:16, :16]
    assert abs(np.mean(flat.image[corner] / plane.response[0][corner]) - 1) < 1e-3


def test_factor_takes_the_shading_into_the_residuals(shaded: Any) -> None:
    plane = shaded(2, iris(0.02))
    (flat,) = plane.flats().values()
    first = plane.images[0][0]
    factor = flat.factor(first.exposure)
    np.testing.assert_allclose(factor, 1 + iris(0.02) / TIMES[0], atol=3e-3)
    frame = held_out_residual(flat, first.exposure, first.data, first.records)
    ratio = frame.residual / frame.model
    for corner in (np.s_[:24, :24], np.s_[36:60, 52:76]):
        assert abs(np.mean(ratio[corner])) < 4 * np.std(ratio[corner]) / 24 + 1e-3


def test_metrics_say_how_large_and_how_significant(shaded: Any) -> None:
    (flat,) = shaded(3).flats().values()
    largest, significance = flat.metrics["shutter_largest_delay"], flat.metrics["shutter_significance"]
    assert abs(largest.value - iris().min()) < 5 * largest.error
    assert largest.unit == "s"
    assert significance.value > 5


@pytest.mark.parametrize("unit", ["electron", "adu"])
def test_without_shading_there_is_none(shaded: Any, unit: str) -> None:
    for seed in range(20):
        (flat,) = shaded(seed, np.zeros(SHAPE), unit=unit, gain=2.0 if unit == "adu" else 1.0).flats().values()
        assert "SHUTTER" not in flat.tables
        assert flat.factor(shaded(0).images[0][0].exposure) is None


def test_equal_times_cannot_tell(simulate_plane: Any) -> None:
    plane = simulate_plane(LEVELS, 1, times=[1.0] * 6, shape=SHAPE, delay={0: iris()})
    (flat,) = plane.flats().values()
    assert "SHUTTER" not in flat.tables
    said = " ".join(flat.tables["STATEMENTS"]["STATEMENT"])
    assert "no shading fitted" in said


def test_delay_is_relative_to_the_focal_plane(simulate_plane: Any) -> None:
    """Two detectors, one of which opens 20 ms after the other: they are told apart, and so are their throughputs."""
    delay = {0: np.full(SHAPE, 0.01), 1: np.full(SHAPE, -0.01)}
    plane = simulate_plane(LEVELS, 4, times=TIMES, shape=SHAPE, delay=delay, amplifiers=(2, 2))
    flats = plane.flats()
    for number, sign in ((0, 1), (1, -1)):
        surface = surface_of(flats[number])
        assert surface.at(64, 48) == pytest.approx(sign * 0.01, abs=5 * float(surface.error_at(64, 48)))
        true = plane.response[number].mean()
        assert flats[number].image.mean(dtype=np.float64) == pytest.approx(true, rel=5e-4)


def test_illumination_that_drifts_is_no_shading(shaded: Any) -> None:
    """Gradients of 0.3 % that differ between exposures, whatever their times, are far beyond photon noise."""
    x = np.linspace(-1, 1, SHAPE[1], dtype=np.float32)
    found = 0
    for seed in range(20):
        plane = shaded(seed, np.zeros(SHAPE))
        rng = np.random.default_rng(seed)
        for image in plane.images[0]:
            image.data *= 1 + np.float32(rng.normal(0, 0.003)) * x
        found += "SHUTTER" in plane.flats()[0].tables
    assert found == 0
