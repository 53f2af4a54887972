"""Divide an image by the flat."""

from __future__ import annotations

import numpy as np

from cpp_flat.product import Flat
from cpp_framework.declare import Config
from cpp_framework.model import UNUSABLE, Image, Mask


def divide(image: Image, product: Flat, config: Config) -> None:  # noqa: ARG001  (the contract's signature)
    """Divide by the flat in place, add its variance and take over its mask.

    With I the image, F the flat and V, σ² their variances, the variance becomes (V + (I/F)²·σ²)/F². Where the flat has
    no response to divide by, data and variance become NaN, masked NO_DATA.

    Parameters
    ----------
    image : Image
    product : Flat
        Of the same pixels: the framework has cropped it to the image and refused what does not fit.
    config : Config
        Not used.
    """
    usable = ((product.mask & np.uint32(UNUSABLE)) == 0) & (product.image > 0)
    response = np.where(usable, product.image, np.float32(np.nan))
    image.data /= response
    if image.variance is not None:
        image.variance += np.square(image.data * product.error)
        image.variance /= np.square(response)
    image.mask |= product.mask
    image.mask[~usable] |= np.uint32(Mask.NO_DATA)
