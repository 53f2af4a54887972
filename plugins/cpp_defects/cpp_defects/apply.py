"""Mask the defects in an image, and interpolate over bad pixels."""

from __future__ import annotations

import numpy as np

from cpp_defects.config import DefectsConfig
from cpp_defects.product import Defects
from cpp_framework.model import UNUSABLE, Image, Mask


def mask_defects(image: Image, product: Defects, config: DefectsConfig) -> None:  # noqa: ARG001
    """Take over BAD and the reasons, in place.

    Parameters
    ----------
    image : Image
    product : Defects
        Of the same pixels: the framework has cropped it to the image.
    config : DefectsConfig
        Not used.
    """
    image.mask |= product.mask


def interpolate(image: Image, product: Defects, config: DefectsConfig) -> None:  # noqa: ARG001
    """Fill bad pixels in place from the nearest good ones, and flag them INTRP; their other bits stay.

    Bad are pixels with a bit of `UNUSABLE` (the defects, but also saturated ones and cosmic rays) and those that are
    not finite. Each is filled linearly along its row or its column: where the run of bad pixels is shorter; of equal
    runs, where the good pixels at their ends differ less. A run that begins at the border takes the value of the good
    pixel at its other end. Runs longer than ``interpolation_gap`` in both directions keep value and flags: a guess
    from so far would not be a measurement.

    The variance is that of the interpolated value: w²·V₁ + (1 − w)²·V₂. How far the true image departs from a
    straight line is not in it.

    Parameters
    ----------
    image : Image
    product : Defects
        Not used: its pixels were masked in an earlier stage.
    config : DefectsConfig
    """
    from cpp_defects._kernels import interpolate as fill

    bad = (image.mask & np.uint32(UNUSABLE)) != 0
    bad |= ~np.isfinite(image.data)
    variance = image.variance if image.variance is not None else np.zeros_like(image.data)
    filled = fill(image.data, variance, bad, config.interpolation_gap)
    image.mask[filled] |= np.uint32(Mask.INTRP)
