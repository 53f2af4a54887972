"""Errors that two products have in common, counted once in the variance of an image both were subtracted from.

A product P made from exposures x_k that another one, B, had been subtracted from holds the error of B with the opposite
sign: P = Σ w s (x − B)/Σ w s² has −c·δB, c = Σ w s/Σ w s². Subtracting B and s·P from an image leaves (1 − s·c)·δB, not
δB and s·c·δB as if they were strangers; a dark of the image's own dark time takes the error of the bias away
altogether. Correctors know one product each and add its whole variance, so 2·s·c·σ_B² comes off here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cpp_framework.declare import Stage
from cpp_framework.isr.compatible import cropped
from cpp_framework.model.image import Image
from cpp_framework.model.product import ImageProduct, Product

SUBTRACTED = (Stage.BIAS, Stage.DARK)
"""Stages in which a product times a scale is subtracted."""


@dataclass(frozen=True)
class Subtracted:
    """A product that was subtracted from an image, as it is stored, and the stage."""

    product: Product
    stage: Stage


def count_once(image: Image, last: Subtracted, before: Sequence[Subtracted]) -> None:
    """Take off the variance that a product, subtracted next or just now, shares with those it was made with.

    Parameters
    ----------
    image : Image
        With a variance plane. It holds the squared errors of those before, and gets or has that of the last.
    last : Subtracted
    before : sequence of Subtracted
        In the order of the stages; only products the last one names among its needs count.
    """
    product = last.product
    if image.variance is None or image.exposure is None or last.stage not in SUBTRACTED:
        return
    if not isinstance(product, ImageProduct) or product.header is None:
        return
    share = _share(product) * product.scale_of(image.exposure)
    needs = {need.id for need in product.header.needs}
    for other in before:
        header = other.product.header
        if other.stage not in SUBTRACTED or header is None or header.id not in needs or not np.isfinite(share):
            continue
        if isinstance(other.product, ImageProduct) and share > 0:
            _take_off(image, other.product, share)
            image.applied.append(f"variance: error of {header.type} {header.id} counted once")


def _share(product: ImageProduct) -> float:
    """c = Σ w s/Σ w s² over the stack, in the inverse unit of the scales."""
    count = len(product.stacked)
    scales = product.scales if product.scales.size else np.ones(count)
    weights = product.weights if product.weights.size else np.ones(count)
    square = float(np.sum(weights * scales**2))
    return float(np.sum(weights * scales)) / square if square > 0 else 0.0


def _take_off(image: Image, product: ImageProduct, share: float) -> None:
    assert image.variance is not None
    if product.error.shape != image.data.shape and image.window is not None:
        product = cropped(product, image.window)
    for amp in image.detector.amplifiers:
        gain = image.records[amp.name].gain if product.unit == "adu" else None
        factor = np.float32(2 * share * (gain or 1.0) ** 2)
        image.variance[amp.box.slices] -= factor * np.square(product.error[amp.box.slices])
