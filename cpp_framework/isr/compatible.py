"""Whether a product may be applied to an image, and the product as that image needs it: cropped, in its gains."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, TypeVar

import numpy as np

from cpp_framework.errors import IncompatibleError
from cpp_framework.model.detector import Detector
from cpp_framework.model.geometry import Box
from cpp_framework.model.header import Header
from cpp_framework.model.image import Image
from cpp_framework.model.product import ImageProduct, Product, RegionProduct

KEYS = ("binning", "mode")
"""Exposure fields in which a product must agree with the image, if it was made per value of them."""
SAME_GAIN = 1e-6
"""Gains that differ by less than this fraction are the same."""

P = TypeVar("P", bound=Product)


def fitted(product: P, image: Image, whole: Detector) -> P:
    """Return the product as it can be applied to the image at this stage.

    Parameters
    ----------
    product : Product
        Of the whole detector, or of the image's window.
    image : Image
        On its way through the correctors; its unit is that of the stage.
    whole : Detector
        The detector without window.

    Raises
    ------
    IncompatibleError
        Instrument, detector, readout mode, binning, size, unit or gains differ.
    """
    name = _name(product)
    if product.header is not None:
        _check_identity(name, product.header, image, whole)
    quantity = product.unit.partition("/")[0]
    if quantity in ("adu", "electron") and quantity != image.unit:
        raise IncompatibleError(
            f"{name} is in {product.unit}, the image is in {image.unit} at this stage",
            hint="an electron product needs gains: pass the product that provides them, or set nominal ones",
        )
    product = _sized(name, product, image, whole)
    if quantity == "electron" and product.header is not None:
        return _in_gains_of(name, product, product.header, image)
    return product


def _name(product: Product) -> str:
    if product.header is None:
        return f"{type(product).__name__} without identity"
    return f"{product.header.type} {product.header.id}"


def _check_identity(name: str, header: Header, image: Image, whole: Detector) -> None:
    if (header.instrument, header.detector) != (whole.instrument, whole.id):
        raise IncompatibleError(
            f"{name} is of {header.instrument} detector {header.detector}, "
            f"the image of {whole.instrument} detector {whole.id}"
        )
    if image.exposure is None:
        return
    for field in KEYS:
        if field in header.key and _plain(header.key[field]) != _plain(image.exposure.value(field)):
            raise IncompatibleError(
                f"{name} is for {field} {header.key[field]!r}, exposure {image.exposure.id} "
                f"has {image.exposure.value(field)!r}",
                hint=f"cpp find --type {header.type} lists the products there are",
            )


def _plain(value: Any) -> Any:
    # JSON has no tuples.
    return tuple(value) if isinstance(value, list) else value


def _sized(name: str, product: P, image: Image, whole: Detector) -> P:
    if not isinstance(product, ImageProduct | RegionProduct):
        return product
    shape = product.mask.shape
    if image.window is not None and shape == whole.shape:
        return cropped(product, image.window)
    if shape != image.data.shape:
        raise IncompatibleError(f"{name} has {_pixels(shape)}, the image {_pixels(image.data.shape)}")
    if image.window is not None and product.header is not None and image.exposure is not None:
        made_of = product.header.key.get("window", "")
        if made_of != image.exposure.window:
            raise IncompatibleError(f"{name} is of window {made_of or 'unknown'}, not {image.exposure.window}")
    return product


def cropped(product: P, window: Box) -> P:
    """The part of an image or region product that lies in a window of its pixels."""
    planes = {attribute: getattr(product, attribute) for attribute in product.plane_names}
    shape = planes["mask"].shape
    parts: dict[str, Any] = {name: plane[window.slices] for name, plane in planes.items() if plane.shape == shape}
    if isinstance(product, ImageProduct):
        # Runs of rejected samples are only for verification, which never crops.
        parts["rejected"] = np.zeros((0, 4), np.int32)
    return dataclasses.replace(product, **parts)


def _pixels(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]} pixels"


def _in_gains_of(name: str, product: P, header: Header, image: Image) -> P:
    """The product rescaled amplifier by amplifier where it was made with other gains than the image."""
    factors = {}
    for amp in image.detector.amplifiers:
        gain = image.records[amp.name].gain
        if gain is None:
            continue
        made_with = header.gains.get(amp.name)
        if made_with is None:
            raise IncompatibleError(
                f"{name} is in electrons and does not say with which gain of amplifier {amp.name} it was made",
                hint="make the product again with this version",
            )
        factors[amp.name] = gain / made_with
    if all(math.isclose(factor, 1, rel_tol=SAME_GAIN) for factor in factors.values()):
        return product
    if not isinstance(product, ImageProduct):
        other = next(amp for amp, factor in factors.items() if not math.isclose(factor, 1, rel_tol=SAME_GAIN))
        raise IncompatibleError(
            f"{name} was made with gain {header.gains[other]:g} of amplifier {other}, the image with "
            f"{image.records[other].gain:g}; only images can be rescaled",
            hint="make the product again with the present gains",
        )
    # Every plane of floats is in electrons, per second or not: an intercept as much as the image.
    found = {name: getattr(product, name) for name in product.plane_names}
    planes: dict[str, Any] = {
        name: plane.copy()
        for name, plane in found.items()
        if plane.dtype.kind == "f" and plane.shape == product.image.shape
    }
    for amp in image.detector.amplifiers:
        for plane in planes.values():
            plane[amp.box.slices] *= np.float32(factors.get(amp.name, 1.0))
    image.applied.append(f"{name}: rescaled to the gains of this image")
    return dataclasses.replace(product, **planes)
