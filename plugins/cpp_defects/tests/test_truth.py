"""Defects against injected truth, by class: what is beyond the threshold is found, and hardly anything else.

Completeness counts pixels whose truth is beyond the threshold by 3 sigma, purity those found whose truth is not short
of it by more (DESIGN §6). Grown and filled pixels count in neither. The products are made here, pixel by pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from cpp_defects.config import DefectsConfig
from cpp_defects.product import Defects
from cpp_defects.solve import solve
from numpy.typing import NDArray

from cpp_framework.errors import IncompatibleError
from cpp_framework.model import (
    Amplifier,
    AmplifierStatus,
    Box,
    Context,
    Detector,
    ImageProduct,
    Mask,
)

HEIGHT, WIDTH = 512, 600
DETECTOR = Detector(
    "truth",
    0,
    "S00",
    WIDTH,
    HEIGHT,
    (
        Amplifier("A", Box(0, 0, 300, HEIGHT), gain=2.0),
        Amplifier("B", Box(300, 0, WIDTH, HEIGHT), flip_x=True, flip_y=True, gain=2.0),
    ),
)
BIAS_ERROR, DARK_ERROR, FLAT_ERROR = 1.0, 0.3, 0.006
SEEDS = range(3)
COMPLETE, PURE = 0.99, 0.95
Plane = NDArray[np.float64]


def product(plane: Plane, error: float, unit: str, mask: NDArray[np.uint32] | None = None) -> ImageProduct:
    rng = np.random.default_rng(int(1000 * np.nansum(np.abs(plane))) % 2**32)
    return ImageProduct(
        image=(plane + rng.normal(0, error, plane.shape)).astype(np.float32),
        error=np.full(plane.shape, error, np.float32),
        mask=np.zeros(plane.shape, np.uint32) if mask is None else mask,
        used=np.full(plane.shape, 10, np.uint16),
        unit=unit,
    )


def find(config: DefectsConfig | None = None, detector: Detector = DETECTOR, **needs: ImageProduct) -> Defects:
    return solve({}, needs, config or DefectsConfig(), Context(detector))


def smooth() -> Plane:
    """Vignetting by a third, and a gradient."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    fall: Plane = 1 - 0.35 * ((x - 300) ** 2 + (y - 256) ** 2) / (300**2 + 256**2) + 0.1 * y / HEIGHT
    return fall


def some(rng: np.random.Generator, share: float) -> NDArray[np.bool_]:
    return rng.random((HEIGHT, WIDTH)) < share


@dataclass
class Score:
    """Pixels that must be found, may be found, and were."""

    must: NDArray[np.bool_]
    may: NDArray[np.bool_]
    found: NDArray[np.bool_]

    def assert_good(self) -> None:
        assert self.must.sum() > 100
        assert self.found[self.must].mean() > COMPLETE
        assert self.may[self.found].mean() > PURE


