"""One example that passes and one that fails each check, on small simulated exposures with defects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from cpp_defects.config import DefectsConfig
from cpp_defects.product import Defects, make_defects
from cpp_defects.solve import solve
from cpp_framework.errors import NotFoundError
from cpp_framework.model import (
    Amplifier,
    Box,
    CheckExample,
    Context,
    Detector,
    Exposure,
    Image,
    ImageProduct,
    Mask,
    VerifyContext,
)

SIZE, HALF = 256, 128
NOISE = 6.0
"""Read noise [electron]."""
DARK_TIME = 60.0
LIGHT = 20000.0
"""Level of a flat [electron]."""
FRAMES = 8
DETECTOR = Detector(
    "example",
    0,
    "S00",
    SIZE,
    SIZE,
    (Amplifier("A", Box(0, 0, HALF, SIZE), gain=1.5), Amplifier("B", Box(HALF, 0, SIZE, SIZE), flip_x=True, gain=1.5)),
)
BAD_COLUMN = 70
Example = tuple[Defects, VerifyContext]
Plane = NDArray[np.float64]


@dataclass(frozen=True)
class Night:
    """Simulated darks [electron] and flats [electron]: their exposures and what a plain mean makes of them."""

    frames: dict[str, list[Image]]
    needs: dict[str, ImageProduct]

    def images(self, kind: str) -> Iterator[Image]:
        """Exposures of a need."""
        if kind not in self.frames:
            raise NotFoundError(f"no {kind} in this example")
        yield from self.frames[kind]


def rate() -> Plane:
    """Dark rate [electron/s]: 40 hot pixels of 10 to 200."""
    rng = np.random.default_rng(11)
    rates = np.full(DETECTOR.shape, 0.02)
    rates.ravel()[rng.choice(rates.size, 40, replace=False)] = rng.uniform(10, 200, 40)
    return rates


def response() -> Plane:
    """Response to light: vignetting, 40 cold pixels, and a column that is dead from some row on."""
    rng = np.random.default_rng(12)
    y, x = np.mgrid[:SIZE, :SIZE]
    flat: Plane = 1 - 0.3 * ((x - HALF) ** 2 + (y - HALF) ** 2) / (2 * HALF**2) + rng.normal(0, 0.005, DETECTOR.shape)
    flat.ravel()[rng.choice(flat.size, 40, replace=False)] *= rng.uniform(0.05, 0.7, 40)
    flat[180:, BAD_COLUMN] *= 0.3
    return flat


def simulate(unstable: int = 0, frames: int = FRAMES, seed: int = 13) -> Night:
    """Simulate a night; ``unstable`` pixels jump by 300 electron in every second dark."""
    rng = np.random.default_rng(seed)
    jumps = np.zeros(DETECTOR.shape)
    jumps.ravel()[rng.choice(jumps.size, unstable, replace=False)] = 300.0
    darks = [rng.poisson(rate() * DARK_TIME + jumps * (k % 2)) for k in range(frames)]
    flats = [rng.poisson(response() * LIGHT) for _ in range(frames)]
    made = {"dark": darks, "flat": flats}
    taken = {kind: [_image(rng, kind, k, one) for k, one in enumerate(all_)] for kind, all_ in made.items()}
    return Night(
        taken, {"dark": _mean(taken["dark"], DARK_TIME, "electron/s"), "flat": _mean(taken["flat"], LIGHT, "1")}
    )


def _image(rng: np.random.Generator, kind: str, number: int, electrons: NDArray[np.int64]) -> Image:
    time = DARK_TIME if kind == "dark" else 10.0
    exposure = Exposure(
        instrument="example", detector=0, id=f"{kind}-{number}", number=number, kind=kind,
        exposure_time=time, dark_time=time,
    )  # fmt: skip
    data = (electrons + rng.normal(0, NOISE, electrons.shape)).astype(np.float32)
    return Image(data, np.zeros(data.shape, np.uint32), DETECTOR, unit="electron", exposure=exposure)


def _mean(images: list[Image], scale: float, unit: str) -> ImageProduct:
    samples = np.stack([image.data for image in images])
    n = len(images)
    return ImageProduct(
        image=(samples.mean(axis=0, dtype=np.float64) / scale).astype(np.float32),
        error=(np.sqrt(NOISE**2 + np.maximum(samples.mean(axis=0), 0)) / (scale * np.sqrt(n))).astype(np.float32),
        mask=np.zeros(DETECTOR.shape, np.uint32),
        used=np.full(DETECTOR.shape, n, np.uint16),
        stacked=tuple(image.exposure.id for image in images if image.exposure is not None),
        scales=np.full(n, scale),
        unit=unit,
    )


def produce(night: Night, config: DefectsConfig | None = None) -> Defects:
    """Find the defects of a night."""
    return solve({}, night.needs, config or DefectsConfig(), Context(DETECTOR))


def example(night: Night, product: Defects, previous: Defects | None = None) -> Example:
    """Put a product and the exposures it is verified on together."""
    return product, VerifyContext(
        detector=DETECTOR,
        config=DefectsConfig(),
        residuals=lambda: iter(()),
        gains={amp.name: 1.5 for amp in DETECTOR.amplifiers},
        needs=night.needs,
        frames=night.images,
        previous=previous,
    )


@cache
def good() -> Example:
    """Return a night with 80 bad pixels and a bad column, all of them found: passes every check."""
    night = simulate()
    product = produce(night)
    return example(night, product, product)


def with_mask(mask: NDArray[np.uint32]) -> Example:
    """Return the good night with another mask; the previous product is the good one."""
    product, ctx = good()
    return make_defects(mask, product.amplifiers), ctx


def empty() -> Example:
    """Return defects that miss everything."""
    return with_mask(np.zeros(DETECTOR.shape, np.uint32))


def shifted() -> Example:
    """Return defects that are one column off."""
    return with_mask(np.roll(good()[0].mask, 1, axis=1))


def invented() -> Example:
    """Return defects with 100 hot pixels that are none."""
    mask = good()[0].mask.copy()
    mask.ravel()[np.random.default_rng(1).choice(mask.size, 100, replace=False)] |= np.uint32(Mask.HOT | Mask.BAD)
    return with_mask(mask)


def grown() -> Example:
    """Return defects that cover 5 % of the detector."""
    mask = good()[0].mask.copy()
    mask[np.random.default_rng(1).random(mask.shape) < 0.05] |= np.uint32(Mask.BAD)
    return with_mask(mask)


def unstable() -> Example:
    """Return a night whose darks have 200 unstable pixels that nobody masked."""
    night = simulate(unstable=200)
    return example(night, replace(good()[0]))


EXAMPLES = {
    "X1_completeness": CheckExample(good, empty),
    "X2_purity": CheckExample(good, invented),
    "X3_amplifier": CheckExample(good, grown),
    "X3_detector": CheckExample(good, grown),
    "X4_tails": CheckExample(good, unstable),
    "X6_persistence": CheckExample(good, shifted),
}
