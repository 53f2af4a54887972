"""One example that passes and one that fails each check, on a small simulated stack."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from cpp_bias.config import BiasConfig
from cpp_bias.product import Bias
from cpp_bias.solve import solve
from cpp_bias.verify import verify
from cpp_framework.model import (
    Amplifier,
    AmplifierRecord,
    Box,
    CheckExample,
    Context,
    Detector,
    Exposure,
    ResidualFrame,
    Verdict,
    VerifyContext,
)
from cpp_framework.stats import ArrayFrames
from cpp_framework.stats.residuals import held_out_residual

SIZE, HALF = 256, 128
GAIN, NOISE = 1.5, 4.0
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
Example = tuple[Bias, VerifyContext]


@dataclass(frozen=True)
class Stack:
    """Simulated exposures ``samples[exposure, y, x]`` [adu] and what their overscan would say of the noise [adu]."""

    samples: NDArray[np.float32]
    overscan_noise: float = NOISE
    has_overscan: bool = True

    @property
    def exposures(self) -> list[Exposure]:
        """One exposure per sample plane."""
        return [
            Exposure(
                instrument="example",
                detector=0,
                id=f"bias-{k}",
                number=k,
                kind="bias",
                exposure_time=0.0,
                dark_time=0.0,
            )
            for k in range(len(self.samples))
        ]

    @property
    def records(self) -> dict[str, AmplifierRecord]:
        """What the overscan stage would have found, the same in every exposure."""
        if not self.has_overscan:
            return {amp.name: AmplifierRecord() for amp in DETECTOR.amplifiers}
        error = self.overscan_noise / np.sqrt(2 * SIZE * 64)
        record = AmplifierRecord(bias_level=0.0, read_noise=self.overscan_noise, read_noise_error=error)
        return {amp.name: record for amp in DETECTOR.amplifiers}

    def residuals(self, product: Bias) -> Iterator[ResidualFrame]:
        """Held-out residuals, as the framework makes them."""
        for exposure, plane in zip(self.exposures, self.samples, strict=True):
            yield held_out_residual(product, exposure, plane, self.records)


def simulate(exposures: int = 25, seed: int = 1) -> Stack:
    """Simulate columns and a ramp of a few adu under white noise."""
    y, x = np.mgrid[:SIZE, :SIZE]
    pattern = np.where(x % 16 == 3, 6.0, 0.0) + 2.0 * y / SIZE + np.where(x < HALF, 1.0, 5.0)
    noise = np.random.default_rng(seed).normal(0.0, NOISE, (exposures, SIZE, SIZE))
    return Stack((pattern + noise).astype(np.float32))


def produce(stack: Stack) -> Bias:
    """Make the bias of a stack with default settings."""
    records = [stack.records] * len(stack.samples)
    frames = ArrayFrames(stack.samples, DETECTOR, stack.exposures, records=records)
    return solve({"bias": frames}, {}, BiasConfig(), Context(DETECTOR))


def example(stack: Stack, product: Bias, previous_verdict: Verdict | None = None) -> Example:
    """Put a product and the exposures it is verified on together."""
    return product, VerifyContext(
        detector=DETECTOR,
        config=BiasConfig(),
        residuals=lambda: stack.residuals(product),
        exposures=stack.exposures,
        gains={amp.name: GAIN for amp in DETECTOR.amplifiers},
        previous_verdict=previous_verdict,
    )


@cache
def good() -> Example:
    """Return a healthy stack and its product: passes every check."""
    stack = simulate()
    return example(stack, produce(stack))


def changed(add: NDArray[np.float64] | float, previous_verdict: Verdict | None = None) -> Example:
    """Return the healthy stack with a product that is off by ``add`` [adu]."""
    stack = simulate()
    product = produce(stack)
    damaged = replace(product, image=(product.image + add).astype(np.float32))
    return example(stack, damaged, previous_verdict)


@cache
def good_verdict() -> Verdict:
    """Return the verdict of the healthy product."""
    return Verdict(id="previous", product="", digest="", type="bias", checks=tuple(verify(*good())))


def compared(add: NDArray[np.float64] | float) -> Example:
    """Return like `changed`, with the verdict of the healthy product as the previous one."""
    return changed(add, good_verdict())


def few() -> Example:
    """Return a stack of five exposures: 9.5 % noise penalty."""
    stack = simulate(5)
    return example(stack, produce(stack))


def quiet_overscan() -> Example:
    """Return a stack whose pixels are a fifth noisier than its overscan."""
    stack = replace(simulate(), overscan_noise=NOISE / 1.2)
    return example(stack, produce(stack))


def alternating() -> Example:
    """Return a stack whose even exposures are 0.5 adu above the odd ones."""
    stack = simulate()
    stack.samples[::2] += np.float32(0.5)
    return example(stack, produce(stack))


def disturbed(pattern: Callable[[int, np.random.Generator], NDArray[np.float64] | float]) -> Example:
    """Return a stack with ``pattern(exposure, rng)`` [adu] added to each exposure, to compare with the healthy one."""
    stack, rng = simulate(), np.random.default_rng(3)
    for k, plane in enumerate(stack.samples):
        plane += np.asarray(pattern(k, rng), np.float32)
    return example(stack, produce(stack), good_verdict())


def hum(per_row: float, per_column: float) -> Example:
    """Return a stack with pick-up of 0.7 adu (1 electron) and a new phase in each exposure; frequencies per pixel."""
    y, x = np.mgrid[:SIZE, :SIZE]
    x = np.minimum(x, SIZE - 1 - x)  # readout order of both amplifiers
    return disturbed(lambda _, rng: 1 / GAIN * np.sin(2 * np.pi * (per_column * x + per_row * y + rng.uniform())))


def wandering() -> Example:
    """Return a stack whose level rises by 1 adu from the first exposure to the last."""
    return disturbed(lambda k, _: k / 24)


def jumping() -> Example:
    """Return a stack with a step of 4 adu in the middle of two exposures."""
    step = np.where(np.arange(SIZE) < HALF, -2.0, 2.0)[:, np.newaxis]
    return disturbed(lambda k, _: step * (k in (4, 11)))


def common_noise() -> Example:
    """Return a stack whose amplifiers have 3 adu of noise in common, pixel by pixel as they are read."""
    return disturbed(lambda _, rng: np.hstack([noise := rng.normal(0.0, 3.0, (SIZE, HALF)), noise[:, ::-1]]))


def _stripes(axis: int) -> NDArray[np.float64]:
    """Every eighth line along an axis is 3 adu too high."""
    return np.where(np.indices(DETECTOR.shape)[axis] % 8 == 0, 3.0, 0.0)


def _corner() -> NDArray[np.float64]:
    """Raise the corner amplifier A is read from by 3 adu."""
    y, x = np.mgrid[:SIZE, :SIZE]
    return np.where((y < 64) & (x < 64), 3.0, 0.0)


def _added_noise() -> NDArray[np.float64]:
    return np.random.default_rng(2).normal(0.0, NOISE / 2, DETECTOR.shape)


EXAMPLES = {
    "B1_level": CheckExample(good, lambda: changed(2.0)),
    "B2_noise": CheckExample(good, lambda: changed(_added_noise())),
    "B3_columns": CheckExample(good, lambda: compared(_stripes(1))),
    "B3_rows": CheckExample(good, lambda: compared(_stripes(0))),
    "B3_blocks": CheckExample(good, lambda: compared(_corner())),
    "B3_row_line": CheckExample(good, lambda: hum(0.23, 0.0)),
    "B3_column_line": CheckExample(good, lambda: hum(0.0, 0.17)),
    "B3_stream_line": CheckExample(good, lambda: hum(0.31, 0.17)),
    "B4_noise_penalty": CheckExample(good, few),
    "B5_halves_noise": CheckExample(good, quiet_overscan),
    "B5_halves_mean": CheckExample(good, alternating),
    "B6_stability": CheckExample(good, wandering),
    "B6_shifts": CheckExample(good, jumping),
    "B7_correlation": CheckExample(good, common_noise),
    "B8_corner": CheckExample(good, lambda: changed(_corner())),
}