def bits(defects: Defects, reason: Mask) -> NDArray[np.bool_]:
    return (defects.mask & np.uint32(reason)) != 0


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("unit", ["electron/s", "adu/s"])
def test_hot_pixels_of_a_dark(seed: int, unit: str) -> None:
    rng = np.random.default_rng(seed)
    excess = np.where(some(rng, 0.01), rng.exponential(6.0, (HEIGHT, WIDTH)), 0.0)
    gain = 2.0 if unit == "adu/s" else 1.0
    defects = find(dark=product((0.05 + excess) / gain, DARK_ERROR / gain, unit))
    margin = 3 * DARK_ERROR
    Score(excess > 5 + margin, excess > 5 - margin, bits(defects, Mask.HOT)).assert_good()
    assert not bits(defects, Mask.COLD | Mask.BAD_COLUMN).any()
    assert np.array_equal(bits(defects, Mask.HOT), defects.mask != 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_off_pixels_of_a_bias(seed: int) -> None:
    rng = np.random.default_rng(seed)
    offset = np.where(some(rng, 0.01), rng.normal(0, 150, (HEIGHT, WIDTH)), 0.0)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    ramp = 60 * x / WIDTH + 300 * np.exp(-y / 100)
    defects = find(bias=product(ramp + offset, BIAS_ERROR, "adu"))
    margin = 3 * BIAS_ERROR + 2
    for sign, reason in ((1, Mask.HOT), (-1, Mask.COLD)):
        Score(sign * offset > 100 + margin, sign * offset > 100 - margin, bits(defects, reason)).assert_good()


@pytest.mark.parametrize("seed", SEEDS)
def test_cold_and_bright_pixels_of_a_flat_with_vignetting(seed: int) -> None:
    rng = np.random.default_rng(seed)
    response = np.where(some(rng, 0.01), rng.uniform(0.2, 1.6, (HEIGHT, WIDTH)), 1.0)
    defects = find(flat=product(smooth() * response, FLAT_ERROR, "1"))
    margin = 3 * FLAT_ERROR / smooth() + 0.005
    Score(response < 0.8 - margin, response < 0.8 + margin, bits(defects, Mask.COLD)).assert_good()
    Score(response > 1.2 + margin, response > 1.2 - margin, bits(defects, Mask.HOT)).assert_good()
    assert not bits(defects, Mask.VAMPIRE).any()


@pytest.mark.parametrize("seed", SEEDS)
def test_columns(seed: int) -> None:
    """Columns of twice the limit in each product, whole and from some row on, in amplifiers read to either side."""
    rng = np.random.default_rng(seed)
    columns = rng.permutation(np.arange(6, WIDTH - 6, 12))[:24]
    planes = {"bias": np.zeros((HEIGHT, WIDTH)), "dark": np.zeros((HEIGHT, WIDTH)), "flat": np.ones((HEIGHT, WIDTH))}
    truth = {Mask.BAD_COLUMN: np.zeros((HEIGHT, WIDTH), bool), Mask.BLOCKED: np.zeros((HEIGHT, WIDTH), bool)}
    for i, x in enumerate(columns):
        kind = ("bias", "dark", "flat")[i % 3]
        start = 0 if i % 2 else int(rng.integers(40, 400))
        rows = slice(start, HEIGHT) if x < 300 else slice(0, HEIGHT - start)
        planes[kind][rows, x] += {"bias": 40.0, "dark": 2.0, "flat": -0.1}[kind]
        truth[Mask.BLOCKED if kind == "flat" and start else Mask.BAD_COLUMN][rows, x] = True
    defects = find(
        bias=product(planes["bias"], BIAS_ERROR, "adu"),
        dark=product(planes["dark"], DARK_ERROR, "electron/s"),
        flat=product(smooth() * planes["flat"], FLAT_ERROR, "1"),
    )
    for reason, true in truth.items():
        Score(true, true, bits(defects, reason)).assert_good()
    assert sum(amp.values["n_bad_columns"].value for amp in defects.amplifiers.values()) == columns.size


@pytest.mark.parametrize("seed", SEEDS)
def test_vampires_are_masked_with_their_discs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    response = np.ones((HEIGHT, WIDTH))
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    truth = np.zeros(response.shape, bool)
    for i, (at_y, at_x) in enumerate(
        zip(rng.integers(20, 490, 12), rng.permutation(np.arange(20, 280, 20))[:12], strict=False)
    ):
        distance = np.hypot(y - at_y, x - at_x)
        response[distance <= 2] = 0.85
        response[at_y, at_x] = 2.5 if i % 2 else 1.5
        truth |= distance <= 8
    response[5, 5] = 1.5
    defects = find(flat=product(smooth() * response, FLAT_ERROR, "1"))
    assert np.array_equal(bits(defects, Mask.VAMPIRE), truth)
    assert defects.mask[5, 5] == Mask.BAD | Mask.HOT


def test_bright_columns_and_borders_are_no_vampires() -> None:
    response = np.ones((HEIGHT, WIDTH))
    response[:, 0] = response[HEIGHT - 1] = 2.5
    response[:, 100] = 1.5
    response[:, [99, 101]] = 0.85
    defects = find(flat=product(smooth() * response, FLAT_ERROR, "1"))
    assert not bits(defects, Mask.VAMPIRE).any()
    assert bits(defects, Mask.HOT)[:, [0, 100]].all()


def test_unstable_missing_and_saturated_pixels_come_from_the_masks() -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint32)
    mask[10, 10] = Mask.UNSTABLE
    mask[20, 20] = Mask.NO_DATA
    mask[30:50, 100] = Mask.SAT | Mask.NO_DATA
    mask[60, 200] = Mask.FULL_WELL
    defects = find(dark=product(np.zeros(mask.shape), DARK_ERROR, "electron/s", mask))
    wanted = np.zeros(mask.shape, np.uint32)
    wanted[10, 10], wanted[20, 20] = Mask.BAD | Mask.UNSTABLE, Mask.BAD | Mask.NO_DATA
    wanted[:, 100] = wanted[30:50, 98:103] = wanted[60, 198:203] = Mask.BAD | Mask.BLOCKED
    assert np.array_equal(defects.mask, wanted)


