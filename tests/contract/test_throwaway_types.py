"""The contract is not one for bias alone: three other kinds of type keep it.

``throwaway_dark`` has two named selections, ``throwaway_gains`` pairs, pools and provides, ``throwaway_defects`` is
made from a product alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from throwaway_dark import DARK
from throwaway_dark.functions import Dark
from throwaway_defects import DEFECTS
from throwaway_gains import GAINS

from cpp_framework.model import AmplifierResult, AmplifierStatus, Mask, Product
from cpp_framework.testing import CalibrationTypeSuite, Stack, make_exposure, make_stack, run_type, small_detector

DARK_TIME = 100.0


class TestJointDark(CalibrationTypeSuite):
    calibration_type = DARK

    def stack(self, n: int, seed: int, **anomalies: bool) -> Stack:
        zeros = make_stack(max(n, 2), seed, kind="bias", selection="zeros", **anomalies)
        darks = make_stack(n, seed + 10_000, kind="dark", selection="darks", **anomalies)
        rate = np.linspace(0.1, 0.5, zeros.detector.width) * np.ones(zeros.detector.shape)
        for image in darks.images["darks"]:
            assert image.exposure is not None
            image.exposure = image.exposure.model_copy(update={"dark_time": DARK_TIME})
            good = image.mask == 0
            if anomalies.get("dead_amplifier"):
                good[zeros.detector.amplifier("B").box.slices] = False
            image.data[good] += (rate * DARK_TIME).astype(np.float32)[good]
        return Stack({**zeros.images, **darks.images}, rate, zeros.detector)


class TestPooledGains(CalibrationTypeSuite):
    calibration_type = GAINS
    pull_stacks = 60

    def stack(self, n: int, seed: int, **anomalies: bool) -> Stack:
        return make_stack(n, seed, kind="flat", light=20_000.0, **anomalies)

    def estimates(self, product: Product, stack: Stack) -> tuple[Any, Any, Any]:
        gains = list(product.provided("gain").values())
        return [one.value for one in gains], [1.5] * len(gains), [one.error for one in gains]

    def test_gains_are_provided_to_other_stages(self) -> None:
        product = self.product(self.stack(4, 1, dead_amplifier=True))
        assert list(product.provided("gain")) == ["A"]

    def test_what_pool_finds_reaches_solve(self) -> None:
        product = self.product(self.stack(4, 1))
        assert product.metrics["level"].value == pytest.approx(20_000, rel=0.01)


class TestDefectsFromAProduct(CalibrationTypeSuite):
    calibration_type = DEFECTS

    def stack(self, n: int, seed: int, **anomalies: bool) -> Stack:
        detector = small_detector()
        hot = np.random.default_rng(seed).random(detector.shape) < 0.002
        mask = np.zeros(detector.shape, np.uint32)
        amplifiers = {amp.name: AmplifierResult() for amp in detector.amplifiers}
        if anomalies.get("dead_amplifier"):
            mask[detector.amplifier("B").box.slices] = Mask.DEAD_AMPLIFIER
            amplifiers["B"] = AmplifierResult(status=AmplifierStatus.DEAD, reason="dead")
        dark = Dark(
            unit="adu/s",
            image=np.where(hot, 50, 0.1).astype(np.float32),
            error=np.full(detector.shape, 0.01, np.float32),
            mask=mask,
            used=np.full(detector.shape, n, np.uint16),
            amplifiers=amplifiers,
        )
        return Stack({}, hot.astype(float), detector, needs={"throwaway_dark": dark})

    def test_recovers_the_truth_with_honest_errors(self) -> None:
        # A list of pixels has no errors; truth here is a set, to be met exactly.
        stack = self.stack(1, 3)
        product = self.product(stack)
        assert np.array_equal(product.planes()["DQ"] != 0, stack.truth != 0)
        assert len(product.tables["REGIONS"]) == stack.truth.sum()


def test_a_pair_is_given_to_measure_as_two_images() -> None:
    stack = make_stack(4, 1, kind="flat", light=20_000.0)
    halves = [replace(stack, images={"flat": stack.images["flat"][i : i + 2]}) for i in (0, 2)]
    whole = run_type(GAINS, stack).provided("gain")["A"].value
    parts = [run_type(GAINS, half).provided("gain")["A"].value for half in halves]
    assert min(parts) < whole < max(parts)


def test_exposures_of_a_sequence_are_a_minute_apart() -> None:
    first, second = (make_exposure(small_detector(), "bias", number) for number in (0, 1))
    assert first.begin is not None
    assert second.begin == first.begin + 60_000_000_000
