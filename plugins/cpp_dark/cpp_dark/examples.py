"""One example that passes and one that fails each check, on a small simulated stack."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from cpp_dark.config import DarkConfig
from cpp_dark.product import Dark
from cpp_dark.solve import solve
from cpp_dark.verify import verify
from cpp_framework.model import (
    Amplifier,
    AmplifierRecord,
    AmplifierResult,
    Box,
    CheckExample,
    Context,
    Detector,
    Exposure,
    ImageProduct,
    Measured,
    Product,
    ResidualFrame,
    Verdict,
    VerifyContext,
)
from cpp_framework.stats import ArrayFrames
from cpp_framework.stats.residuals import HeldOut

SIZE, HALF = 128, 64
GAIN, NOISE, BIAS_EXPOSURES = 1.5, 5.0, 100
"""electron/adu, read noise [electron], exposures in the bias."""
DETECTOR = Detector(
    "example",
    0,
    "S00",
    SIZE,
    SIZE,
    (
        Amplifier("A", Box(0, 0, HALF, SIZE), gain=GAIN, serial_overscan=64),
        Amplifier("B", Box(HALF, 0, SIZE, SIZE), flip_x=True, gain=GAIN, serial_overscan=64),
    ),
)
TIMES = (60.0,) * 15 + (120.0,) * 15
Plane = NDArray[np.float64]
Change = Callable[[NDArray[np.float32]], NDArray[np.floating]]
Example = tuple[Dark, VerifyContext]


@dataclass(frozen=True)
class Stack:
    """Simulated dark exposures ``samples[exposure, y, x]`` [electron] from which a bias was subtracted."""

    samples: NDArray[np.float32]
    times: Sequence[float]
    bias: ImageProduct
    overscan_noise: float = NOISE
    has_overscan: bool = True

    @property
    def exposures(self) -> list[Exposure]:
        """One exposure per sample plane."""
        return [
            Exposure(
                instrument="example",
                detector=0,
                id=f"dark-{k}",
                number=k,
                kind="dark",
                exposure_time=time,
                dark_time=time,
            )
            for k, time in enumerate(self.times)
        ]

    @property
    def records(self) -> dict[str, AmplifierRecord]:
        """What the overscan and gain stages would have found, the same in every exposure [adu]."""
        if not self.has_overscan:
            return {amp.name: AmplifierRecord(gain=GAIN) for amp in DETECTOR.amplifiers}
        noise = self.overscan_noise / GAIN
        record = AmplifierRecord(
            bias_level=0.0, read_noise=noise, read_noise_error=noise / np.sqrt(2 * SIZE * 64), gain=GAIN
        )
        return {amp.name: record for amp in DETECTOR.amplifiers}

    def residuals(self, product: Dark) -> Iterator[ResidualFrame]:
        """Held-out residuals, as the framework makes them."""
        held_out = HeldOut(product, DETECTOR)
        for exposure, plane in zip(self.exposures, self.samples, strict=True):
            yield held_out.frame(exposure, plane, self.records)


def true_rate(seed: int = 1) -> Plane:
    """Two amplifiers of different current, and 0.2 % of hot pixels of 1 to 30 electron/s."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE]
    rate: Plane = np.where(x < HALF, 0.02, 0.06) + 0.01 * y / SIZE
    hot = rng.random(rate.shape) < 0.002
    rate[hot] = 30.0 ** rng.random(hot.sum())
    return rate


