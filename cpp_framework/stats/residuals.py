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
            f"exposure {exposure.id} has {samples.shape} pixels (y, x), the product {product.image.shape}"
        )
    n = product.used.astype(np.float32)
    stacked = exposure.id in product.stacked
    used = ~product.rejected_mask(exposure.id) if stacked else np.zeros(n.shape, bool)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.where(used, n / (n - 1), 1 + 1 / n)
        residual = (samples - product.image) * np.where(used, factor, np.float32(1))
    judged = np.isfinite(factor) & ((product.mask & int(UNUSABLE)) == 0)
    residual[~judged] = np.nan
    factor[~judged] = np.nan
    return ResidualFrame(exposure, residual, factor, records)
