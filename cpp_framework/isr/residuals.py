"""Held-out residuals of corrected images against a stored stack (DESIGN §4)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cpp_framework.errors import ContractError, IncompatibleError
from cpp_framework.model.context import ResidualFrame
from cpp_framework.model.detector import Detector
from cpp_framework.model.image import Image
from cpp_framework.model.mask import UNUSABLE
from cpp_framework.model.product import ImageProduct
from cpp_framework.stats.residuals import HeldOut


class ImageResiduals:
    """Residuals of corrected images as if they had not been in the stack of a stored product.

    An exposure the product refused, as a whole or in an amplifier, was not in the stack there.

    Parameters
    ----------
    product : ImageProduct
        The stored candidate.
    detector : Detector
        Of the images, cut to their window.
    """

    def __init__(self, product: ImageProduct, detector: Detector) -> None:
        self._product = product
        self._held_out = HeldOut(product, detector)

    def not_solved(self) -> NDArray[np.bool_] | None:
        """Pixels ``[y, x]`` that are not the fit of the exposures; None before all of the stack have been seen."""
        return self._held_out.not_solved()

    def frame(self, image: Image) -> ResidualFrame:
        """Return the residual of one exposure, corrected like those of the stack.

        Raises
        ------
        IncompatibleError
            Unit or size differ.
        ContractError
            The image does not say of which exposure it is.
        """
        if image.exposure is None:
            raise ContractError("a residual needs an image that says of which exposure it is")
        quantity = self._product.unit.partition("/")[0]
        if quantity in ("adu", "electron") and quantity != image.unit:
            raise IncompatibleError(
                f"the image is in {image.unit}, the product in {self._product.unit}",
                hint="was the product's file or the instrument file changed? `cpp store verify` compares digests",
            )
        samples = image.data.copy()
        samples[(image.mask & np.uint32(UNUSABLE)) != 0] = np.nan
        return self._held_out.frame(image.exposure, samples, image.records)


def residual_frame(image: Image, product: ImageProduct) -> ResidualFrame:
    """Return the residual of a single image; see `ImageResiduals`."""
    return ImageResiduals(product, image.detector).frame(image)
