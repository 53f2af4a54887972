"""Held-out residuals from the stored product alone: their sum, their variances, and what cannot be judged."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import pytest

from cpp_framework.errors import ContractError, IncompatibleError
from cpp_framework.isr.residuals import ImageResiduals, residual_frame
from cpp_framework.model import Amplifier, AmplifierResult, Box, Detector, Exposure, Image, ImageProduct, Mask

SHAPE = (60, 80)
DETECTOR = Detector("testcam", 0, "D0", 80, 60, (Amplifier("A", Box(0, 0, 40, 60)), Amplifier("B", Box(40, 0, 80, 60))))


def _exposure(index: int) -> Exposure:
    return Exposure(
        instrument="testcam", detector=0, id=f"e{index}", number=index, kind="bias", exposure_time=0, dark_time=0
    )


def _images(n: int, seed: int = 1) -> list[Image]:
    rng = np.random.default_rng(seed)
    return [
        Image(rng.normal(0, 1, SHAPE).astype(np.float32), np.zeros(SHAPE, np.uint32), DETECTOR, exposure=_exposure(i))
        for i in range(n)
    ]


def _stack(images: list[Image], left_out: np.ndarray | None = None, **fields: object) -> ImageProduct:
    """Mean of the samples that are neither masked nor in ``left_out`` ``[exposure, y, x]`` (rejected)."""
    data = np.stack([image.data for image in images]).astype(np.float64)
    rejected = np.zeros(data.shape, bool) if left_out is None else left_out
    good = ~rejected & np.stack([image.mask == 0 for image in images])
    used = good.sum(axis=0)
    with np.errstate(invalid="ignore"):
        mean = np.where(good, data, 0).sum(axis=0) / used
    runs = np.argwhere(rejected)
    return ImageProduct(
        image=mean.astype(np.float32),
        error=np.ones(SHAPE, np.float32),
        mask=np.where(used == 0, np.uint32(Mask.NO_DATA), np.uint32(0)),
        used=used.astype(np.uint16),
        rejected=np.column_stack([runs, np.ones(len(runs))]).astype(np.int32),
        stacked=tuple(image.exposure.id for image in images if image.exposure),
        unit="adu",
        **fields,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_residuals_equal_those_of_a_stack_made_without_the_exposure(n: int) -> None:
    images = _images(n)
    left_out = np.random.default_rng(2).random((n, *SHAPE)) < 0.02
    left_out[0] &= ~left_out[1:].all(axis=0)
    images[1].mask[5:9, 5:9] = np.uint32(Mask.SAT)
    product = _stack(images, left_out)
    for k, image in enumerate(images):
        others = left_out.copy()
        others[k] = True
        without = _stack(images, others)
        expected = image.data - without.image
        expected[image.mask != 0] = np.nan
        frame = residual_frame(image, product)
        np.testing.assert_allclose(frame.residual, expected, atol=2e-5)
        m = without.used.astype(float)
        judged = np.isfinite(expected)
        np.testing.assert_allclose(frame.variance_factor[judged], 1 + 1 / m[judged], rtol=1e-6)
        assert frame.held_out


def test_residuals_of_used_samples_sum_to_zero() -> None:
    images = _images(6)
    left_out = np.random.default_rng(3).random((6, *SHAPE)) < 0.05
    product = _stack(images, left_out)
    residuals = np.stack([residual_frame(image, product).residual for image in images])
    total = np.where(left_out, 0, residuals).sum(axis=0, dtype=np.float64)
    assert np.abs(total[product.used >= 2]).max() < 2e-5


@pytest.mark.parametrize("n", [2, 3, 10])
def test_variances_are_as_stated(n: int) -> None:
    """Monte-Carlo: mean square over the stated variance, used and rejected samples apart, 5 sigma."""
    images = _images(n, seed=4)
    left_out = np.zeros((n, *SHAPE), bool)
    left_out[0, :30] = True
    product = _stack(images, left_out)
    frame = residual_frame(images[0], product)
    scaled = frame.residual**2 / frame.variance_factor
    for rows in (slice(0, 30), slice(30, 60)):
        pixels = scaled[rows]
        assert np.mean(pixels) == pytest.approx(1, abs=5 * math.sqrt(2 / pixels.size))
    outsider = _images(1, seed=5)[0]
    outsider.exposure = _exposure(99)
    frame = residual_frame(outsider, product)
    expected = 1 + 1 / product.used.astype(np.float32)
    np.testing.assert_allclose(frame.variance_factor, expected, rtol=1e-6)
    assert np.mean(frame.residual**2 / frame.variance_factor) == pytest.approx(1, abs=5 * math.sqrt(2 / 4800))


def test_what_cannot_be_judged_is_nan() -> None:
    images = _images(3)
    images[0].mask[1, 1] = np.uint32(Mask.SAT)
    images[0].mask[1, 2] = np.uint32(Mask.SUSPECT)
    left_out = np.zeros((3, *SHAPE), bool)
    left_out[1:, 7, 7] = True
    left_out[:, 8, 8] = True
    product = _stack(images, left_out)
    frame = residual_frame(images[0], product)
    assert np.argwhere(np.isnan(frame.residual)).tolist() == [[1, 1], [7, 7], [8, 8]]
    rejected = residual_frame(images[1], product)
    assert rejected.residual[7, 7] == images[1].data[7, 7] - images[0].data[7, 7]
    assert rejected.variance_factor[7, 7] == 2
    assert np.isnan(rejected.residual[8, 8])


def test_refused_exposures_and_amplifiers_were_not_in_the_stack() -> None:
    images = _images(4)
    left_out = np.zeros((4, *SHAPE), bool)
    left_out[3] = True
    left_out[2, :, 40:] = True
    product = dataclasses.replace(
        _stack(images, left_out),
        rejected=np.zeros((0, 4), np.int32),
        refused={"e3": "noise five times that of the others", "e2/B": "level 30 sigma off"},
    )
    whole = residual_frame(images[3], product)
    np.testing.assert_array_equal(whole.residual, images[3].data - product.image)
    np.testing.assert_allclose(whole.variance_factor[:, :40], 1 + 1 / 3)
    np.testing.assert_allclose(whole.variance_factor[:, 40:], 1 + 1 / 2)
    half = residual_frame(images[2], product)
    np.testing.assert_allclose(half.variance_factor[:, :40], 3 / 2)
    np.testing.assert_allclose(half.variance_factor[:, 40:], 1 + 1 / 2)
    np.testing.assert_array_equal(half.residual[:, 40:], (images[2].data - product.image)[:, 40:])
    left_of_stack = dataclasses.replace(product, stacked=("e0", "e1", "e2"))
    np.testing.assert_array_equal(residual_frame(images[3], left_of_stack).residual, whole.residual)


def test_other_units_sizes_and_anonymous_images_are_refused() -> None:
    images = _images(2)
    product = _stack(images)
    images[0].unit = "electron"
    with pytest.raises(IncompatibleError, match="the image is in electron, the product in adu"):
        residual_frame(images[0], product)
    small = Image(images[1].data[:5], images[1].mask[:5], DETECTOR, exposure=_exposure(1))
    with pytest.raises(IncompatibleError, match="pixels"):
        residual_frame(small, product)
    images[1].exposure = None
    with pytest.raises(ContractError, match="of which exposure"):
        residual_frame(images[1], product)


@pytest.mark.parametrize("line", [False, True])
def test_residuals_of_scaled_stacks_equal_those_of_a_fit_made_without_the_exposure(line: bool) -> None:
    """The reference is numpy's least squares of the other exposures, pixel by pixel."""
    scales, weights = np.array([10.0, 10.0, 60.0, 60.0, 300.0]), np.array([1.0, 1.0, 0.9, 0.9, 0.6])
    rng = np.random.default_rng(3)
    samples = (rng.normal(0, 1, (5, *SHAPE)) + 0.1 * scales[:, None, None] + 4.0 * line).astype(np.float32)
    images = [replace_data(image, samples[k]) for k, image in enumerate(_images(5))]
    left_out = np.zeros((5, *SHAPE), bool)
    left_out[2, 3, 4:9] = True
    product = _scaled(samples, scales, weights, left_out, line)
    for k, image in enumerate(images):
        frame = residual_frame(image, product)
        for y, x in [(0, 0), (3, 5), (3, 8), (59, 79), (30, 41)]:
            others = ~left_out[:, y, x] & (np.arange(5) != k)
            design, root = _design(scales, line), np.sqrt(weights)
            found = np.linalg.lstsq(design[others] * root[others, None], samples[others, y, x] * root[others])[0]
            assert frame.residual[y, x] == pytest.approx(samples[k, y, x] - design[k] @ found, abs=2e-3)
            inverse = np.linalg.inv((design[others].T * weights[others]) @ design[others])
            assert frame.variance_factor[y, x] == pytest.approx(
                1 + weights[k] * design[k] @ inverse @ design[k], rel=1e-3
            )
        assert frame.scale == scales[k]


