"""The dark keeps the contract of a calibration type."""

from dataclasses import replace
from typing import Any

import numpy as np
from cpp_dark.product import Dark
from numpy.typing import NDArray

from cpp_framework.model import AmplifierResult, ImageProduct, Product
from cpp_framework.testing import CalibrationTypeSuite, Stack, make_exposure, make_stack
from cpp_framework.testing.stacks import GAIN

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
        rng = np.random.default_rng(1_000_000 + seed)
        for k, image in enumerate(stack.images["dark"]):
            image.exposure = make_exposure(stack.detector, "dark", k, TIME)
            # A pattern of charge has shot noise; a dead amplifier stays at 0.
            shot = rng.poisson(stack.truth * GAIN) / GAIN - stack.truth
            image.data += np.where(image.data == 0, 0, shot).astype(np.float32)
        return replace(stack, needs={"bias": zero_bias(stack)})

    def estimates(self, product: Product, stack: Stack) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        assert isinstance(product, Dark)
        good = product.mask == 0
        return product.image[good], stack.truth[good] / TIME, product.error[good]
