"""Finding, boxing and interpolating the defects of one 16-amplifier CCD of 4072×4000: the issue's limit is 3 s.

    python benchmarks/bench_defects.py [--repeat 5]

Prints one JSON document with medians of the repeats; the first call, which compiles, is not counted. Processor time is
given beside, which other programs on the machine disturb less.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
from cpp_defects.apply import interpolate, mask_defects
from cpp_defects.config import DefectsConfig
from cpp_defects.product import make_defects
from cpp_defects.solve import solve
from numpy.typing import NDArray

from cpp_framework.model import Amplifier, Box, Context, Detector, Image, ImageProduct

WIDTH, HEIGHT, AMPLIFIERS = 509, 2000, 8
"""Size of an amplifier, and how many there are side by side, in two rows."""


def main() -> None:
    """Time everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    repeat = parser.parse_args().repeat
    detector, needs, config = ccd(), products(), DefectsConfig()
    found = solve({}, needs, config, Context(detector))
    image = Image(needs["flat"].image * np.float32(20000), np.zeros(detector.shape, np.uint32), detector)
    image.variance = np.full(detector.shape, 20000, np.float32)

    def correct() -> None:
        image.mask[:] = 0
        mask_defects(image, found, config)
        interpolate(image, found, config)

    timed: dict[str, Callable[[], object]] = {
        "solve, one thread": lambda: solve({}, needs, config, Context(detector, threads=1)),
        "solve, all cores": lambda: solve({}, needs, config, Context(detector, threads=os.cpu_count() or 1)),
        "boxes of the mask": lambda: make_defects(found.mask, found.amplifiers),
        "mask and interpolate": correct,
    }
    result: dict[str, Any] = {"masked pixels": int(np.count_nonzero(found.mask)), "boxes": len(found.boxes)}
    for name, action in timed.items():
        result[f"{name} [s]"] = seconds(action, repeat, time.perf_counter)
        result[f"{name}, processor [s]"] = seconds(action, repeat, time.process_time)
    print(json.dumps(result, indent=2))


def seconds(action: Callable[[], object], repeat: int, clock: Callable[[], float]) -> float:
    """Median time of an action by a clock."""
    times = []
    for _ in range(repeat + 1):
        start = clock()
        action()
        times.append(clock() - start)
    return median(times[1:])


def ccd() -> Detector:
    """Two rows of amplifiers read out towards the lower and the upper border."""
    amplifiers = tuple(
        Amplifier(
            f"C{row}{column}",
            Box(WIDTH * column, HEIGHT * row, WIDTH * (column + 1), HEIGHT * (row + 1)),
            flip_x=True,
            flip_y=row == 1,
            gain=1.1,
        )
        for row in (0, 1)
        for column in range(AMPLIFIERS)
    )
    return Detector("bench", 0, "S00", WIDTH * AMPLIFIERS, 2 * HEIGHT, amplifiers)


def products() -> dict[str, ImageProduct]:
    """A bias, a dark with 0.1 % hot pixels, and a vignetted flat with cold pixels and bad columns."""
    rng = np.random.default_rng(1)
    shape = ccd().shape
    dark = rng.normal(0.01, 0.02, shape)
    dark[rng.random(shape) < 1e-3] += 20
    y, x = np.mgrid[: shape[0], : shape[1]]
    flat = 1 - 0.4 * ((x - shape[1] / 2) ** 2 + (y - shape[0] / 2) ** 2) / 2800**2 + rng.normal(0, 0.006, shape)
    flat[rng.random(shape) < 2e-4] *= 0.5
    flat[:, ::500] *= 0.85
    return {
        "bias": _product(rng.normal(0, 1.5, shape), 1.5, "adu"),
        "dark": _product(dark, 0.02, "electron/s"),
        "flat": _product(flat, 0.006, "1"),
    }


def _product(plane: NDArray[np.float64], error: float, unit: str) -> ImageProduct:
    return ImageProduct(
        image=plane.astype(np.float32),
        error=np.full(plane.shape, error, np.float32),
        mask=np.zeros(plane.shape, np.uint32),
        used=np.full(plane.shape, 10, np.uint16),
        unit=unit,
    )


if __name__ == "__main__":
    main()
