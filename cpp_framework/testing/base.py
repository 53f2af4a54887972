"""What all parts of the conformance suite share: the getters an author may override."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from cpp_framework.declare import CalibrationType, Config, load
from cpp_framework.model import ImageProduct, Product
from cpp_framework.plugins import installed
from cpp_framework.testing.running import run_type
from cpp_framework.testing.stacks import Stack, make_stack


class ContractBrokenError(AssertionError):
    """A calibration type does not do what the contract asks; the message says what it asks."""


def require(condition: object, message: str) -> None:
    """Raise `ContractBrokenError` with a sentence in plain words unless the condition holds."""
    if not condition:
        raise ContractBrokenError(message)


class SuiteBase:
    """Getters with defaults. Override those that do not fit the type."""

    calibration_type: ClassVar[str | CalibrationType]
    """Name of an installed type, or a declaration."""

    exposures: ClassVar[int] = 6
    """Exposures per selection in the stacks of the suite."""

    pull_stacks: ClassVar[int] = 1
    """Independent stacks for the comparison with the truth: raise it where one stack gives few estimates."""

    def stack(self, n: int, seed: int, **anomalies: bool) -> Stack:
        """Return a stack with ``n`` exposures of the first selection and known truth.

        ``anomalies`` are ``dead_amplifier``, ``nan_pixels`` and ``saturated_frame`` as in
        `cpp_framework.testing.make_stack`.
        """
        if not self.declaration.inputs:
            raise ContractBrokenError(
                f"{self.declaration.name!r} is made from products alone: override stack() to return a Stack without "
                "images, with its needs"
            )
        inputs = self.declaration.inputs[0]
        return make_stack(n, seed, kind=inputs.kind, selection=inputs.name, **anomalies)

    def config(self) -> Config:
        """Settings the functions are run with."""
        config: Config = load(self.declaration.config, wanted_by=self.declaration.name)()
        return config

    def estimates(self, product: Product, stack: Stack) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """What the product says, the truth, and the product's error: three arrays of one shape.

        The estimates must be statistically independent of one another.
        """
        if not isinstance(product, ImageProduct):
            raise ContractBrokenError(
                f"the suite cannot compare a {type(product).__name__} with the truth: "
                "override estimates() to return estimate, truth and error"
            )
        good = product.mask == 0
        return product.image[good], stack.truth[good], product.error[good]

    @cached_property
    def declaration(self) -> CalibrationType:
        """The type's declaration."""
        wanted = self.calibration_type
        return wanted if isinstance(wanted, CalibrationType) else installed().type(wanted)

    def product(self, stack: Stack, seed: int = 0) -> Product:
        """Measure, pool and solve a stack."""
        return run_type(self.declaration, stack, self.config(), seed)

    def name(self, function: str) -> str:
        """Return a function's name for a message: the type's and the function's."""
        return f"{function}() of {self.declaration.name!r}"


def image_bytes(stack: Stack) -> list[bytes]:
    """All pixel bytes of a stack, to see whether something has changed them."""
    planes = [
        plane
        for images in stack.images.values()
        for image in images
        for plane in (image.data, image.mask, image.variance)
        if plane is not None
    ]
    return [np.ascontiguousarray(plane).tobytes() for plane in planes]
