"""Subtraction of the bias from an image."""

from __future__ import annotations

import numpy as np
from cpp_bias.apply import subtract
from cpp_bias.config import BiasConfig
from cpp_bias.declare import BIAS
from cpp_bias.product import Bias

from cpp_framework.model import Mask
from cpp_framework.testing import make_stack, run_type


def test_the_bias_is_subtracted_with_its_variance_and_mask() -> None:
    stack = make_stack(5, 1, nan_pixels=True)
    bias = run_type(BIAS, stack)
    assert isinstance(bias, Bias)
    image = make_stack(1, 2).images["bias"][0]
    data, variance = image.data.copy(), image.variance.copy()  # type: ignore[union-attr]
    subtract(image, bias, BiasConfig())
    good = image.mask == 0
    assert np.array_equal(image.data[good], (data - bias.image)[good])
    assert np.allclose(image.variance[good], (variance + bias.error**2)[good], rtol=1e-6)  # type: ignore[index]
    assert image.mask[5, 7] & Mask.NO_DATA
    assert abs(float(np.mean(image.data[good]))) < 0.2
