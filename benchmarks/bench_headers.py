"""Time of reading and translating the headers of one raw file, against `astropy.io.fits` reading the same headers."""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from astropy.io import fits

from cpp_framework.camera.catalogue import load_instrument
from cpp_framework.camera.reader import read_exposures
from cpp_framework.sim import simulate_night

REPEAT = 50


def main() -> None:
    """Simulate one raw of each shipped camera, plain and gzipped, and time both readers in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for camera in ("simcam", "latiss"):
            (raw,) = simulate_night(Path(name) / camera, instrument=camera, biases=1)
            packed = raw.with_suffix(".fits.gz")
            packed.write_bytes(gzip.compress(raw.read_bytes(), 1))
            for path in (raw, packed):
                rows.append(_compare(camera, path))
    if options.json:
        print(json.dumps(rows))
        return
    for row in rows:
        print(
            "{camera:<8} {file:<22} ours {ours_ms:8.2f} ms   astropy {astropy_ms:8.2f} ms   ratio {ratio:.2f}".format(
                **row
            )
        )


def _compare(camera: str, path: Path) -> dict[str, object]:
    instrument = load_instrument(camera)
    ours, theirs = [], []
    for _ in range(REPEAT):
        ours.append(_seconds(lambda: read_exposures(path, instrument)))
        theirs.append(_seconds(lambda: _astropy(path)))
    ours_ms, astropy_ms = 1e3 * sorted(ours)[REPEAT // 2], 1e3 * sorted(theirs)[REPEAT // 2]
    return {
        "camera": camera,
        "file": path.name,
        "ours_ms": ours_ms,
        "astropy_ms": astropy_ms,
        "ratio": ours_ms / astropy_ms,
    }


def _astropy(path: Path) -> None:
    with fits.open(path) as hdus:
        for hdu in hdus:
            hdu.header["NAXIS"]


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
