"""Subtract the dark signal from an image."""

from __future__ import annotations

import math

import numpy as np

from cpp_dark.product import Dark
from cpp_framework.declare import Config
from cpp_framework.errors import IncompatibleError
from cpp_framework.model import Image


def subtract(image: Image, product: Dark, config: Config) -> None:  # noqa: ARG001  (the contract's signature)
    """Subtract rate × dark time in place, add its variance and take over its mask.

    A dark whose zero was fitted with the rate also takes the zero off an image that no bias was subtracted from. A
    relative dark takes off what exceeds the median of each amplifier: the level itself stays in the image, for an
    overscan or a background fit to find.

    Parameters
    ----------
    image : Image
        In the unit of the product's exposures.
    product : Dark
        Of the same pixels: the framework has cropped it to the image and refused what does not fit.
    config : Config
        Not used.

    Raises
    ------
    IncompatibleError
        The dark time of the image is not known.
    """
    time = math.nan if image.exposure is None else image.exposure.dark_time
    if not (math.isfinite(time) and time >= 0):
        name = "the image" if image.exposure is None else f"exposure {image.exposure.id}"
        raise IncompatibleError(
            f"{name} has dark time {time} s: the dark signal in it is not known",
            hint="map dark_time or exposure_time in the header section of the instrument file",
        )
    seconds = np.float32(time)
    image.data -= product.image * seconds
    variance = np.square(product.error * seconds)
    if product.zero.size and not any(step.startswith("bias:") for step in image.applied):
        image.data -= product.zero
        # Zero and rate of one line fit share its errors: their covariance is -(mean time)·(variance of the rate).
        shared = 2 * seconds * np.float32(_mean_time(product)) * np.square(product.error)
        variance = np.maximum(variance + np.square(product.zero_error) - shared, 0)
    image.mask |= product.mask
    if image.variance is not None:
        image.variance += variance


def _mean_time(product: Dark) -> float:
    """Weighted mean of the dark times of the stack [s]."""
    return float(np.average(product.scales, weights=product.weights))
