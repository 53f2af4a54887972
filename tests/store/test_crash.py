"""Kills and races: whatever is registered is whole, and nothing is half visible."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cpp_framework.errors import StoreError
from cpp_framework.store import REGISTRY, CollectionKind, Store, schema

WRITER = Path(__file__).with_name("writer.py")
ROUNDS = 25


class Writer:
    """The process of `writer.py`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(WRITER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, mode: str, root: Path, n: int = 0) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{mode} {root} {n}\n")
        self._process.stdin.flush()

    def line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        self._process.communicate(timeout=30)


@pytest.fixture
def writer() -> Iterator[Writer]:
    process = Writer()
    yield process
    process.close()


def check_all(store: Store) -> int:
    """Check every registered product against its file; return how many there are."""
    records = store.products()
    for record in records:
        content = store.path(record).read_bytes()
        assert len(content) == record.size
        assert hashlib.sha256(content).hexdigest() == record.sha256
        assert store.header(record).id == record.id
    return len(records)


def test_kill_at_any_moment_leaves_every_registered_product_whole(store: Store, writer: Writer) -> None:
    moment = random.Random(20261123)
    for _ in range(ROUNDS):
        writer.start("put", store.root)
        pid = int(writer.line())
        assert writer.line() == "working"
        time.sleep(moment.uniform(0.0, 0.06))
        os.kill(pid, signal.SIGKILL)
        assert writer.line() == "gone"
        check_all(Store.open(store.root))
    for collection in store.collections():
        # The writer puts detectors 0, then 3 4 5 together, then 6, then 9 10 11 together …
        detectors = sorted(one.detector for one in store.products(run=collection.name))
        if collection.kind is CollectionKind.RUN:
            together = [3 * i + j for i in range(len(detectors)) for j in (range(3) if i % 2 else range(1))]
            assert detectors == together[: len(detectors)]
            assert len(detectors) % 4 in (0, 1), "only a part of a transaction is visible"
    with store._database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
    assert len(store.products()) >= ROUNDS, "a product whose put had returned is not there"


def test_crash_in_a_commit_is_named_for_readers_and_undone_by_a_writer(store: Store, writer: Writer, put) -> None:
    record = put(store)
    writer.start("crash", store.root)
    writer.line()
    assert writer.line() == "gone"
    assert (store.root / f"{REGISTRY}-journal").stat().st_size > 0
    with pytest.raises(StoreError, match="left in the middle of a write") as caught:
        Store.open(store.root, write=False)
    assert "run any cpp command" in caught.value.hint
    mended = Store.open(store.root)
    assert mended.products() == [record]
    assert Store.open(store.root, write=False).products() == [record]
    with mended._database.read() as connection:
        assert connection.execute(schema.raw_digest.select()).first() is None


def test_two_processes_put_the_same_units_and_one_wins_each(store: Store) -> None:
    with store._database.write() as connection:
        row = {"name": "ci_cpp_bias/shared", "kind": "RUN", "created": 0}
        connection.execute(schema.collection.insert(), row)
    writers = [Writer(), Writer()]
    for one in writers:
        one.start("puts", store.root, 60)
    counts = [[int(word) for word in one.line().split()[1::2]] for one in writers]
    for one in writers:
        assert one.line() == "gone"
        one.close()
    assert sum(won for won, _ in counts) == 60
    assert sum(lost for _, lost in counts) == 60
    assert check_all(store) == 60
    assert len(list((store.root / "products").rglob("*.fits"))) == 60
    assert list((store.root / "staging").iterdir()) == []
