"""One example that passes and one that fails each check, on a small simulated stack."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from cpp_flat.config import FlatConfig
from cpp_flat.measure import measure
from cpp_flat.pool import pool
from cpp_flat.product import Flat
from cpp_flat.solve import solve
from cpp_framework.model import (
    Amplifier,
    AmplifierRecord,
    Box,
    CheckExample,
    Context,
    Detector,
    Exposure,
    Image,
    ResidualFrame,
    Verdict,
    VerifyContext,
)
from cpp_framework.stats import ArrayFrames
from cpp_framework.stats.residuals import held_out_residual

SIZE, HALF = 256, 128
GAIN, NOISE, LEVEL = 1.5, 4.0, 20000.0
"""Gain [electron/adu], read noise [adu] and mean light [electron]."""
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
Plane = NDArray[np.float32]
Damage = Callable[[Plane], Plane]
Example = tuple[Flat, VerifyContext]


@dataclass(frozen=True)
class Stack:
    """Simulated exposures ``samples[exposure, y, x]`` [electron]."""

    samples: NDArray[np.float32]

    @property
    def exposures(self) -> list[Exposure]:
        """One exposure of ten seconds per sample plane."""
        return [
            Exposure(
                instrument="example",
                detector=0,
                id=f"flat-{k}",
                number=k,
                kind="flat",
                exposure_time=10.0,
                dark_time=10.0,
                filter="r",
            )
            for k in range(len(self.samples))
        ]

    @property
    def records(self) -> dict[str, AmplifierRecord]:
        """What the overscan and gain stages would have found, the same in every exposure."""
        error = NOISE / np.sqrt(2 * SIZE * 64)
        record = AmplifierRecord(bias_level=0.0, read_noise=NOISE, read_noise_error=error, gain=GAIN)
        return {amp.name: record for amp in DETECTOR.amplifiers}

    def residuals(self, product: Flat) -> Iterator[ResidualFrame]:
        """Held-out residuals, as the framework makes them."""
        for exposure, plane in zip(self.exposures, self.samples, strict=True):
            yield held_out_residual(product, exposure, plane, self.records)


def response(seed: int = 0, prnu: float = 0.01) -> NDArray[np.float64]:
    """Simulate the response of one filter: PRNU, light falling towards the corners, amplifiers 2 % apart."""
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE - 0.5
    pixels = 1 + np.random.default_rng(seed).normal(0, prnu, (SIZE, SIZE))
    tilt = 0.01 * np.cos(seed) * x + 0.01 * np.sin(seed) * y
    found: NDArray[np.float64] = pixels * (1 - 0.1 * (x**2 + y**2) + tilt) * np.where(x < 0, 1.01, 0.99)
    return found


def simulate(exposures: int = 6, seed: int = 1, light: float = LEVEL) -> Stack:
    """Simulate a lamp of mean ``light`` [electron] that jitters by 2 %, with photon and read noise."""
    rng = np.random.default_rng(seed)
    lit = light * rng.normal(1.0, 0.02, exposures)[:, None, None] * response()
    noise = rng.normal(0.0, NOISE * GAIN, lit.shape)
    return Stack((rng.poisson(lit) + noise).astype(np.float32))


def produce(stack: Stack) -> Flat:
    """Make the flat of a stack with default settings."""
    config, ctx = FlatConfig(), Context(DETECTOR)
    images = [
        Image(
            data=plane,
            mask=np.zeros(plane.shape, np.uint32),
            detector=DETECTOR,
            unit="electron",
            exposure=exposure,
            records=stack.records,
        )
        for exposure, plane in zip(stack.exposures, stack.samples, strict=True)
    ]
    measured = [measure(image, config, ctx) for image in images]
    frames = ArrayFrames(
        stack.samples,
        DETECTOR,
        stack.exposures,
        unit="electron",
        records=[stack.records] * len(images),
        measurements=measured,
        shared=pool({0: {"flat": measured}}, config, ctx),
    )
    return solve({"flat": frames}, {}, config, ctx)


def example(stack: Stack, product: Flat, previous: Flat | None = None, verdict: Verdict | None = None) -> Example:
    """Put a product and the exposures it is verified on together."""
    return product, VerifyContext(
        detector=DETECTOR,
        config=FlatConfig(),
        residuals=lambda: stack.residuals(product),
        exposures=stack.exposures,
        gains={amp.name: GAIN for amp in DETECTOR.amplifiers},
        previous=previous,
        previous_verdict=verdict,
    )


@cache
def healthy(seed: int = 1) -> tuple[Stack, Flat]:
    """Return a stack and its flat."""
    stack = simulate(seed=seed)
    return stack, produce(stack)


def good() -> Example:
    """Return a healthy stack with its flat, and another one of the same camera as the previous one: passes all."""
    stack, product = healthy()
    return example(stack, focal_plane_of(product, (1.01, 0.99)), previous=healthy(2)[1])


def focal_plane_of(product: Flat, means: tuple[float, ...]) -> Flat:
    """Return the flat as one of a focal plane of several detectors with these mean throughputs."""
    own = product.tables["FOCAL_PLANE"]
    from astropy.table import vstack

    parts = []
    for number, mean in enumerate(means):
        part = own.copy()
        part["DETECTOR"] = number
        part["THROUGHPUT"] *= mean
        parts.append(part)
    return replace(product, tables={**product.tables, "FOCAL_PLANE": vstack(parts)})


def damaged(damage: Damage) -> Example:
    """Return the healthy stack with a flat whose response was changed."""
    stack, product = healthy()
    changed = replace(product, image=damage(product.image).astype(np.float32))
    return example(stack, changed, previous=healthy(2)[1])


def altered(alter: Callable[[Plane], None]) -> Example:
    """Return the healthy flat with a stack in which single exposures were changed after it was made."""
    stack, product = healthy()
    samples = stack.samples.copy()
    alter(samples)
    return example(Stack(samples), product)


def on_half(factor: float) -> Damage:
    """Multiply the response of amplifier B."""
    return lambda image: image * np.where(np.arange(SIZE) < HALF, 1.0, factor)


def waves(image: Plane) -> Plane:
    """Multiply by waves of 0.5 % over 64 pixels."""
    return (image * (1 + 0.005 * np.sin(np.arange(SIZE) * 2 * np.pi / 64))).astype(np.float32)


def noisier(image: Plane, sigma: float = 0.004) -> Plane:
    """Add noise to the response."""
    return image + np.random.default_rng(3).normal(0, sigma, image.shape).astype(np.float32)


def torn_edge(image: Plane) -> Plane:
    """Raise the response of the outermost column of amplifier A by 3 %."""
    return (image * np.where(np.arange(SIZE) == 0, 1.03, 1.0)).astype(np.float32)


def with_negative_pixel(image: Plane) -> Plane:
    """Give one pixel a negative response."""
    changed = image.copy()
    changed[10, 10] = -0.1
    return changed


def with_dark_columns(image: Plane) -> Plane:
    """Halve the response of four columns."""
    changed = image.copy()
    changed[:, 40:44] *= np.float32(0.5)
    return changed


def drifting(samples: Plane) -> None:
    """Give even exposures waves of 0.8 % that the odd ones do not have."""
    samples[::2] *= np.float32(1) + np.float32(0.008) * np.sin(np.arange(SIZE) * 2 * np.pi / 64).astype(np.float32)


def apart() -> Example:
    """Return a flat of two detectors whose throughputs differ by a fifth."""
    stack, product = healthy()
    return example(stack, focal_plane_of(product, (1.1, 0.9)))


EXAMPLES = {
    "F1_noise": CheckExample(good, lambda: damaged(noisier)),
    "F2_level": CheckExample(good, lambda: damaged(lambda image: image * np.float32(1.02))),
    "F2_flatness": CheckExample(good, lambda: damaged(waves)),
    "F3_boundaries": CheckExample(good, lambda: damaged(on_half(1.02))),
    "F4_tearing": CheckExample(good, lambda: damaged(torn_edge)),
    "F5_detectors": CheckExample(good, apart),
    "F6_prnu": CheckExample(good, lambda: damaged(lambda image: noisier(image, 0.08))),
    "F6_change": CheckExample(good, lambda: damaged(lambda image: noisier(image, 0.02))),
    "F7_halves": CheckExample(good, lambda: altered(drifting)),
    "F7_previous": CheckExample(good, lambda: damaged(lambda image: waves(waves(waves(waves(image)))))),
    "F8_support": CheckExample(good, lambda: damaged(with_negative_pixel)),
    "F8_outliers": CheckExample(good, lambda: damaged(with_dark_columns)),
    "F8_normalisation": CheckExample(good, lambda: damaged(lambda image: image * np.float32(1.02))),
}
