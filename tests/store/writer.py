"""A process for the crash tests: for every line ``MODE ROOT N`` on stdin it forks a child that works on a repository.

``put`` puts products for ever, ``puts N`` puts N of them and ends, ``crash`` dies in the middle of a commit.
The pid of the child is printed, then for ``put`` a line when its first product is there; for ``puts`` only a line with
what became of them. Forking from a process that has everything imported makes the next child start in milliseconds.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from itertools import count
from pathlib import Path

from cpp_framework.errors import ConflictError
from cpp_framework.model import Header
from cpp_framework.model.identity import digest_of, new_id
from cpp_framework.store import REGISTRY, Store
from cpp_framework.store.clock import now_tai_ns


def put(store: Store, run: str, detectors: list[int]) -> None:
    """Put one product per detector in one transaction; its bytes tell its digest."""
    staged = []
    for detector in detectors:
        content = os.urandom(20_000)
        header = Header(
            id=new_id(), type="bias", revision=1, instrument="cam", detector=detector, run=run, recipe="r",
            key={"detector": detector}, digest=digest_of(content.hex()),
        )  # fmt: skip
        path = store.staging_file("r")
        path.write_bytes(content)
        staged.append((path, header))
    store.put_all(staged)


def put_for_ever(root: Path) -> None:
    store = Store.open(root)
    run = store.new_run("bias")
    for i in count():
        put(store, run, [3 * i, 3 * i + 1, 3 * i + 2] if i % 2 else [3 * i])
        if i == 0:
            print("working", flush=True)


def put_some(root: Path, n: int) -> None:
    """Put ``n`` products into a run all writers share; one that another was faster with is counted as lost."""
    store = Store.open(root)
    won = lost = 0
    for detector in range(n):
        try:
            put(store, "ci_cpp_bias/shared", [detector])
            won += 1
        except ConflictError:
            lost += 1
    print(f"won {won} lost {lost}", flush=True)


def crash_in_commit(root: Path) -> None:
    """Write changed pages into the database file inside a transaction, then die: the journal must undo them."""
    connection = sqlite3.connect(root / REGISTRY, isolation_level=None)
    connection.execute("PRAGMA cache_size = 1")
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("INSERT INTO raw_digest VALUES (?, 0, 0, '')", ((f"{i:06d}" * 50,) for i in range(2000)))
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    now_tai_ns()  # imports astropy.time here, once, and not in every child
    for line in sys.stdin:
        mode, root, n = line.split()
        pid = os.fork()
        if pid == 0:
            if mode == "put":
                put_for_ever(Path(root))
            elif mode == "puts":
                put_some(Path(root), int(n))
            else:
                crash_in_commit(Path(root))
            os._exit(0)
        if mode != "puts":
            print(pid, flush=True)
        os.waitpid(pid, 0)
        print("gone", flush=True)


if __name__ == "__main__":
    main()
