"""The flat keeps the contract of a calibration type."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from cpp_framework.model import ImageProduct, Product
from cpp_framework.testing import CalibrationTypeSuite, Stack, make_stack


class TestFlat(CalibrationTypeSuite):
    calibration_type = "flat"

    def stack(self, n: int, seed: int, **anomalies: bool) -> Stack:
        return make_stack(n, seed, kind="flat", light=10_000.0, **anomalies)

    def estimates(self, product: Product, stack: Stack) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        assert isinstance(product, ImageProduct)
        good = product.mask == 0
        return product.image[good], (stack.truth / stack.truth.mean())[good], product.error[good]
