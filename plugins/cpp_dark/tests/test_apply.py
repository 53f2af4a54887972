"""Subtraction of the dark from an image."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from cpp_dark.apply import subtract
from cpp_dark.config import DarkConfig
from cpp_dark.product import Dark
from numpy.typing import NDArray

from cpp_framework.errors import IncompatibleError
from cpp_framework.model import AmplifierResult, Image, Mask, Measured
from cpp_framework.testing import make_exposure, small_detector

DETECTOR = small_detector()
SHAPE = DETECTOR.shape
ABSENT = np.zeros((0, 0), np.float32)


def dark(zero: NDArray[np.float32] = ABSENT, zero_error: NDArray[np.float32] = ABSENT, relative: int = 0) -> Dark:
    rng = np.random.default_rng(1)
    mask = np.zeros(SHAPE, np.uint32)
    mask[3, 4] = Mask.HOT
    return Dark(
        unit="electron/s",
        image=rng.uniform(0, 1, SHAPE).astype(np.float32),
        error=np.full(SHAPE, 0.02, np.float32),
        mask=mask,
        used=np.full(SHAPE, 4, np.uint16),
        zero=zero,
        zero_error=zero_error,
        stacked=("a", "b", "c", "d"),
        scales=np.array([10.0, 10.0, 30.0, 30.0]),
        weights=np.ones(4),
        amplifiers={amp.name: AmplifierResult() for amp in DETECTOR.amplifiers},
        metrics={"relative": Measured(value=relative, unit="1")},
    )


def image(time: float = 20.0, applied: tuple[str, ...] = ("bias: bias 0123",)) -> Image:
    return Image(
        np.full(SHAPE, 100, np.float32),
        np.zeros(SHAPE, np.uint32),
        DETECTOR,
        unit="electron",
        variance=np.full(SHAPE, 16, np.float32),
        exposure=make_exposure(DETECTOR, "science", 1, time),
        applied=list(applied),
    )


def test_rate_times_dark_time_is_subtracted_with_its_variance_and_mask() -> None:
    product, frame = dark(), image()
    subtract(frame, product, DarkConfig())
    assert np.allclose(frame.data, 100 - 20 * product.image)
    assert np.allclose(frame.variance, 16 + 0.4**2)  # type: ignore[arg-type]
    assert frame.mask[3, 4] == Mask.HOT
    assert np.count_nonzero(frame.mask) == 1
    assert (frame.data.dtype, frame.variance.dtype) == (np.float32, np.float32)  # type: ignore[union-attr]


def test_a_relative_dark_takes_off_what_exceeds_its_median() -> None:
    product, frame = dark(relative=1), image()
    subtract(frame, product, DarkConfig())
    assert product.relative
    assert np.allclose(frame.data, 100 - 20 * product.image)


@pytest.mark.parametrize("time", [math.nan, math.inf, -1.0])
def test_an_unknown_dark_time_is_an_error_that_names_the_exposure(time: float) -> None:
    frame = image()
    assert frame.exposure is not None
    frame.exposure = frame.exposure.model_copy(update={"dark_time": time})
    with pytest.raises(IncompatibleError, match=r"science-0001 has dark time (nan|inf|-1\.0) s") as caught:
        subtract(frame, dark(), DarkConfig())
    assert "instrument file" in caught.value.hint


def test_an_image_without_an_exposure_is_an_error() -> None:
    frame = image()
    frame.exposure = None
    with pytest.raises(IncompatibleError, match="the image has dark time nan"):
        subtract(frame, dark(), DarkConfig())


def test_the_zero_of_a_joint_fit_is_subtracted_where_no_bias_was() -> None:
    zero, error = np.full(SHAPE, 7, np.float32), np.full(SHAPE, 0.5, np.float32)
    product, plain, corrected = dark(zero, error), image(applied=()), image()
    subtract(plain, product, DarkConfig())
    subtract(corrected, product, DarkConfig())
    assert np.allclose(plain.data, corrected.data - 7)
    # The mean dark time of the stack is that of the image: there rate and zero err together least.
    assert np.allclose(plain.variance, 16 + 0.4**2 + 0.5**2 - 2 * 20 * 20 * 0.02**2)  # type: ignore[arg-type]


def test_the_variance_of_a_joint_dark_is_that_of_its_line() -> None:
    """Independent lines: the error of zero + 15·rate over many fits is what `subtract` adds."""
    rng = np.random.default_rng(5)
    times = np.array([10.0, 10.0, 30.0, 30.0])
    samples = rng.normal(0, 1, (4, 20000))
    rate, zero = np.polyfit(times, samples, 1)
    ones = np.ones(SHAPE, np.float32)
    product = replace(
        dark(0 * ones, np.float32(np.std(zero)) * ones), error=np.float32(np.std(rate)) * ones, image=0 * ones
    )
    frame = image(15.0, applied=())
    subtract(frame, product, DarkConfig())
    assert frame.variance is not None
    assert frame.variance[9, 9] - 16 == pytest.approx(np.var(zero + 15 * rate), rel=0.05)
