"""Division by the flat."""

from __future__ import annotations

import copy

import numpy as np
from cpp_flat.apply import divide
from cpp_flat.config import FlatConfig
from cpp_flat.examples import DETECTOR, healthy
from cpp_flat.product import Flat

from cpp_framework.model import Image, Mask

LEVEL = 5000.0


def blank(seed: int, flat: Flat, truth: np.ndarray | None = None) -> Image:
    """Sky of one brightness through the response, with photon noise and its variance."""
    rng = np.random.default_rng(seed)
    light = LEVEL * (np.nan_to_num(flat.image, nan=1.0) if truth is None else truth)
    data = rng.poisson(np.maximum(light, 0)).astype(np.float32)
    return Image(data, np.zeros(data.shape, np.uint32), DETECTOR, unit="electron", variance=light.astype(np.float32))


def test_the_image_is_divided_with_its_variance() -> None:
    _, flat = healthy()
    image = blank(1, flat)
    before = copy.deepcopy(image)
    divide(image, flat, FlatConfig())
    assert image.variance is not None
    assert before.variance is not None
    np.testing.assert_allclose(image.data, before.data / flat.image, rtol=1e-6)
    wanted = (before.variance.astype(float) * flat.image.astype(float) ** 2) + before.data.astype(float) ** 2 * (
        flat.error.astype(float) ** 2
    )
    np.testing.assert_allclose(image.variance, wanted / flat.image.astype(float) ** 4, rtol=1e-5)
    assert (image.data.dtype, image.variance.dtype, image.mask.dtype) == (np.float32, np.float32, np.uint32)


def test_the_sky_is_flat_within_its_variance() -> None:
    """The flat's own error counts: pulls against the known sky are those of honest variances."""
    from cpp_flat.examples import response

    stack, flat = healthy()
    truth = response()
    image = blank(2, flat, truth / truth.mean())
    divide(image, flat, FlatConfig())
    assert image.variance is not None
    pull = (image.data - LEVEL) / np.sqrt(image.variance)
    assert abs(np.sqrt(np.mean(pull**2)) - 1) < 3.3 / np.sqrt(2 * pull.size) + 0.003
    assert len(stack.samples) == len(flat.stacked)


def test_what_has_no_response_is_never_divided_by() -> None:
    _, healthy_flat = healthy()
    damaged, mask = healthy_flat.image.copy(), healthy_flat.mask.copy()
    damaged[1, 1], damaged[2, 2], damaged[3, 3] = 0.0, -0.5, np.nan
    mask[4, 4] |= np.uint32(Mask.NO_DATA)
    mask[5, 5] |= np.uint32(Mask.UNSTABLE)
    flat = Flat(unit="1", image=damaged, error=healthy_flat.error, mask=mask, used=healthy_flat.used)
    image = blank(3, flat)
    divide(image, flat, FlatConfig())
    assert image.variance is not None
    for pixel in ((1, 1), (2, 2), (3, 3), (4, 4)):
        assert np.isnan(image.data[pixel])
        assert np.isnan(image.variance[pixel])
        assert image.mask[pixel] & Mask.NO_DATA
    assert np.isfinite(image.data[5, 5])
    assert image.mask[5, 5] == Mask.UNSTABLE
    assert np.isfinite(image.data).sum() == image.data.size - 4


def test_an_image_without_variance_is_divided_too() -> None:
    _, flat = healthy()
    image = blank(4, flat)
    image.variance = None
    divide(image, flat, FlatConfig())
    assert abs(float(image.data.mean()) / LEVEL - 1) < 1e-3
