"""Held-out residuals of a corrected image against a stored stack (DESIGN §4)."""

from __future__ import annotations

import dataclasses

import numpy as np

from cpp_framework.errors import ContractError, IncompatibleError
from cpp_framework.model.context import ResidualFrame
from cpp_framework.model.image import Image
from cpp_framework.model.mask import UNUSABLE
from cpp_framework.model.product import ImageProduct
from cpp_framework.stats.residuals import held_out_residual


def residual_frame(image: Image, product: ImageProduct) -> ResidualFrame:
    """Subtract the stored product from an exposure as if that exposure had not been in its stack.

    An exposure the product refused, as a whole or in an amplifier, was not in the stack there: its residual is plain
    and its variance factor 1 + 1/n.

    Parameters
    ----------
    image : Image
        The exposure, corrected like those of the stack.
    product : ImageProduct
        The stored candidate, in the unit of the image.

    Raises
    ------
    IncompatibleError
        Unit or size differ.
    ContractError
        The image does not say of which exposure it is.
    """
    if image.exposure is None:
        raise ContractError("a residual needs an image that says of which exposure it is")
    if image.unit != product.unit:
        raise IncompatibleError(
            f"the image is in {image.unit}, the product in {product.unit}",
            hint="was the product's file or the instrument file changed? `cpp store verify` compares digests",
        )
    samples = image.data.copy()
    samples[(image.mask & np.uint32(UNUSABLE)) != 0] = np.nan
    frame = held_out_residual(product, image.exposure, samples, image.records)
    identity = image.exposure.id
    amplifiers = image.detector.amplifiers
    refused = [amp for amp in amplifiers if identity in product.refused or f"{identity}/{amp.name}" in product.refused]
    if not refused or identity not in product.stacked:
        return frame
    outside = held_out_residual(dataclasses.replace(product, stacked=()), image.exposure, samples, image.records)
    for amp in refused:
        frame.residual[amp.box.slices] = outside.residual[amp.box.slices]
        frame.variance_factor[amp.box.slices] = outside.variance_factor[amp.box.slices]
    return frame
