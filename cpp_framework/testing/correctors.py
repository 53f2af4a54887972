"""Rules about the correctors: they act in place, on their image only, and reach no further than they say."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np

from cpp_framework.declare import Corrector, Reach, load
from cpp_framework.model import Box, Image, ImageProduct, Product, RegionProduct
from cpp_framework.testing.base import SuiteBase, require
from cpp_framework.testing.stacks import make_stack


class CorrectorRules(SuiteBase):
    """What the framework relies on when it applies products row by row and in parallel."""

    def image(self) -> Image:
        """Return an image to correct, of the same detector as the stacks."""
        return make_stack(1, 8).images["bias"][0]

    def test_correctors_act_in_place(self) -> None:
        """A corrector returns None, keeps type and shape of the planes, and leaves the product alone."""
        product = self._product()
        for corrector in self.declaration.correctors:
            image, before = self.image(), product.content_digest()
            planes = {name: getattr(image, name) for name in ("data", "mask", "variance")}
            returned = self._apply(corrector, image, product)
            require(
                returned is None, f"{corrector.function} returned something: a corrector changes the image in place"
            )
            for name, plane in planes.items():
                after = getattr(image, name)
                require(
                    after is plane or (after.dtype, after.shape) == (plane.dtype, plane.shape),
                    f"{corrector.function} changed {name} from {plane.dtype} {plane.shape} "
                    f"to {after.dtype} {after.shape}",
                )
            require(product.content_digest() == before, f"{corrector.function} changed the product it was given")

    def test_correctors_reach_no_further_than_they_say(self) -> None:
        """A corrector of reach pixel or row gives the same result on a block of rows as on the whole image."""
        product = self._product()
        for corrector in self.declaration.correctors:
            if corrector.reach not in (Reach.PIXEL, Reach.ROW):
                continue
            whole = self.image()
            blocks = [_rows(whole, 0, 20), _rows(whole, 20, whole.detector.height)]
            self._apply(corrector, whole, product)
            for window, block in blocks:
                self._apply(corrector, block, _cropped(product, window))
                same = np.array_equal(block.data, whole.data[window.slices], equal_nan=True)
                require(
                    same and np.array_equal(block.mask, whole.mask[window.slices]),
                    f"{corrector.function} declares reach {corrector.reach.value!r}, but a block of rows corrected "
                    "alone differs from the same rows of the whole image: declare amplifier or detector",
                )

    def _product(self) -> Product:
        return self.product(self.stack(self.exposures, 9))

    def _apply(self, corrector: Corrector, image: Image, product: Product) -> Any:
        return load(corrector.function, wanted_by=self.declaration.name)(image, product, self.config())


def _rows(image: Image, y0: int, y1: int) -> tuple[Box, Image]:
    """Return a copy of some rows as an image of its own, with the window it covers."""
    window = Box(0, y0, image.detector.width, y1)
    part = copy.copy(image)
    part.data, part.mask = image.data[window.slices].copy(), image.mask[window.slices].copy()
    part.variance = None if image.variance is None else image.variance[window.slices].copy()
    part.window = window
    part.applied = list(image.applied)
    return window, part


def _cropped(product: Product, window: Box) -> Product:
    """Return the product as the framework hands it to a corrector of that window."""
    if not isinstance(product, ImageProduct | RegionProduct):
        return product
    shape = product.mask.shape
    planes: dict[str, Any] = {name: getattr(product, name) for name in product.plane_names}
    return dataclasses.replace(
        product, **{name: plane[window.slices] for name, plane in planes.items() if plane.shape == shape}
    )
