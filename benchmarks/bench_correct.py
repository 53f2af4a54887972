"""Time of correcting one 16-amplifier 4072x4000 raw, against reading it with `astropy.io.fits` into float32.

Files are in the page cache, kernels compiled. Correcting: ADC saturation, both overscans with a median per line and
the read noise, full well, then bias subtraction and gain; once in one thread, as a worker process does, and once in
one thread per core. ``read and correct`` includes reading with `read_raw`. The ratio of correcting to reading is
not to exceed 5.
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
from cpp_framework.declare import Corrector, Reach, Stage
from cpp_framework.isr.chain import Chain, Step
from cpp_framework.model import Exposure, Image, ImageProduct

LIMIT = 5.0


def subtract(image: Image, product: ImageProduct, config: None) -> None:  # noqa: ARG001
    """Subtract a master bias, as a plugin would."""
    image.data -= product.image
    image.mask |= product.mask


def main() -> None:
    """Write raws, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = [_measure(Path(folder), dtype, options.repeat) for dtype in ("uint16", "int32")]
    if options.json:
        print(json.dumps(results))
        return
    print(f"{'':<28}" + "".join(f"{result['pixels']:>10}" for result in results))
    for name in list(results[0])[1:]:
        print(f"{name:<28}" + "".join(f"{result[name]:>10.3f}" for result in results))
    print(f"limit of the ratio: {LIMIT:g}")


def _measure(folder: Path, dtype: str, repeat: int) -> dict[str, Any]:
    instrument = load_instrument("latiss")
    path = _write(folder / f"{dtype}.fits", dtype)
    exposure = Exposure(
        instrument=instrument.name, detector=0, id=dtype, number=1, kind="bias", exposure_time=0, dark_time=0
    )
    cores = os.cpu_count() or 1
    single, chain = (Chain(instrument, 0, Stage.GAIN, [_bias(instrument)], threads=n) for n in (1, cores))
    raw = read_raw(path, instrument, exposure)
    timed: dict[str, Callable[[], object]] = {
        "astropy to float32 [s]": lambda: _read_plainly(path),
        "read_raw [s]": lambda: read_raw(path, instrument, exposure),
        "correct, one thread [s]": lambda: single.correct(raw),
        "correct [s]": lambda: chain.correct(raw),
        "read and correct [s]": lambda: chain.correct(read_raw(path, instrument, exposure)),
    }
    times: dict[str, list[float]] = {name: [] for name in timed}
    for round_ in range(repeat + 1):  # in turns, so that a busy machine slows all of them
        for name, action in timed.items():
            start = time.perf_counter()
            action()
            if round_:
                times[name].append(time.perf_counter() - start)
    result: dict[str, Any] = {"pixels": dtype} | {name: median(values) for name, values in times.items()}
    reading = result["astropy to float32 [s]"]
    ratios = {f"{name} / reading": result[f"{name} [s]"] / reading for name in ("correct", "read and correct")}
    return result | ratios


def _write(path: Path, dtype: str) -> Path:
    rng = np.random.default_rng(1)
    hdus: list[Any] = [fits.PrimaryHDU()]
    for amplifier in range(16):
        pixels = rng.normal(8000 + 900 * amplifier, 8, (2048, 576))
        hdus.append(fits.ImageHDU(np.round(pixels).astype(dtype)))
    fits.HDUList(hdus).writeto(path)
    return path


def _bias(instrument: Instrument) -> Step:
    shape = instrument.detector(0).shape
    product = ImageProduct(
        image=np.random.default_rng(2).normal(0, 3, shape).astype(np.float32),
        error=np.ones(shape, np.float32),
        mask=np.zeros(shape, np.uint32),
        used=np.full(shape, 10, np.uint16),
        unit="adu",
    )
    return Step("bias", Corrector(f"{__name__}:subtract", Stage.BIAS, Reach.PIXEL), product)


def _read_plainly(path: Path) -> list[Any]:
    with fits.open(path) as hdus:
        return [hdu.data.astype(np.float32) for hdu in hdus[1:]]


if __name__ == "__main__":
    main()
