"""The error of the flat holds those of the bias and the dark, which all its exposures share."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cpp_framework.errors import ContractError
from cpp_framework.model import AmplifierResult, AmplifierStatus, ImageProduct

BIAS_ERROR = 6.0 / math.sqrt(5)
"""Of a bias of five exposures of this camera [electron]."""
DARK_ERROR = 0.3
"""Error of the dark rate [electron/s]."""
SEEDS = range(4)
SIGMA = 3.0
"""4 statistics, two-sided, 1 % together."""


def product_of(error: NDArray[np.float64], unit: str) -> ImageProduct:
    """A product that says nothing but its error."""
    return ImageProduct(
        unit=unit,
        image=np.zeros(error.shape, np.float32),
        error=error.astype(np.float32),
        mask=np.zeros(error.shape, np.uint32),
        used=np.full(error.shape, 5, np.uint16),
        rejected=np.zeros((0, 4), np.int32),
        amplifiers={name: AmplifierResult(status=AmplifierStatus.OK) for name in ("C0", "C1")},
    )


def pulls(simulate_plane: Any, levels: list[float], times: list[float], seed: int, dark: float) -> NDArray[np.float64]:
    """Pulls of the flats of exposures from which an imperfect bias and dark were taken."""
    plane = simulate_plane(levels, seed, shape=(96, 96), prnu=0.01, times=times)
    shape = plane.response[0].shape
    rng = np.random.default_rng(10_000 + seed)
    wrong_bias, wrong_rate = rng.normal(0, BIAS_ERROR, shape), rng.normal(0, dark, shape)
    for image, time in zip(plane.images[0], times, strict=True):
        image.data -= (wrong_bias + wrong_rate * time).astype(np.float32)
    plane.needs = {"bias": product_of(np.full(shape, BIAS_ERROR), "adu")}
    if dark:
        plane.needs["dark"] = product_of(np.full(shape, dark), "electron/s")
    flat = plane.flats()[0]
    assert not flat.refused
    found: NDArray[np.float64] = ((flat.image - plane.response[0]) / flat.error)[flat.mask == 0]
    return found


@pytest.mark.parametrize(
    ("levels", "times", "dark"),
    [([300.0] * 20, [10.0] * 20, 0.0), ([300.0, 400.0, 350.0, 500.0] * 3, [10.0, 13.0, 12.0, 16.0] * 3, DARK_ERROR)],
)
def test_pulls_of_faint_flats(simulate_plane: Any, levels: list[float], times: list[float], dark: float) -> None:
    """Without the error of the bias their rms would be 1.2."""
    found = np.concatenate([pulls(simulate_plane, levels, times, 40 + seed, dark) for seed in SEEDS])
    assert abs(found.mean()) < SIGMA / math.sqrt(found.size)
    assert abs(np.sqrt(np.mean(found**2)) - 1) < SIGMA / math.sqrt(2 * found.size) + 0.005


def test_a_bias_in_adu_counts_by_the_gain(simulate_plane: Any) -> None:
    """Frames in electron by a gain of 2: a bias error of 5 ADU adds 10/300 to each pixel."""
    plane = simulate_plane([300.0] * 4, 3)
    for image in plane.images[0]:
        image.records = {name: replace(record, gain=2.0) for name, record in image.records.items()}
    without = plane.flats()[0]
    plane.needs = {"bias": product_of(np.full(without.image.shape, 5.0), "adu")}
    added = np.square(plane.flats()[0].error) - np.square(without.error)
    assert np.sqrt(np.median(added)) == pytest.approx(10 / plane.levels[0], rel=0.01)


def test_a_bias_of_the_whole_detector_serves_a_window(simulate_plane: Any) -> None:
    """Errors grow with the row of the whole detector; the window begins at row 100."""
    plane = simulate_plane([300.0] * 4, 3)
    without = plane.flats()[0]
    height, width = without.image.shape
    for image in plane.images[0]:
        image.exposure = image.exposure.model_copy(update={"window": f"[1:{width},101:{100 + height}]"})
    whole = np.broadcast_to(np.arange(300.0)[:, None], (300, width))
    plane.needs = {"bias": product_of(whole, "adu")}
    added = np.sqrt(np.square(plane.flats()[0].error) - np.square(without.error))
    rows = np.arange(100, 100 + height)
    assert np.median(added, axis=1) == pytest.approx(rows / plane.levels[0], rel=0.01)


def test_a_bias_of_other_pixels_is_refused(simulate_plane: Any) -> None:
    plane = simulate_plane([300.0] * 4, 3)
    plane.needs = {"bias": product_of(np.zeros((3, 3)), "adu")}
    with pytest.raises(ContractError, match="pixels"):
        plane.flats()
