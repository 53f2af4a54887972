"""A process for the tests of promises: for every line ``[MODE, ROOT, …]`` (JSON) on stdin it forks a child.

The child works on the repository ROOT:

===================  ==================================================================================
``acts`` WHO LOG N   does random acts (seed N) for ever, telling LOG of each before and after it is done
``act`` ACT STEP     does one act and is killed at its durable step of this number, from 0
``puts`` N           puts N products into the run `SHARED`; prints how many it won and lost
``slow`` SECONDS     takes that long to write a file, then puts it
``replace`` N        removes a product and puts the next one in its place, N times
``gc``               collects garbage of any age for ever
``upgrade`` STEP     upgrades the index and is killed at its durable step of this number, from 0
``crash``            dies in the middle of a commit
===================  ==================================================================================

Printed are the child's pid, what it prints itself, and when it has ended ``gone`` and its status. Forking from a
process that has everything imported makes the next child start in milliseconds.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from cpp_framework.errors import ConflictError
from cpp_framework.model import Check, Exposure, Header, InputRecord, Level, Verdict
from cpp_framework.model.identity import digest_of, new_id
from cpp_framework.store import REGISTRY, RawFile, Store
from cpp_framework.store.clock import now_tai_ns
from cpp_framework.store.upgrade import upgrade

SHARED = "ci_cpp_bias/20261123T000000Z"
KINDS = {
    "put": 6, "verdict": 2, "certify": 2, "decertify": 2, "tag": 1, "untag": 1, "flag": 1, "ingest": 1,
    "remove": 4, "gc": 1,
}  # fmt: skip
"""Acts, and how often each is chosen."""
MANY = 20
"""Products of one worker, above which it rather removes some."""

Act = dict[str, Any]


def stage(store: Store, identifier: str, run: str, detector: int, instrument: str = "cam") -> tuple[Path, Header]:
    """Write a product file whose bytes tell its id."""
    inputs = tuple(InputRecord(exposure=f"e{i}", number=i, selection="bias", digest=f"d{i}") for i in range(2))
    header = Header(
        id=identifier, type="bias", revision=1, instrument=instrument, detector=detector, run=run, recipe="r" * 64,
        key={"detector": detector}, digest=digest_of(identifier), inputs=inputs,
    )  # fmt: skip
    path = store.staging_file(header.recipe)
    path.write_bytes(identifier.encode() * 60)
    return path, header


def do(store: Store, act: Act) -> None:
    """Do one act; the tests know what the repository is like after it."""
    match act["act"]:
        case "put":
            rows = [stage(store, one, act["run"], detector, act["who"]) for one, detector in act["products"]]
            store.put_all(rows)
        case "verdict":
            check = Check(name="level", level=Level.DETECTOR, value=1.0)
            record = store.product(act["product"])
            store.put_verdict(
                Verdict(id=act["id"], product=record.id, digest=record.digest, type="bias", checks=(check,))
            )
        case "certify":
            begin, end = act["begin"], act["end"]
            store.certify(act["products"], begin, end, collection="calib", supersede=True, who=act["who"])
        case "decertify":
            store.decertify(act["products"], act["begin"], act["end"], collection="calib", who=act["who"])
        case "tag":
            store.tag("best", act["products"], who=act["who"])
        case "untag":
            store.untag("best", act["products"], who=act["who"])
        case "flag":
            store.flag(f"E_{act['who']}", True, act["because"])
        case "ingest":
            one = Exposure(
                instrument=act["who"], detector=0, id=act["id"], number=1, kind="bias", exposure_time=0.0,
                dark_time=0.0, begin=1, day_obs=20261123,
            )  # fmt: skip
            store.ingest([RawFile(Path("/raw") / act["id"], 1, 1, (one,))])
        case "remove":
            store.remove_all(act["products"], "no reason", who=act["who"])
        case "gc":
            store.collect_garbage(older=0.0)


class Worker:
    """Chooses acts on the products of its own instrument ``who``."""

    def __init__(self, store: Store, who: str, seed: int) -> None:
        self._store = store
        self._who = who
        self._random = random.Random(seed)
        self._run = store.new_run("bias")
        self._detector = count()

    def acts(self) -> Iterator[Act]:
        while True:
            act = self._act(*self._random.choices(list(KINDS), list(KINDS.values())))
            if act is not None:
                yield act | {"who": self._who}

    def _act(self, kind: str) -> Act | None:
        store, some = self._store, self._random.sample
        records = store.products(instrument=self._who)
        there = [one.id for one in records]
        valid = [one for one in store.validities("calib") if one.product in there]
        certified = {one.product for one in valid}
        tagged = [one.id for one in store.products(run="best") if one.id in there]
        # Of two products of one detector only one can be certified at a time.
        good = store.outcomes()
        verified = {one.detector: one.id for one in records if one.id in good and one.id not in certified}
        match kind:
            case "put" if len(there) < MANY:
                products = [(new_id(), next(self._detector)) for _ in range(self._random.choice((1, 1, 3)))]
                return {"act": kind, "run": self._run, "products": products}
            case "verdict" if there:
                return {"act": kind, "product": self._random.choice(there), "id": new_id()}
            case "certify" if verified:
                begin = 10 * self._random.randrange(10)
                chosen = some(list(verified.values()), min(2, len(verified)))
                return {"act": kind, "products": chosen, "begin": begin, "end": begin + 50}
            case "decertify" if valid:
                one = self._random.choice(valid)
                begin, end = self._random.choice(((None, None), (one.begin, one.begin + 5)))
                return {"act": kind, "products": [one.product], "begin": begin, "end": end}
            case "tag" if left := [one for one in there if one not in tagged]:
                return {"act": kind, "products": some(left, min(2, len(left)))}
            case "untag" if tagged:
                return {"act": kind, "products": [tagged[0]]}
            case "flag":
                return {"act": kind, "because": new_id()}
            case "ingest":
                return {"act": kind, "id": new_id()}
            case "remove" if free := [one for one in there if one not in certified and one not in tagged]:
                return {"act": kind, "products": some(free, min(self._random.choice((1, 2)), len(free)))}
            case "gc":
                return {"act": kind}
        return None


def random_acts(root: Path, who: str, log: str, seed: int) -> None:
    store = Store.open(root)
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for i, act in enumerate(Worker(store, who, seed).acts()):
        os.write(file, f"{json.dumps(act)}\n".encode())
        do(store, act)
        os.write(file, b"done\n")
        if i == 0:
            print("working", flush=True)


def one_act(root: Path, act: Act, step: int) -> None:
    store = Store.open(root)
    die_at(step)
    do(store, act)


def upgrade_index(root: Path, step: int) -> None:
    die_at(step)
    upgrade(root)


def die_at(step: int) -> None:
    """Let this process be killed when it comes to its durable step of this number: flush, name, removal or commit."""
    left = step

    def count_down(*_: object) -> None:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            count_down()
            return function(*arguments, **keywords)

        return call

    for name in ("fsync", "link", "rename", "replace", "unlink", "rmdir"):
        setattr(os, name, counted(getattr(os, name)))
    event.listen(Engine, "commit", count_down)


def put_into_shared_run(root: Path, n: int) -> None:
    """Put ``n`` products into a run all writers share; one that another was faster with is counted as lost."""
    store = Store.open(root)
    won = lost = 0
    for detector in range(n):
        try:
            store.put(*stage(store, new_id(), SHARED, detector))
            won += 1
        except ConflictError:
            lost += 1
    print(f"won {won} lost {lost}", flush=True)


def put_slowly(root: Path, seconds: float) -> None:
    store = Store.open(root)
    path, header = stage(store, new_id(), store.new_run("bias"), 0)
    print("working", flush=True)
    end = time.monotonic() + seconds
    with path.open("ab") as file:
        while time.monotonic() < end:
            file.write(bytes(65536))
            os.fsync(file.fileno())
            time.sleep(0.05)
    store.put(path, header)


def replace_for_a_while(root: Path, n: int) -> None:
    """Replace the product of a unit: put the new one, then remove the old one, or the other way round in one run."""
    store = Store.open(root)
    print("working", flush=True)
    for i in range(n):
        (old,) = store.products(run="ci_cpp_bias", detector=0)
        run = old.run if i % 2 else store.new_run("bias")
        new = stage(store, new_id(), run, 0)
        if i % 2:
            store.remove(old.id, "worse")
            store.put(*new)
        else:
            store.put(*new)
            store.remove(old.id, "worse")


def collect_for_ever(root: Path) -> None:
    store = Store.open(root)
    print("working", flush=True)
    while True:
        store.collect_garbage(older=0.0)


def crash_in_commit(root: Path) -> None:
    """Write changed pages into the database file inside a transaction, then die: the journal must undo them."""
    connection = sqlite3.connect(root / REGISTRY, isolation_level=None)
    connection.execute("PRAGMA cache_size = 1")
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("INSERT INTO raw_digest VALUES (?, 0, 0, '')", ((f"{i:06d}" * 50,) for i in range(2000)))
    os.kill(os.getpid(), signal.SIGKILL)


MODES: dict[str, Callable[..., None]] = {
    "acts": random_acts,
    "act": one_act,
    "puts": put_into_shared_run,
    "slow": put_slowly,
    "replace": replace_for_a_while,
    "gc": collect_for_ever,
    "upgrade": upgrade_index,
    "crash": crash_in_commit,
}


def main() -> None:
    now_tai_ns()  # imports astropy.time here, once, and not in every child
    for line in sys.stdin:
        mode, root, *rest = json.loads(line)
        pid = os.fork()
        if pid == 0:
            print(os.getpid(), flush=True)
            MODES[mode](Path(root), *rest)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        print(f"gone {os.waitstatus_to_exitcode(status)}", flush=True)


if __name__ == "__main__":
    main()
