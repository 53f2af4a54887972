"""Time of correcting one 16-amplifier 4072x4000 raw through all stages, against reading it.

Files are in the page cache, kernels compiled, products in memory. Correcting is what `cpp apply` does to a frame: ADC
saturation, both overscans, full well, bias, variance, gain, dark, defects, flat and interpolation with a variance
plane; by the correctors of the installed types, with made-up products of 0.2 % bad pixels and ten bad columns. Reading
is `astropy.io.fits` into float32. ``correct / reading`` is not to exceed 10: in one thread by processor time, which a
busy machine does not change, and in one thread per core by the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from astropy.io import fits

from cpp_framework.camera.catalogue import load_instrument
from cpp_framework.camera.instrument import Instrument
from cpp_framework.camera.raw import read_raw
from cpp_framework.declare import CalibrationType, Stage, load
from cpp_framework.isr.chain import Chain, Step
from cpp_framework.model import Exposure, ImageProduct, Mask, Measured, Product
from cpp_framework.plugins import installed

LIMIT = 10.0
READING, ONE, ALL = "astropy to float32", "correct, one thread", "correct"
UNITS = {Stage.BIAS: "adu", Stage.DARK: "electron/s", Stage.FLAT: ""}
LEVELS = {Stage.BIAS: 0.0, Stage.DARK: 0.05, Stage.FLAT: 1.0}


def main() -> None:
    """Write raws, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = [_measure(Path(folder), dtype, options.repeat) for dtype in ("uint16", "int32")]
    if options.json:
        print(json.dumps(results))
        return
    for line in results[0]["steps"]:
        print(f"  {line}")
    print(f"{'':<42}" + "".join(f"{result['pixels']:>10}" for result in results))
    for name in list(results[0])[2:]:
        print(f"{name:<42}" + "".join(f"{result[name]:>10.3f}" for result in results))
    print(f"limit of correct / reading: {LIMIT:g}")


def _measure(folder: Path, dtype: str, repeat: int) -> dict[str, Any]:
    instrument = load_instrument("latiss")
    path = _write(folder / f"{dtype}.fits", dtype)
    exposure = Exposure(
        instrument=instrument.name, detector=0, id=dtype, number=1, kind="science", exposure_time=30, dark_time=30
    )
    steps = [step for declared in installed().types.values() for step in _steps(declared, instrument)]
    cores = os.cpu_count() or 1
    single, chain = (Chain(instrument, 0, Stage.INTERPOLATION, steps, threads=n) for n in (1, cores))
    raw = read_raw(path, instrument, exposure)
    timed: dict[str, Callable[[], object]] = {
        READING: lambda: _read_plainly(path),
        "read_raw": lambda: read_raw(path, instrument, exposure),
        ONE: lambda: single.correct(raw, variance=True),
        ALL: lambda: chain.correct(raw, variance=True),
    }
    clock: dict[str, list[float]] = {name: [] for name in timed}
    processor: dict[str, list[float]] = {name: [] for name in timed}
    for round_ in range(repeat + 1):  # in turns, so that a busy machine slows all of them
        for name, action in timed.items():
            start, used = time.perf_counter(), time.process_time()
            action()
            if round_:
                processor[name].append(time.process_time() - used)
                clock[name].append(time.perf_counter() - start)
    result: dict[str, Any] = {"pixels": dtype, "steps": chain.correct(raw, variance=True).applied}
    result |= {f"{name} [s]": median(values) for name, values in clock.items()}
    result |= {f"{name}, processor [s]": median(values) for name, values in processor.items()}
    result["correct / reading, processor, one thread"] = median(processor[ONE]) / median(processor[READING])
    result["correct / reading, clock"] = median(clock[ALL]) / median(clock[READING])
    return result


def _write(path: Path, dtype: str) -> Path:
    rng = np.random.default_rng(1)
    hdus: list[Any] = [fits.PrimaryHDU()]
    for amplifier in range(16):
        pixels = rng.normal(8000 + 900 * amplifier, 8, (2048, 576))
        hdus.append(fits.ImageHDU(np.round(pixels).astype(dtype)))
    fits.HDUList(hdus).writeto(path)
    return path


def _steps(declared: CalibrationType, instrument: Instrument) -> list[Step]:
    """Steps of one type with a product as its `solve` might make it."""
    if not declared.correctors:
        return []
    config = load(declared.config)()
    product = _product(load(declared.product), declared.correctors[0].stage, instrument.detector(0).shape)
    return [Step(declared.name, corrector, product, config) for corrector in declared.correctors]


def _product(kind: Any, stage: Stage, shape: tuple[int, int]) -> Product:
    rng = np.random.default_rng(2)
    mask = np.zeros(shape, np.uint32)
    if not issubclass(kind, ImageProduct):
        mask[rng.random(shape) < 0.002] = Mask.BAD | Mask.HOT
        mask[:, rng.integers(0, shape[1], 10)] = Mask.BAD | Mask.BAD_COLUMN
        product: Product = kind(mask=mask)
        return product
    return kind(  # type: ignore[no-any-return]
        image=rng.normal(LEVELS[stage], 0.01, shape).astype(np.float32),
        error=np.full(shape, 0.001, np.float32),
        mask=mask,
        used=np.full(shape, 10, np.uint16),
        unit=UNITS[stage],
        metrics={"relative": Measured(value=0, unit="1")},
    )


def _read_plainly(path: Path) -> list[Any]:
    with fits.open(path) as hdus:
        return [hdu.data.astype(np.float32) for hdu in hdus[1:]]


if __name__ == "__main__":
    main()
