"""A bias's error in the dark made with it, against the scatter of simulated images."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cpp_framework.declare import Stage
from cpp_framework.isr.shared_errors import Subtracted, count_once
from cpp_framework.model import Exposure, Header, Image, ImageProduct
from cpp_framework.model.detector import Amplifier, Detector
from cpp_framework.model.geometry import Box
from cpp_framework.model.header import NeedRecord
from cpp_framework.model.image import AmplifierRecord

SHAPE = (200, 300)
GAIN = 2.0
NOISE = 5.0
"""electron"""
TIMES = np.array([30.0, 60.0, 60.0, 90.0])
FIRST = Box(0, 0, 300, 100)
SECOND = Box(0, 100, 300, 200)
DETECTOR = Detector("cam", 0, "D", 300, 200, (Amplifier("A", FIRST), Amplifier("B", SECOND)))


class Rate(ImageProduct):
    """A product whose scale in any exposure is the dark time."""

    def scale_of(self, exposure: Exposure) -> float:
        return exposure.dark_time


def _product(
    kind: type[ImageProduct], name: str, image: NDArray, error: float, unit: str, **more: object
) -> ImageProduct:
    needs = tuple(NeedRecord(type="bias", id=one, digest="", recipe="") for one in more.pop("needs", ()))  # type: ignore
    header = Header(id=name, type=name[:4], revision=1, instrument="cam", detector=0, recipe="", needs=needs)
    return kind(
        image=image.astype(np.float32),
        error=np.full(SHAPE, error, np.float32),
        mask=np.zeros(SHAPE, np.uint32),
        used=np.ones(SHAPE, np.uint16),
        unit=unit,
        header=header,
        **more,  # type: ignore[arg-type]
    )


def _corrected(rng: np.random.Generator, time: float, needs: tuple[str, ...]) -> tuple[Image, NDArray]:
    """An image without signal that a bias (of 4 frames) and a dark made with it were subtracted from."""
    bias = rng.normal(0, NOISE / 2, SHAPE)
    frames = rng.normal(0, NOISE, (TIMES.size, *SHAPE)) - bias
    square = np.sum(TIMES**2)
    rate = np.tensordot(TIMES, frames, 1) / square
    share = TIMES.sum() / square
    products = (
        _product(ImageProduct, "bias1", bias / GAIN, NOISE / 2 / GAIN, "adu"),
        _product(
            Rate, "dark1", rate, np.sqrt(NOISE**2 / square + (share * NOISE / 2) ** 2), "electron/s",
            stacked=tuple("abcd"), scales=TIMES, weights=np.ones(4), needs=needs,
        ),
    )  # fmt: skip
    exposure = Exposure(
        instrument="cam", detector=0, id="e", number=1, kind="science", exposure_time=time, dark_time=time
    )
    data = rng.normal(0, NOISE, SHAPE) - bias - time * rate
    variance = NOISE**2 + (NOISE / 2) ** 2 + (time * products[1].error) ** 2
    records = {name: AmplifierRecord(gain=GAIN) for name in "AB"}
    image = Image(
        data.astype(np.float32), np.zeros(SHAPE, np.uint32), DETECTOR, "electron", variance.astype(np.float32), exposure
    )
    image.records = records
    count_once(image, Subtracted(products[1], Stage.DARK), [Subtracted(products[0], Stage.BIAS)])
    return image, data


@pytest.mark.parametrize("time", [0.0, 10.0, 60.0, 75.0, 300.0])
def test_variance_is_the_scatter_whatever_the_dark_time(time: float) -> None:
    """60000 pixels: the variance is known to 0.6 %; without the correction it is 15 % off at 75 s."""
    image, data = _corrected(np.random.default_rng(int(time)), time, ("bias1",))
    assert image.variance is not None
    assert np.mean(image.variance) == pytest.approx(np.var(data), rel=0.025)
    assert np.all(image.variance > 0)
    assert image.applied == ([] if time == 0 else ["variance: error of bias bias1 counted once"])


def test_products_made_apart_stay_strangers() -> None:
    image, _ = _corrected(np.random.default_rng(1), 75.0, ("bias2",))
    assert image.variance is not None
    expected = NOISE**2 * (1.25 + 75**2 / np.sum(TIMES**2)) + (75 * TIMES.sum() / np.sum(TIMES**2) * NOISE / 2) ** 2
    np.testing.assert_allclose(image.variance, expected, rtol=1e-5)
    assert image.applied == []
