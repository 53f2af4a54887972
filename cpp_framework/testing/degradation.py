"""Rules about bad data: a type degrades, says so, and never raises."""

from __future__ import annotations

import numpy as np

from cpp_framework.model import AmplifierStatus, ImageProduct, Mask, Product
from cpp_framework.testing.base import ContractBrokenError, SuiteBase, require

_GOOD = (AmplifierStatus.OK, AmplifierStatus.PARTIAL)


class DegradationRules(SuiteBase):
    """Dead amplifier, NaN, a saturated frame and a single frame."""

    def test_dead_amplifier(self) -> None:
        """Of two amplifiers the dead one is named with a reason, and the other is still good."""
        product = self._survives("a dead amplifier", dead_amplifier=True)
        dead = product.amplifiers["B"]
        require(
            dead.status not in _GOOD,
            f"{self.name('solve')} gives a dead amplifier (one value in every pixel) status {dead.status.value!r}: "
            "say dead or failed",
        )
        require(dead.reason, f"{self.name('solve')} gives a dead amplifier no reason")
        alive = product.amplifiers["A"]
        require(
            alive.status in _GOOD,
            f"{self.name('solve')} lets a dead amplifier spoil its neighbour: status {alive.status.value!r}, "
            f"{alive.reason}",
        )
        if isinstance(product, ImageProduct):
            detector = self.stack(1, 0).detector
            inside = product.mask[detector.amplifier("B").box.slices]
            require(
                bool(np.all(inside & Mask.DEAD_AMPLIFIER)),
                "the pixels of a dead amplifier must carry mask DEAD_AMPLIFIER",
            )

    def test_nan_pixels(self) -> None:
        """A pixel that is NaN in every exposure is masked in the product, and hurts no other."""
        product = self._survives("NaN pixels", nan_pixels=True)
        self._others_are_good(product, "NaN pixels")
        if isinstance(product, ImageProduct):
            require(
                product.mask[5, 7] & Mask.NO_DATA,
                f"pixel (5, 7) is NaN in every exposure and not masked NO_DATA by {self.name('solve')}",
            )
            bad = ~np.isfinite(product.image) & (product.mask == 0)
            require(not bad.any(), f"{int(bad.sum())} pixels of the product are not finite and not masked")

    def test_saturated_frame(self) -> None:
        """One exposure that is saturated (masked SAT) throughout does not spoil the product."""
        product = self._survives("a saturated frame", saturated_frame=True)
        self._others_are_good(product, "a saturated frame")

    def test_single_frame(self) -> None:
        """The fewest exposures the declaration allows are enough: no exception, every amplifier has a status."""
        minimum = self.declaration.inputs[0].minimum if self.declaration.inputs else 1
        product = self._solve(f"{minimum} exposure(s), the minimum it declares", minimum)
        self._others_are_good(product, f"{minimum} exposure(s)")

    def _survives(self, what: str, **anomalies: bool) -> Product:
        return self._solve(what, self.exposures, **anomalies)

    def _solve(self, what: str, n: int, **anomalies: bool) -> Product:
        stack = self.stack(n, 10, **anomalies)
        try:
            product = self.product(stack)
        except Exception as error:  # whatever it is: the contract is that bad data raise nothing
            raise ContractBrokenError(
                f"{self.declaration.name!r} raises {type(error).__name__} on {what}: {error}; "
                "return a product whose amplifiers say what is wrong"
            ) from error
        missing = {amp.name for amp in stack.detector.amplifiers} - set(product.amplifiers)
        require(not missing, f"{self.name('solve')} gives amplifiers {sorted(missing)} no status on {what}")
        return product

    def _others_are_good(self, product: Product, what: str) -> None:
        for name, amp in product.amplifiers.items():
            require(
                amp.status in _GOOD,
                f"{self.name('solve')} gives amplifier {name} status {amp.status.value!r} ({amp.reason}) "
                f"because of {what}",
            )
