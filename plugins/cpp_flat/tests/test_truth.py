"""The flat against simulated truth: response, errors, pixel-to-pixel structure, and stars in twilight.

Fields are pixels, whose noise is independent. The limits give all pull statistics of this file together a false-alarm
rate of 1 %, plus what the stated gauge can move: the level of each exposure has an error of its own.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

SIZES = (2, 3, 5, 15)
SEEDS = range(6)
SIGMA = 3.3
"""12 statistics, two-sided, 1 % together."""


def levels(n: int, seed: int) -> Any:
    """Mixed levels from 2000 to 60 000 electrons, of a lamp that jitters by 2 %."""
    return np.geomspace(2e3, 6e4, n) * np.random.default_rng(seed).normal(1, 0.02, n)


@pytest.mark.parametrize("n", SIZES)
def test_pulls_over_mixed_levels(simulate_plane: Any, n: int) -> None:
    pulls = []
    for seed in SEEDS:
        plane = simulate_plane(levels(n, seed), 100 * n + seed, amplifiers=(2,), shape=(96, 96))
        (flat,) = plane.flats().values()
        good = flat.mask == 0
        assert good.mean() > 0.999
        pulls.append(((flat.image - plane.response[0]) / flat.error)[good])
    pull = np.concatenate(pulls)
    assert abs(pull.mean()) < SIGMA / math.sqrt(pull.size)
    assert abs(np.sqrt(np.mean(pull**2)) - 1) < SIGMA / math.sqrt(2 * pull.size) + 0.003


def test_error_is_that_of_the_best_weights(simulate_plane: Any) -> None:
    """Within 2 % of the Cramér–Rao bound: 1/σ² summed over the exposures, with the truth's noise."""
    wanted = levels(5, 1)
    plane = simulate_plane(wanted, 1)
    (flat,) = plane.flats().values()
    variance = wanted * plane.response[0].mean() + simulate_plane.read_noise**2
    bound = 1 / math.sqrt(float(np.sum(wanted**2 / variance)))
    assert float(np.median(flat.error)) == pytest.approx(bound, rel=0.02)


@pytest.mark.parametrize("unit", ["electron", "adu"])
def test_pixel_to_pixel_response_is_seen(simulate_plane: Any, unit: str) -> None:
    """PRNU of 1 % at 20 000 electrons in five exposures: correlation with the truth above 0.9."""
    gain = 2.5 if unit == "adu" else 1.0
    plane = simulate_plane([2e4] * 5, 3, unit=unit, gain=gain)
    (flat,) = plane.flats().values()
    for amp in plane.detectors[0].amplifiers:
        found, true = (one[amp.box.slices].ravel() for one in (flat.image, plane.response[0]))
        assert np.corrcoef(found, true)[0, 1] > 0.9


def test_stars_in_twilight_are_rejected(simulate_plane: Any) -> None:
    """Twelve stars, moved between five exposures of falling level: none survives in a pixel that is hit once."""
    plane = simulate_plane([3e4, 2.4e4, 1.8e4, 1.3e4, 9e3], 6, shape=(128, 128))
    clean = plane.flats()[0]
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:128, :128]
    stars = rng.uniform(8, 100, (12, 2))
    hit = np.zeros((128, 128), int)
    for k, image in enumerate(plane.images[0]):
        light = np.zeros((128, 128))
        for sx, sy in stars:
            light += 20_000 * np.exp(-((x - sx - 11 * k) ** 2 + (y - sy - 9 * k) ** 2) / 4.5)
        image.data += light.astype(np.float32)
        hit += light > 30
    flat = plane.flats()[0]
    assert not flat.refused
    pull = np.abs(flat.image - plane.response[0]) / flat.error
    # Wings below the clip remain: they move a pixel by less than the clip of one sample.
    assert pull[hit <= 1].max() < 6
    assert np.mean(pull[hit == 2] > 5) < 0.03
    assert np.abs(flat.image / clean.image - 1).mean() < 1e-3
    assert flat.metrics["rejected_fraction"].value > 0.001


def test_a_pixel_without_response_is_masked(simulate_plane: Any) -> None:
    plane = simulate_plane([2e4] * 4, 8)
    for image in plane.images[0]:
        image.data[3, 4] = -40.0
        image.data[5, 6] = np.nan
    (flat,) = plane.flats().values()
    assert flat.mask[3, 4]
    assert flat.mask[5, 6]
    assert flat.metrics["not_above_zero"].value == 1


def test_normalisation_is_stated_and_kept(simulate_plane: Any) -> None:
    plane = simulate_plane([2e4] * 4, 9, shape=(240, 250))
    (flat,) = plane.flats().values()
    table = flat.tables["STATEMENTS"]
    said = dict(zip(table["SUBJECT"], table["STATEMENT"], strict=True))
    assert "= 1" in said["normalisation"]
    assert "electron" in said["levels"]
    means = [amp.values["response"].value for amp in flat.amplifiers.values()]
    assert np.mean(means) == pytest.approx(1, abs=1e-4)


def test_illumination_is_reported_and_left_in(simulate_plane: Any) -> None:
    """The simulated light falls as exp(-0.05 r²), with r in sides, towards r² = 0.5 in the corners; no gradient."""
    pulls = []
    for seed in range(30):
        (flat,) = simulate_plane([3e4] * 3, seed, prnu=0.002, shape=(128, 160)).flats().values()
        drop, gradient = (flat.metrics[f"illumination_{name}"] for name in ("corner_drop", "gradient"))
        pulls.append((drop.value + math.expm1(-0.025)) / drop.error)
        assert gradient.value < 5 * gradient.error
    assert abs(np.mean(pulls)) < 3.3 / math.sqrt(30)
    assert abs(np.sqrt(np.mean(np.square(pulls))) - 1) < 3.3 / math.sqrt(60)
    corners = flat.image[[0, 0, -1, -1], [0, -1, 0, -1]].mean()
    assert corners < 0.99
