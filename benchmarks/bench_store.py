"""How fast the store answers: look-ups among 100,000 products, and beside writers that keep the disk busy.

    python benchmarks/bench_store.py

Wanted: the best product of 100,000 in less than 10 ms; at 10 commits a second beside a process that fsyncs files of
65 MB, 99 % of the look-ups in less than 0.2 s and none above 1 s.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection

from cpp_framework.model import Header
from cpp_framework.model.identity import digest_of, new_id
from cpp_framework.store import Store, schema
from cpp_framework.store.keys import key_text

DAY = 86_400 * 10**9
DETECTORS, TYPES, PERIODS = 200, 5, 100
COMMITS_PER_SECOND, SECONDS = 10.0, 30.0
FILE_MB = 65


def main() -> None:
    """Run both measurements in a temporary folder."""
    if len(sys.argv) > 2:
        {"sync": keep_disk_busy, "commit": commit_often}[sys.argv[1]](Path(sys.argv[2]))
        return
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        among_many(Path(folder) / "many")
        beside_writers(Path(folder) / "busy")


def among_many(root: Path) -> None:
    """Best product for a date, among 100,000 products each valid for one of 100 periods."""
    store = Store.create(root)
    with store._database.write() as connection:
        n_products = _fill(connection)
    draw = random.Random(1)
    seconds = []
    for _ in range(2000):
        type_name, detector = f"type{draw.randrange(TYPES)}", draw.randrange(DETECTORS)
        at = draw.randrange(PERIODS * DAY)
        start = time.perf_counter()
        valid = store.best(type_name, "cam", detector, at, {"detector": detector, "filter": "r"})
        record = store.product(valid.product) if valid else None
        seconds.append(time.perf_counter() - start)
        assert record is not None
        assert (record.type, record.detector, record.begin) == (type_name, detector, at // DAY * DAY)
    _report(f"best of {n_products} products (with its record)", seconds)


def beside_writers(root: Path) -> None:
    """Look-ups while one process commits ten times a second and another fsyncs big files on the same disk."""
    store = Store.create(root)
    _put(store, store.new_run("bias"), 0)
    others = [subprocess.Popen([sys.executable, __file__, mode, str(root)]) for mode in ("commit", "sync")]
    time.sleep(3.0)
    seconds = []
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        Store.open(root, write=False).products(type="bias", detector=0)
        seconds.append(time.perf_counter() - start)
        time.sleep(0.01)
    for one in others:
        one.terminate()
        one.wait()
    n_commits = len(store.products()) - 1
    _report(f"look-up beside {n_commits / (SECONDS + 3):.1f} commits/s and fsyncs of {FILE_MB} MB", seconds)


def commit_often(root: Path) -> None:
    """Put small products at a steady rate, for ever."""
    store = Store.open(root)
    run = store.new_run("bias")
    for detector in range(1, 10**6):
        begun = time.perf_counter()
        _put(store, run, detector)
        time.sleep(max(0.0, 1 / COMMITS_PER_SECOND - (time.perf_counter() - begun)))


def keep_disk_busy(root: Path) -> None:
    """Write and fsync big files beside the repository, for ever."""
    content = os.urandom(FILE_MB * 1_000_000)
    while True:
        with (root / "big.bin").open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def _put(store: Store, run: str, detector: int) -> None:
    header = Header(
        id=new_id(), type="bias", revision=1, instrument="cam", detector=detector, run=run, recipe=digest_of(detector),
        key={"detector": detector}, digest=digest_of(detector),
    )  # fmt: skip
    staged = store.staging_file(header.recipe)
    staged.write_bytes(os.urandom(20_000))
    store.put(staged, header)


def _fill(connection: Connection) -> int:
    """Rows of many certified products, written in bulk."""
    for name, kind in (("run", "RUN"), ("cam/calib", "CALIBRATION")):
        connection.execute(schema.collection.insert(), {"name": name, "kind": kind, "created": 0})
    products, lines, ranges = [], [], []
    for type_number in range(TYPES):
        for detector in range(DETECTORS):
            key = key_text({"detector": detector, "filter": "r"})
            place: dict[str, Any] = {"type": f"type{type_number}", "instrument": "cam", "detector": detector}
            lines.append({"sequence": len(lines) + 1, "collection": "cam/calib", "key": key, **place})
            for period in range(PERIODS):
                identity = new_id()
                begin, end = period * DAY, (period + 1) * DAY
                ranges.append({"line": len(lines), "begin": begin, "end": end, "product": identity})
                columns = _blank(identity) | {"label": f"period{period}", "key": key, "begin": begin, "end": end}
                products.append(columns | place)
    connection.execute(schema.product.insert(), products)
    connection.execute(schema.line.insert(), lines)
    connection.execute(schema.validity.insert(), ranges)
    return len(products)


def _blank(identity: str) -> dict[str, Any]:
    """Columns of a product that do not matter here."""
    texts = dict.fromkeys(("detector_name", "sha256"), "")
    numbers = {"revision": 1, "size": 1, "stored": 0}
    same = dict.fromkeys(("id", "recipe", "path"), identity)
    return (
        texts
        | numbers
        | same
        | {"short": identity[-8:], "digest": digest_of(identity), "run": "run", "provenance": "{}"}
    )


def _report(name: str, seconds: list[float]) -> None:
    median, most, worst = np.median(seconds), np.quantile(seconds, 0.99), max(seconds)
    print(f"{name}: median {1e3 * median:.2f} ms, 99 % {1e3 * most:.2f} ms, worst {1e3 * worst:.2f} ms")


if __name__ == "__main__":
    main()
