"""The dark keeps the contract of a calibration type."""

from dataclasses import replace
from typing import Any

import numpy as np
from cpp_dark.product import Dark
from numpy.typing import NDArray

from cpp_framework.model import AmplifierResult, ImageProduct, Product
from cpp_framework.testing import CalibrationTypeSuite, Stack, make_exposure, make_stack

TIME = 10.0


def zero_bias(stack: Stack) -> ImageProduct:
    """A bias without noise: the pattern of the simulated stack then is dark signal."""
    shape = stack.detector.shape
    return ImageProduct(
        unit="adu",
        image=np.zeros(shape, np.float32),
        error=np.zeros(shape, np.float32),
        mask=np.zeros(shape, np.uint32),
        used=np.full(shape, 1, np.uint16),
        amplifiers={amp.name: AmplifierResult() for amp in stack.detector.amplifiers},
    )


class TestDark(CalibrationTypeSuite):
    calibration_type = "dark"

    def stack(self, n: int, seed: int, **anomalies: bool) -> Stack:
        stack = make_stack(n, seed, kind="dark", **anomalies)
        for k, image in enumerate(stack.images["dark"]):
            image.exposure = make_exposure(stack.detector, "dark", k, TIME)
        return replace(stack, needs={"bias": zero_bias(stack)})

    def estimates(self, product: Product, stack: Stack) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        assert isinstance(product, Dark)
        good = product.mask == 0
        return product.image[good], stack.truth[good] / TIME, product.error[good]
