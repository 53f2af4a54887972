"""Held-out residuals: an exposure minus what the stack would be without it, from the stored product alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cpp_framework.errors import IncompatibleError
from cpp_framework.model.context import ResidualFrame
from cpp_framework.model.exposure import Exposure
from cpp_framework.model.image import AmplifierRecord
from cpp_framework.model.mask import UNUSABLE
from cpp_framework.model.product import ImageProduct


def held_out_residual(
    product: ImageProduct,
    exposure: Exposure,
    samples: NDArray[np.float32],
    records: Mapping[str, AmplifierRecord],
) -> ResidualFrame:
    """Subtract the stored product from one exposure as if that exposure had not been in its stack.

    For a mean P of n samples, x_k − P computed without x_k is e_k·n/(n−1), where e_k = x_k − P: an identity, for a
    fixed rejection. Its variance is σ²·n/(n−1). A rejected sample, or an exposure outside the stack, has e_k with
    variance σ²·(1 + 1/n).

    Parameters
    ----------
    product : ImageProduct
        The stored candidate; its ``stacked``, ``used`` and ``rejected`` say which samples it holds.
    exposure : Exposure
    samples : float32 ``[y, x]``
        The corrected exposure in the product's unit, NaN where masked.
    records : mapping of str to AmplifierRecord
        What the overscan stage found in this exposure, handed on.

    Returns
    -------
    ResidualFrame
        NaN where the sample is masked, the only one, or the product is unusable.

    Raises
    ------
    IncompatibleError
        Shapes differ.
    """
    if samples.shape != product.image.shape:
        raise IncompatibleError(
            f"exposure {exposure.id} has {samples.shape} pixels (y, x), the product {product.image.shape}",
            hint="was the geometry in the instrument file changed since the product was made?",
        )
    # Few counts occur: the factors are looked up by count, not computed for each pixel.
    counts = np.arange(int(product.used.max(initial=0)) + 1, dtype=np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = np.where(counts > 1, counts / (counts - 1), np.float32(np.nan))
        outside = np.where(counts > 0, 1 + 1 / counts, np.float32(np.nan))
    residual = samples - product.image
    if exposure.id in product.stacked:
        factor = inside[product.used]
        left_out = np.nonzero(product.rejected_mask(exposure.id))
        plain = residual[left_out]
        residual *= factor
        residual[left_out], factor[left_out] = plain, outside[product.used[left_out]]
    else:
        factor = outside[product.used]
    unusable = ((product.mask & np.uint32(UNUSABLE)) != 0) | np.isnan(factor)
    residual[unusable] = np.nan
    factor[unusable] = np.nan
    return ResidualFrame(exposure, residual, factor, records)
