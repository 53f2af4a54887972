"""Combine 25 exposures of 2000 × 2000 with clipping: this framework beside ccdproc, astropy and plain numpy.

All work on the same float32 arrays in one process, repetitions interleaved, so that what else the machine does hits
all alike. Needs ccdproc. Run ``python benchmarks/bench_combine.py [--json]``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np
from astropy import units as u
from astropy.nddata import CCDData
from astropy.stats import mad_std, sigma_clip
from ccdproc import combine as ccdproc_combine
from numpy.typing import NDArray

from cpp_framework.model import Amplifier, Box, Detector, Exposure
from cpp_framework.stats import ArrayFrames, StackNoise, combine

READ_NOISE = 5.0
AT_LEAST = {"ccdproc, mean and σ": 12, "ccdproc, median and MAD": 28, "astropy sigma_clip + mean": 7}
AT_MOST_MEANS = 14


def simulate(count: int, size: int) -> NDArray[np.float32]:
    """Read noise about a level of 1000 adu, with cosmic rays in 0.1 % of the samples."""
    rng = np.random.default_rng(25)
    samples = rng.normal(1000, READ_NOISE, (count, size, size)).astype(np.float32)
    hits = rng.integers(0, samples.size, samples.size // 1000)
    samples.reshape(-1)[hits] += rng.exponential(500, hits.size).astype(np.float32) + 10 * READ_NOISE
    return samples


def contenders(samples: NDArray[np.float32], threads: int) -> dict[str, Callable[[], object]]:
    """What is timed, by name."""
    count, height, width = samples.shape
    halves = (Amplifier("A", Box(0, 0, width // 2, height)), Amplifier("B", Box(width // 2, 0, width, height)))
    detector = Detector("bench", 0, "D0", width, height, halves)
    exposures = [
        Exposure(instrument="bench", detector=0, id=f"e{k}", number=k, kind="bias", exposure_time=0, dark_time=0)
        for k in range(count)
    ]
    frames = ArrayFrames(samples, detector, exposures)
    noise = StackNoise({"A": READ_NOISE, "B": READ_NOISE})
    ccds = [CCDData(plane, unit=u.adu) for plane in samples]
    return {
        "cpp combine": lambda: combine(frames, noise, threads=threads),
        "ccdproc, mean and σ": lambda: ccdproc_combine(ccds, sigma_clip=True, dtype=np.float32),
        "ccdproc, median and MAD": lambda: ccdproc_combine(
            ccds, sigma_clip=True, sigma_clip_func=np.ma.median, sigma_clip_dev_func=mad_std, dtype=np.float32
        ),
        "astropy sigma_clip + mean": lambda: sigma_clip(samples, sigma=4, axis=0).mean(axis=0),
        "numpy mean": lambda: samples.mean(axis=0),
    }


def measure(work: dict[str, Callable[[], object]], repetitions: int) -> dict[str, float]:
    """Median seconds of interleaved repetitions; the first round, which compiles and warms up, is not counted."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for repetition in range(repetitions + 1):
        for name, call in work.items():
            start = time.perf_counter()
            call()
            if repetition:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=25, help="exposures")
    parser.add_argument("--size", type=int, default=2000, help="rows and columns")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # the masked arrays of the others warn about what they were asked to do
    seconds = measure(contenders(simulate(options.count, options.size), options.threads), options.repetitions)
    ours = seconds["cpp combine"]
    wanted = {name: f"≥ {factor}" for name, factor in AT_LEAST.items()}
    wanted["numpy mean"] = f"≥ {1 / AT_MOST_MEANS:.3f}"
    if options.json:
        rows = {name: {"seconds": value, "times_ours": value / ours} for name, value in seconds.items()}
        print(json.dumps({"count": options.count, "size": options.size, "threads": options.threads, "rows": rows}))
        return
    print(f"{options.count} × {options.size}², {options.threads} threads, median of {options.repetitions}")
    print(f"{'':28}{'seconds':>10}{'times ours':>12}  wanted")
    for name, value in seconds.items():
        print(f"{name:28}{value:10.3f}{value / ours:12.3f}  {wanted.get(name, '')}")


if __name__ == "__main__":
    main()