def simulate(times: Sequence[float] = TIMES, seed: int = 2, rate: Plane | None = None) -> Stack:
    """Simulate Poisson dark signal, read noise, the error of a bias that all exposures share, and a few cosmic rays."""
    rng = np.random.default_rng(seed)
    true = true_rate() if rate is None else rate
    of_bias = rng.normal(0, NOISE / np.sqrt(BIAS_EXPOSURES), DETECTOR.shape)
    planes = []
    for time in times:
        plane = rng.poisson(true * time) + rng.normal(0, NOISE, DETECTOR.shape) - of_bias
        for _ in range(rng.poisson(1.0)):
            y, x, length = (*rng.integers(0, SIZE - 12, 2), rng.integers(2, 12))
            plane[y + np.arange(length) // 2, x + np.arange(length)] += rng.uniform(100, 1000, length)
        planes.append(plane.astype(np.float32))
    return Stack(np.stack(planes), tuple(times), bias_product())


def bias_product() -> ImageProduct:
    """Return a bias [adu] of as many exposures as the simulation's error of the bias says."""
    error = NOISE / GAIN / np.sqrt(BIAS_EXPOSURES)
    level = Measured(value=0.0, error=error / HALF, unit="adu")
    return ImageProduct(
        unit="adu",
        image=np.zeros(DETECTOR.shape, np.float32),
        error=np.full(DETECTOR.shape, error, np.float32),
        mask=np.zeros(DETECTOR.shape, np.uint32),
        used=np.full(DETECTOR.shape, BIAS_EXPOSURES, np.uint16),
        amplifiers={amp.name: AmplifierResult(values={"level": level}) for amp in DETECTOR.amplifiers},
    )


def produce(stack: Stack) -> Dark:
    """Make the dark of a stack with default settings."""
    frames = ArrayFrames(
        stack.samples, DETECTOR, stack.exposures, unit="electron", records=[stack.records] * len(stack.samples)
    )
    return solve({"dark": frames}, {"bias": stack.bias}, DarkConfig(), Context(DETECTOR))


def example(
    stack: Stack, product: Dark, previous_verdict: Verdict | None = None, previous: Product | None = None
) -> Example:
    """Put a product and the exposures it is verified on together."""
    return product, VerifyContext(
        detector=DETECTOR,
        config=DarkConfig(),
        residuals=lambda: stack.residuals(product),
        exposures=stack.exposures,
        gains={amp.name: GAIN for amp in DETECTOR.amplifiers},
        needs={"bias": stack.bias},
        previous=previous,
        previous_verdict=previous_verdict,
    )


@cache
def healthy() -> Stack:
    """Return a stack nothing is wrong with; not to be written to."""
    return simulate()


@cache
def good() -> Example:
    """Return a healthy stack and its product: passes every check."""
    product = produce(healthy())
    return example(healthy(), product, previous=product)


@cache
def good_verdict() -> Verdict:
    """Return the verdict of the healthy product."""
    return Verdict(id="previous", product="", digest="", type="dark", checks=tuple(verify(*good())))


def changed(change: Change, previous_verdict: Verdict | None = None) -> Example:
    """Return the healthy stack with a product whose rate was changed, and the healthy one as its predecessor."""
    product, _ = good()
    damaged = replace(product, image=change(product.image).astype(np.float32))
    return example(healthy(), damaged, previous_verdict, product)


def compared(change: Change) -> Example:
    """Return like `changed`, with the verdict of the healthy product as the previous one."""
    return changed(change, good_verdict())


def made(stack: Stack) -> Example:
    """Return a stack and the product made from it."""
    return example(stack, produce(stack), previous=good()[0])


def quiet_overscan() -> Example:
    """Return a stack whose pixels are a fifth noisier than its overscan."""
    return made(replace(simulate(), overscan_noise=NOISE / 1.2))


def alternating() -> Example:
    """Return a stack whose even exposures are 1 electron above the odd ones."""
    stack = simulate()
    stack.samples[::2] += np.float32(1.0)
    return made(stack)


def offset() -> Example:
    """Return a stack with 3 electron in every exposure, however short."""
    stack = simulate()
    stack.samples[:] += np.float32(3.0)
    return made(stack)


def glowing() -> Example:
    """Return a stack of a detector whose corner glows with 1 electron/s."""
    y, x = np.mgrid[:SIZE, :SIZE]
    return made(simulate(rate=true_rate() + np.exp(-(x**2 + y**2) / 40.0**2)))


def leaking() -> Example:
    """Return a stack with a light leak that grows to 1.5 electron/s towards the upper edge."""
    return made(simulate(rate=true_rate() + 1.5 * np.mgrid[:SIZE, :SIZE][0] / SIZE))


def radioactive() -> Example:
    """Return a stack with thirty hits per exposure."""
    stack = simulate()
    rng = np.random.default_rng(4)
    for plane in stack.samples:
        plane[rng.integers(0, SIZE, 30), rng.integers(0, SIZE, 30)] += 500
    return made(stack)


def stripes(axis: int) -> Plane:
    """Every eighth line along an axis is 0.05 electron/s too high."""
    return np.where(np.indices(DETECTOR.shape)[axis] % 8 == 0, 0.05, 0.0)


def corners() -> Plane:
    """Raise the corners the amplifiers are read from by 0.05 electron/s."""
    y, x = np.mgrid[:SIZE, :SIZE]
    return np.where((y < 64) & ((x < 48) | (x >= SIZE - 48)), 0.05, 0.0)


def added_noise() -> Plane:
    """Noise of half the read noise in 60 s."""
    return np.random.default_rng(3).normal(0.0, NOISE / 2 / 60, DETECTOR.shape)


def hot_pixels() -> Plane:
    """Two per cent of the pixels 20 electron/s too high."""
    return np.where(np.random.default_rng(5).random(DETECTOR.shape) < 0.02, 20.0, 0.0)


EXAMPLES = {
    "D1_level": CheckExample(good, lambda: changed(lambda rate: rate + 0.05)),
    "D2_noise": CheckExample(good, lambda: changed(lambda rate: rate + added_noise())),
    "D3_columns": CheckExample(good, lambda: compared(lambda rate: rate + stripes(1))),
    "D3_rows": CheckExample(good, lambda: compared(lambda rate: rate + stripes(0))),
    "D3_blocks": CheckExample(good, lambda: compared(lambda rate: rate + corners())),
    "D4_noise_penalty": CheckExample(good, lambda: made(simulate((60.0,) * 5 + (120.0,) * 5))),
    "D5_halves_noise": CheckExample(good, quiet_overscan),
    "D5_halves_mean": CheckExample(good, alternating),
    "D6_linearity": CheckExample(good, offset),
    "D7_current": CheckExample(good, lambda: made(simulate(rate=true_rate() + 0.5))),
    "D8_glow": CheckExample(good, glowing),
    "D8_gradient": CheckExample(good, leaking),
    "D9_hot_pixels": CheckExample(good, lambda: changed(lambda rate: rate + hot_pixels())),
    "D9_growth": CheckExample(good, lambda: changed(lambda rate: rate + hot_pixels())),
    "D10_cosmic_rays": CheckExample(good, radioactive),
    "D10_tail": CheckExample(good, lambda: changed(lambda rate: rate + hot_pixels())),
}