def test_several_products_are_merged() -> None:
    dark, flat = np.zeros((HEIGHT, WIDTH)), np.ones((HEIGHT, WIDTH))
    dark[5, 6], flat[5, 6], flat[7, 8] = 50, 0.2, 0.3
    defects = find(dark=product(dark, DARK_ERROR, "electron/s"), flat=product(flat, FLAT_ERROR, "1"))
    assert defects.mask[5, 6] == Mask.BAD | Mask.HOT | Mask.COLD
    assert defects.mask[7, 8] == Mask.BAD | Mask.COLD
    values = defects.amplifiers["A"].values
    assert (values["n_hot"].value, values["n_cold"].value, values["n_bad_columns"].value) == (1, 2, 0)
    assert values["masked_fraction"].value == 2 / (300 * HEIGHT)


def test_many_bad_pixels_of_a_column_mask_what_is_between() -> None:
    dark = np.zeros((HEIGHT, WIDTH))
    dark[100:300:4, 77] = 30
    defects = find(DefectsConfig(column_pixels=50), dark=product(dark, DARK_ERROR, "electron/s"))
    assert np.array_equal(np.flatnonzero(bits(defects, Mask.BAD_COLUMN)[:, 77]), np.arange(100, 297))
    assert bits(defects, Mask.HOT).sum() == 50


def test_sigma_mode_needs_no_units() -> None:
    rng = np.random.default_rng(1)
    excess = np.where(some(rng, 0.005), rng.uniform(0, 10, (HEIGHT, WIDTH)), 0.0)
    config = DefectsConfig(mode="sigma", n_sigma=6.0)
    defects = find(config, dark=product(excess, DARK_ERROR, "electron/s"))
    threshold, margin = 6 * DARK_ERROR, 3 * DARK_ERROR
    Score(excess > threshold + margin, excess > threshold - margin, bits(defects, Mask.HOT)).assert_good()


def test_glow_is_not_an_excess_over_the_surroundings_but_counts_as_a_rate() -> None:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    glow = product(20 * np.exp(-((y - 256) ** 2 + x**2) / (2 * 100**2)), DARK_ERROR, "electron/s")
    assert not find(DefectsConfig(mode="sigma"), dark=glow).mask.any()
    assert bits(find(dark=glow), Mask.HOT)[256, :100].all()


def test_a_healthy_detector_has_no_defects() -> None:
    defects = find(
        bias=product(np.zeros((HEIGHT, WIDTH)), BIAS_ERROR, "adu"),
        dark=product(np.full((HEIGHT, WIDTH), 0.1), DARK_ERROR, "electron/s"),
        flat=product(smooth(), FLAT_ERROR, "1"),
    )
    assert not defects.mask.any()
    assert len(defects.tables["REGIONS"]) == 0
    assert all(one.value == 0 for amp in defects.amplifiers.values() for one in amp.values.values())


@pytest.mark.parametrize("plane", [np.nan, 0.0])
def test_a_detector_that_sees_nothing_is_masked_whole(plane: float) -> None:
    flat = product(np.full((HEIGHT, WIDTH), plane), 0.0, "1")
    defects = find(flat=flat)
    assert np.all(defects.mask == np.uint32(Mask.BAD | Mask.DEAD_AMPLIFIER))
    assert {amp.status for amp in defects.amplifiers.values()} == {AmplifierStatus.DEAD}
    assert [tuple(row)[:4] for row in defects.tables["REGIONS"]] == [(0, 0, WIDTH, HEIGHT)]


def test_a_large_hole_in_the_flat_is_no_vignetting() -> None:
    response = np.ones((HEIGHT, WIDTH))
    response[100:300, 50:200] = 0.02
    defects = find(flat=product(response, FLAT_ERROR, "1"))
    assert bits(defects, Mask.COLD)[100:300, 50:200].mean() > COMPLETE


def test_borders_and_regions_are_masked_by_hand() -> None:
    config = DefectsConfig(edge_rows=5, edge_columns=3, regions=("100 200 10 20",))
    defects = find(config, dark=product(np.zeros((HEIGHT, WIDTH)), DARK_ERROR, "electron/s"))
    wanted = np.full((HEIGHT, WIDTH), np.uint32(Mask.BAD | Mask.EDGE))
    wanted[5:-5, 3:-3] = 0
    wanted[200:220, 100:110] = Mask.BAD | Mask.USER
    assert np.array_equal(defects.mask, wanted)
    assert defects.metrics["masked_fraction"].value == 0


def test_windowed_products_are_refused() -> None:
    with pytest.raises(IncompatibleError, match="dark has"):
        find(dark=product(np.zeros((100, WIDTH)), DARK_ERROR, "electron/s"))