def test_offsets_are_taken_off_by_amplifier() -> None:
    images = _images(3)
    amplifiers = {"A": AmplifierResult(), "B": AmplifierResult()}
    offsets = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    product = _stack(images, amplifiers=amplifiers, offsets=offsets, scales=np.ones(3), weights=np.ones(3))
    plain = residual_frame(images[1], _stack(images)).residual
    shifted = residual_frame(images[1], product).residual
    np.testing.assert_allclose((plain - shifted)[:, :40], 3.0 * 1.5, atol=1e-5)
    np.testing.assert_allclose((plain - shifted)[:, 40:], 4.0 * 1.5, atol=1e-5)


def replace_data(image: Image, data: np.ndarray) -> Image:
    return dataclasses.replace(image, data=data)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class WithZero(ImageProduct):
    """A stack with an intercept that the test hands in."""

    plane_names: ClassVar[Mapping[str, str]] = {**ImageProduct.plane_names, "zero": "ZERO"}
    zero: np.ndarray

    def intercept(self) -> np.ndarray:
        return self.zero


def _design(scales: np.ndarray, line: bool) -> np.ndarray:
    return np.column_stack([scales, np.ones_like(scales)]) if line else scales[:, None]


def _scaled(
    samples: np.ndarray, scales: np.ndarray, weights: np.ndarray, left_out: np.ndarray, line: bool
) -> ImageProduct:
    """The least-squares fit of every pixel, by the normal equations."""
    design = _design(scales, line)
    kept = np.where(left_out, 0.0, weights[:, None, None])
    normal = np.einsum("kyx,ki,kj->yxij", kept, design, design)
    found = np.linalg.solve(normal, np.einsum("kyx,ki,kyx->yxi", kept, design, samples)[..., None])[..., 0]
    runs = np.argwhere(left_out)
    fields = {
        "image": found[..., 0].astype(np.float32),
        "error": np.ones(SHAPE, np.float32),
        "mask": np.zeros(SHAPE, np.uint32),
        "used": (~left_out).sum(axis=0).astype(np.uint16),
        "rejected": np.column_stack([runs, np.ones(len(runs))]).astype(np.int32),
        "stacked": tuple(f"e{k}" for k in range(5)),
        "scales": scales,
        "weights": weights,
        "unit": "adu",
    }
    if line:
        return WithZero(zero=found[..., 1].astype(np.float32), **fields)  # type: ignore[arg-type]
    return ImageProduct(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("line", [False, True])
def test_a_stored_pixel_that_is_not_the_fit_of_its_exposures_is_found(line: bool) -> None:
    scales, weights = np.array([10.0, 10.0, 60.0, 60.0, 300.0]), np.array([1.0, 1.0, 0.9, 0.9, 0.6])
    rng = np.random.default_rng(3)
    samples = (rng.normal(0, 1, (5, *SHAPE)) + 0.1 * scales[:, None, None] + 4.0 * line).astype(np.float32)
    left_out = np.zeros((5, *SHAPE), bool)
    left_out[2, 3, 4:9] = True
    sound = _scaled(samples, scales, weights, left_out, line)
    # The error of the estimate: the test's product has 1 everywhere, which would hide what is smaller.
    error = np.full(SHAPE, 1 / np.sqrt(np.sum(weights * scales**2)), np.float32)
    sound = dataclasses.replace(sound, error=error)
    wrong = sound.image.copy()
    wrong[7, 8] += 0.3 * error[7, 8]
    for product, expected in [(sound, []), (dataclasses.replace(sound, image=wrong), [[7, 8]])]:
        residuals = ImageResiduals(product, DETECTOR)
        for k, image in enumerate(_images(5)):
            assert residuals.not_solved() is None
            residuals.frame(replace_data(image, samples[k]))
        found = residuals.not_solved()
        assert found is not None
        assert np.argwhere(found).tolist() == expected
