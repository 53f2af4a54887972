"""The defects keep the contract of a calibration type."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cpp_framework.model import AmplifierResult, AmplifierStatus, ImageProduct, Mask, Product
from cpp_framework.testing import CalibrationTypeSuite, Stack, small_detector

THRESHOLD = 5.0
"""Default of ``dark_threshold`` [electron/s]."""
ERROR = 0.3
GROUP = 16


class TestDefects(CalibrationTypeSuite):
    """Made from a dark and a flat. In the dark are pixels just at the threshold: half of them are above it."""

    calibration_type = "defects"
    pull_stacks = 60

    def stack(self, n: int, seed: int, **anomalies: bool) -> Stack:
        rng = np.random.default_rng(seed)
        detector = small_detector()
        truth = np.zeros(detector.shape)
        truth[2::8, 3::16] = THRESHOLD  # so few that the median does not feel them
        dark = image(truth + rng.normal(0, ERROR, truth.shape), ERROR, n, "electron/s")
        flat = image(1 + rng.normal(0, 0.005, truth.shape), 0.005, n, "1")
        if anomalies.get("nan_pixels"):
            dark.image.flags.writeable = True
            dark.image[5, 7] = np.nan
        needs = {"dark": dark, "flat": flat}
        if anomalies.get("dead_amplifier"):
            needs = {
                name: with_dead_amplifier(need, detector.amplifier("B").box.slices) for name, need in needs.items()
            }
        return Stack({}, truth, detector, needs)

    def estimates(self, product: Product, stack: Stack) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """How many pixels of each group at the threshold are masked: half of them, with binomial scatter."""
        masked = (product.mask & np.uint32(Mask.HOT)) != 0  # type: ignore[attr-defined]
        found = masked[stack.truth == THRESHOLD]
        counts = found[: found.size // GROUP * GROUP].reshape(-1, GROUP).sum(axis=1)
        return counts, np.full(counts.size, GROUP / 2), np.full(counts.size, np.sqrt(GROUP) / 2)

    def test_dead_amplifier_is_masked_whole(self) -> None:
        """Its pixels are masked, with the reason, as one box."""
        stack = self.stack(6, 3, dead_amplifier=True)
        product = self.product(stack)
        box = stack.detector.amplifier("B").box
        assert np.all(product.mask[box.slices] == np.uint32(Mask.BAD | Mask.DEAD_AMPLIFIER))  # type: ignore[attr-defined]
        (row,) = [row for row in product.tables["REGIONS"] if row["reason"] == "DEAD_AMPLIFIER"]
        assert tuple(row)[:4] == (box.x0, box.y0, box.width, box.height)


def image(plane: NDArray[np.float64], error: float, n: int, unit: str) -> ImageProduct:
    detector = small_detector()
    return ImageProduct(
        image=plane.astype(np.float32),
        error=np.full(plane.shape, error, np.float32),
        mask=np.zeros(plane.shape, np.uint32),
        used=np.full(plane.shape, n, np.uint16),
        unit=unit,
        amplifiers={amp.name: AmplifierResult() for amp in detector.amplifiers},
    )


def with_dead_amplifier(need: ImageProduct, box: tuple[slice, slice]) -> ImageProduct:
    plane, mask = need.image.copy(), need.mask.copy()
    plane[box], mask[box] = np.nan, Mask.DEAD_AMPLIFIER | Mask.NO_DATA
    dead = AmplifierResult(status=AmplifierStatus.DEAD, reason="every pixel has the same value")
    return ImageProduct(
        image=plane, error=need.error, mask=mask, used=need.used, unit=need.unit,
        amplifiers={**need.amplifiers, "B": dead},
    )  # fmt: skip
