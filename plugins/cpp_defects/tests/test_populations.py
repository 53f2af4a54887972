"""Completeness and purity of populations of hot pixels, many of which are near the threshold."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from cpp_defects.config import DefectsConfig
from cpp_defects.examples import DETECTOR, NOISE
from cpp_defects.product import Defects, make_defects
from cpp_defects.solve import solve
from cpp_defects.verify import verify
from numpy.typing import NDArray

from cpp_framework.model import Check, Context, Exposure, Image, ImageProduct, Mask, Status, VerifyContext

HOT = 1500
"""Pixels above 1 electron/s; the threshold is 5."""

Rates = Callable[[np.random.Generator], NDArray[np.float64]]

POPULATIONS: dict[str, Rates] = {
    "power law": lambda rng: np.minimum(1 / rng.uniform(size=HOT), 500),  # dN/dr as r⁻²
    "exponential": lambda rng: 1 + rng.exponential(5, HOT),
}


class Darks:
    """Darks of one time, made again from their seed whenever they are read, and their plain mean."""

    def __init__(self, rates: Rates, frames: int, time: float, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.frames, self.time, self.seed = frames, time, seed
        self.rate = np.full(DETECTOR.shape, 0.02)
        self.rate.ravel()[rng.choice(self.rate.size, HOT, replace=False)] = rates(rng)
        mean = np.mean([image.data for image in self.images("dark")], axis=0, dtype=np.float64)
        self.product = ImageProduct(
            image=(mean / time).astype(np.float32),
            error=(np.sqrt((NOISE**2 + np.maximum(mean, 0)) / frames) / time).astype(np.float32),
            mask=np.zeros(DETECTOR.shape, np.uint32),
            used=np.full(DETECTOR.shape, frames, np.uint16),
            stacked=tuple(f"dark-{k}" for k in range(frames)),
            scales=np.full(frames, time),
            unit="electron/s",
        )

    def images(self, kind: str) -> Iterator[Image]:
        rng = np.random.default_rng(self.seed + 1000)
        assert kind == "dark"
        for k in range(self.frames):
            exposure = Exposure(
                instrument="example", detector=0, id=f"dark-{k}", number=k, kind="dark",
                exposure_time=self.time, dark_time=self.time,
            )  # fmt: skip
            data = rng.poisson(self.rate * self.time) + rng.normal(0, NOISE, DETECTOR.shape)
            mask = np.zeros(DETECTOR.shape, np.uint32)
            yield Image(data.astype(np.float32), mask, DETECTOR, unit="electron", exposure=exposure)

    def defects(self) -> Defects:
        return solve({}, {"dark": self.product}, DefectsConfig(), Context(DETECTOR))

    def checks(self, product: Defects) -> dict[str, Check]:
        ctx = VerifyContext(
            detector=DETECTOR, config=DefectsConfig(), residuals=lambda: iter(()), needs={"dark": self.product},
            frames=self.images,
        )  # fmt: skip
        return {check.name: check for check in verify(product, ctx)}


@pytest.mark.parametrize("time", [60.0, 300.0])
@pytest.mark.parametrize("name", POPULATIONS)
def test_healthy_defects_of_many_frames_pass_and_damaged_ones_fail(name: str, time: float) -> None:
    for seed in (int(time), int(time) + 1):
        darks = Darks(POPULATIONS[name], 40, time, seed)
        product = darks.defects()
        found = darks.checks(product)
        assert found["X1_completeness"].status == Status.PASS, found["X1_completeness"]
        assert found["X2_purity"].status == Status.PASS, found["X2_purity"]
    for damaged in (np.zeros_like(product.mask), np.roll(product.mask, 1, axis=1)):
        assert darks.checks(make_defects(damaged, product.amplifiers))["X1_completeness"].status == Status.FAIL


def invented(product: Defects, n: int) -> Defects:
    mask = product.mask.copy()
    good = np.flatnonzero(mask == 0)
    mask.ravel()[np.random.default_rng(4).choice(good, n, replace=False)] = np.uint32(Mask.BAD | Mask.HOT)
    return make_defects(mask, product.amplifiers)


def test_invented_hot_pixels_are_seen_where_the_darks_can_tell() -> None:
    darks = Darks(POPULATIONS["power law"], 10, 60.0, 7)
    healthy = darks.defects()
    purity = darks.checks(invented(healthy, 300))["X2_purity"]
    assert purity.status == Status.WARN
    true = int(np.count_nonzero(healthy.mask & np.uint32(Mask.HOT)))
    assert purity.value == pytest.approx(300 / (300 + true), abs=0.03), "the value is the impure share"


def test_purity_is_not_judged_by_darks_that_cannot_tell() -> None:
    darks = Darks(POPULATIONS["power law"], 10, 1.0, 7)
    purity = darks.checks(invented(darks.defects(), 300))["X2_purity"]
    assert purity.status == Status.NOT_RUN
    assert "errors of a mean of 10 dark frames" in purity.skipped


def test_hot_pixels_saturated_in_every_frame_are_not_called_impure() -> None:
    darks = Darks(POPULATIONS["power law"], 10, 60.0, 7)
    product = darks.defects()
    hot = (product.mask & np.uint32(Mask.HOT)) != 0
    plain = darks.images

    def saturated(kind: str) -> Iterator[Image]:
        for image in plain(kind):
            image.mask[hot & (darks.rate > 6)] |= np.uint32(Mask.SAT)
            yield image

    darks.images = saturated  # type: ignore[method-assign]
    assert darks.checks(product)["X2_purity"].value < 0.02


def test_defects_of_a_bias_alone_do_not_claim_to_be_complete() -> None:
    shape = DETECTOR.shape
    bias = ImageProduct(
        image=np.zeros(shape, np.float32), error=np.ones(shape, np.float32), mask=np.zeros(shape, np.uint32),
        used=np.full(shape, 5, np.uint16), unit="adu",
    )  # fmt: skip
    product = solve({}, {"bias": bias}, DefectsConfig(), Context(DETECTOR))
    assert {amp.reason for amp in product.amplifiers.values()} == {
        "made without a dark and a flat: hot pixels, cold pixels cannot be found"
    }
    ctx = VerifyContext(
        detector=DETECTOR, config=DefectsConfig(), residuals=lambda: iter(()), needs={"bias": bias},
        frames=lambda _: iter(()),
    )  # fmt: skip
    (complete,) = [check for check in verify(product, ctx) if check.name == "X1_completeness"]
    assert complete.status == Status.NOT_RUN
    assert complete.skipped == "made without a dark and a flat: hot and cold pixels cannot be found"
