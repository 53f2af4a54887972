"""Subtract the bias from an image."""

from __future__ import annotations

import numpy as np

from cpp_bias.product import Bias
from cpp_framework.declare import Config
from cpp_framework.model import Image


def subtract(image: Image, product: Bias, config: Config) -> None:  # noqa: ARG001  (the contract's signature)
    """Subtract the bias in place, add its variance and take over its mask.

    Parameters
    ----------
    image : Image
        In adu.
    product : Bias
        Of the same pixels: the framework has cropped it to the image and refused what does not fit.
    config : Config
        Not used.
    """
    image.data -= product.image
    image.mask |= product.mask
    if image.variance is not None:
        image.variance += np.multiply(product.error, product.error)
