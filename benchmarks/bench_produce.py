"""Time of producing a master bias from ten 4072x4000 raws, against reading them once.

Start-up, compilation and the writing of the product are left out: the workers are warmed on another set first, and
the time of writing is measured apart and subtracted. The digests of the raw files are included. Reading means all
amplifiers of a file with `astropy.io.fits` into float32 arrays that are held until the frame is whole, file by file,
files in the page cache; "streamed" drops each amplifier's array at once, so that it never leaves the processor's
cache.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from astropy.io import fits

from cpp_framework.api import Repository
from cpp_framework.execute import make_executor
from cpp_framework.plan import Request
from cpp_framework.sim import simulate_night


def main() -> None:
    """Simulate, warm up, measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=10)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        result = _measure(Path(name), options.frames, options.repeat)
    if options.json:
        print(json.dumps(result))
        return
    for key, value in result.items():
        print(f"{key:<28} {value:.3f}")


def _measure(folder: Path, frames: int, repeat: int) -> dict[str, float]:
    raws = simulate_night(folder / "raw", instrument="latiss", biases=frames, seed=1)
    jobs = os.cpu_count() or 1
    reads, streams, makes, writes = [], [], [], []
    with make_executor(jobs, "processes") as pool:
        for i in range(repeat + 1):
            repository = Repository.create(folder / f"repo{i}")
            repository.add_instrument("latiss")
            repository.ingest([folder / "raw"])
            start = time.perf_counter()
            _read(raws, hold=True)
            held = time.perf_counter()
            _read(raws, hold=False)
            read = time.perf_counter()
            (result,) = repository.produce(Request("bias"), jobs=jobs, executor=pool)
            assert result.state == "made", result.reason
            made = time.perf_counter()
            if i:  # the first round compiles
                reads.append(held - start)
                streams.append(read - held)
                makes.append(made - read - result.write_seconds)
                writes.append(result.write_seconds)
    return {
        "read once [s]": median(reads),
        "read once, streamed [s]": median(streams),
        "produce without write [s]": median(makes),
        "write [s]": median(writes),
        "ratio": median(makes) / median(reads),
    }


def _read(raws: list[Path], *, hold: bool) -> None:
    for path in raws:
        frame = []
        with fits.open(path) as hdus:
            for hdu in hdus[1:]:
                pixels = np.asarray(hdu.data, dtype=np.float32)
                if hold:
                    frame.append(pixels)


if __name__ == "__main__":
    main()
