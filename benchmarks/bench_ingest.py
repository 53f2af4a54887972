"""Ingest of 10,000 raw files against `astropy.io.fits` reading their headers, in one run.

    python benchmarks/bench_ingest.py

Wanted: at most 1.5 times.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from astropy.io import fits

from cpp_framework.api import Repository
from cpp_framework.sim import simulate_night

FILES = 10_000


def main() -> None:
    """Write the files, then read their headers in both ways, alternating which comes first."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        raw = Path(name) / "raw"
        _write(raw, Path(name) / "one")
        paths = sorted(raw.iterdir())
        _astropy(paths[:200])
        ours, theirs = [], []
        for turn in range(3):
            repository = Repository.create(Path(name) / f"repo{turn}")
            repository.add_instrument("simcam")
            theirs.append(_seconds(lambda: _astropy(paths)))
            ours.append(_seconds(lambda one=repository: one.ingest([raw])))  # type: ignore[misc]
            assert len(repository.store.exposures()) == FILES
            again = _seconds(lambda one=repository: one.ingest([raw]))  # type: ignore[misc]
        ratio = min(ours) / min(theirs)
        print(f"{FILES} files: ingest {min(ours):.2f} s, astropy {min(theirs):.2f} s, ratio {ratio:.2f} (<= 1.5)")
        print(f"the same again, nothing new: {again:.2f} s")


def _write(raw: Path, one: Path) -> None:
    """Copies of one simulated frame with numbers and dates of their own; pixels are cut to one row."""
    (frame,) = simulate_night(one, instrument="simcam", biases=1)
    raw.mkdir()
    with fits.open(frame) as hdus:
        for number in range(1, FILES + 1):
            header = hdus[0].header
            header["OBSID"], header["SEQNUM"] = f"SIM_{number:06d}", number
            minute, second = divmod(number * 8, 60)
            hour, minute = divmod(minute, 60)
            header["DATE-OBS"] = f"2026-11-22T{hour % 24:02d}:{minute:02d}:{second:02d}.000"
            hdus.writeto(raw / f"{number:06d}.fits")


def _astropy(paths: list[Path]) -> None:
    for path in paths:
        with fits.open(path) as hdus:
            for hdu in hdus:
                hdu.header["NAXIS"]


def _seconds(action: object) -> float:
    start = time.perf_counter()
    action()  # type: ignore[operator]
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
