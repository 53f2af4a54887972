"""Subtract the bias from an image."""

from __future__ import annotations

import numpy as np

from cpp_framework.declare import Config
from cpp_framework.errors import IncompatibleError
from cpp_framework.model import Image

from cpp_bias.product import Bias


def subtract(image: Image, product: Bias, config: Config) -> None:  # noqa: ARG001  (the contract's signature)
    """Subtract the bias in place, add its variance and take over its mask.

    Parameters
    ----------
    image : Image
        In adu; a window of the detector is corrected with the same window of the bias.
    product : Bias
        Bias of the same detector [adu].

    Raises
    ------
    IncompatibleError
        Unit or size of the two differ.
    """
    if image.unit != product.unit:
        raise IncompatibleError(
            f"the image is in {image.unit}, the bias in {product.unit}", hint="subtract the bias before the gain stage"
        )
    if image.detector.shape != product.image.shape:
        raise IncompatibleError(
            f"the image is of a detector of {image.detector.shape} pixels (y, x), the bias of {product.image.shape}",
            hint="use a bias made with the same geometry and binning",
        )
    part = image.window.slices if image.window is not None else (slice(None), slice(None))
    image.data -= product.image[part]
    image.mask |= product.mask[part]
    if image.variance is not None:
        error = product.error[part]
        image.variance += np.multiply(error, error)
