"""Promises 4, 5, 6 and 9: what processes that work on one repository at the same time see of each other."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from cpp_framework.errors import StoreError
from cpp_framework.model.identity import new_id
from cpp_framework.store import REGISTRY, Store, collections
from cpp_framework.store.files import temporary_path
from cpp_framework.store.garbage import Reason

SHARED = "ci_cpp_bias/20261123T000000Z"


@pytest.fixture
def shared_run(store: Store) -> Store:
    with store._database.write() as connection:
        collections.ensure_run(connection, SHARED)
    return store


def timed(act: Callable[[], object], stop: Callable[[], bool]) -> list[float]:
    """Durations [s] of an act that is repeated until it is told to stop."""
    durations = []
    while not stop():
        begin = time.perf_counter()
        act()
        durations.append(time.perf_counter() - begin)
    return sorted(durations)


def test_promise_4_a_writer_that_takes_long_delays_nobody(store: Store, writer, put) -> None:
    """While a process takes 5 s to write its file, others put within 0.2 s, and readers read."""
    run = store.new_run("bias")
    put(store, run, detector=999, key={"detector": 999})
    writer.start("slow", store.root, 5.0)
    assert writer.line() == "working"
    detectors = iter(range(999))

    def put_one() -> None:
        detector = next(detectors)
        put(store, run, str(detector), detector=detector, key={"detector": detector})

    with ThreadPoolExecutor() as pool:
        ended: Future[str] = pool.submit(writer.line)
        reads = pool.submit(timed, Store.open(store.root, write=False).collections, ended.done)
        puts = timed(put_one, ended.done)
        assert ended.result() == "gone 0"
    for durations in (puts, reads.result()):
        assert len(durations) > 20
        # Disks have moments of their own; a wait for the slow writer would be one of seconds.
        assert durations[int(0.95 * len(durations))] < 0.2
        assert durations[-1] < 1.0
    assert len(store.products()) == len(puts) + 2


def test_promise_5_two_processes_put_the_same_units_and_one_wins_each(shared_run: Store, writers) -> None:
    store, n = shared_run, 60
    for one in writers:
        one.start("puts", store.root, n)
    counts = [[int(word) for word in one.line().split()[1::2]] for one in writers]
    assert [one.line() for one in writers] == ["gone 0"] * len(writers)
    assert sum(won for won, _ in counts) == n
    assert sum(lost for _, lost in counts) == n * (len(writers) - 1)
    assert len(store.products()) == n
    assert store.audit() == []
    assert len(list((store.root / "products").rglob("*.fits"))) == n
    assert list((store.root / "staging").iterdir()) == []


def test_promise_6_readers_of_a_replaced_product_see_the_old_one_or_the_new_one(store: Store, writer, put) -> None:
    """A path is never used again, and a file that was opened stays whole when it is removed."""
    put(store, content="first")
    reader = Store.open(store.root, write=False)
    writer.start("replace", store.root, 100)
    assert writer.line() == "working"
    owner: dict[Path, str] = {}
    whole = gone = 0
    with ThreadPoolExecutor() as pool:
        ended = pool.submit(writer.line)
        while not ended.done():
            for record in reader.products(run="ci_cpp_bias", detector=0):
                path = reader.path(record)
                assert owner.setdefault(path, record.id) == record.id
                try:
                    with path.open("rb") as file:
                        content = file.read(100)
                        time.sleep(0.002)  # the other process goes on
                        content += file.read()
                except FileNotFoundError:
                    gone += 1
                    assert record.id not in {one.id for one in reader.products()}
                    continue
                whole += 1
                assert content in (record.id.encode() * 60, b"first" * 100)
                assert len(content) == record.size
        assert ended.result() == "gone 0"
    assert len(owner) > 20
    assert whole > 20
    assert len(store.products()) == 1


def test_promise_9_garbage_collection_never_takes_what_a_living_writer_writes(shared_run: Store, writers) -> None:
    """Garbage of any age is collected without a pause while others put, and one of them takes long."""
    store = shared_run
    collector = writers[0].start("gc", store.root)
    assert writers[0].line() == "working"
    writers[1].start("slow", store.root, 2.0)
    assert writers[1].line() == "working"
    rounds = 0
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(writers[1].line)
        while not slow.done() or rounds < 2:
            writers[2].start("puts", store.root, 50 * (rounds + 1))  # those that are there already are refused
            assert writers[2].line() == f"won 50 lost {50 * rounds}"
            assert writers[2].line() == "gone 0"
            rounds += 1
        assert slow.result() == "gone 0"
    assert os.kill(collector, 9) is None
    assert writers[0].line() == "gone -9", "the collector ended by an error"
    assert len(store.products()) == 50 * rounds + 1
    assert store.audit() == []


def dead_process() -> int:
    """Number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def orphan(store: Store, run: str, name: str = "bias_cam_det000") -> Path:
    """A published product whose row was never committed."""
    path = store.root / "products" / run / f"{name}_{new_id()[-8:]}.fits"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"content")
    return path


def test_promise_9_what_goes_at_which_age(store: Store, put, monkeypatch: pytest.MonkeyPatch) -> None:
    staging, ours = store.root / "staging", f".{os.getpid()}."
    living = temporary_path(staging, "living")
    dead = staging / temporary_path(staging, "dead").name.replace(ours, f".{dead_process()}.")
    elsewhere = staging / "elsewhere.mountain.1.0123456789ab.part"
    journal = staging / f"{dead.name}-journal"
    for path in (living, dead, elsewhere, journal):
        path.touch()
    published = orphan(store, "ci_cpp_bias/killed")
    record = put(store)

    def collected(older: float) -> dict[str, Reason]:
        dry = Store.open(store.root, write=False).collect_garbage(older, dry_run=True)
        assert all((store.root / one.path).exists() for one in dry.garbage)
        assert store.collect_garbage(older) == dry
        return {Path(one.path).name: one.reason for one in dry.garbage}

    assert collected(86400.0) == dict.fromkeys((dead.name, journal.name), Reason.STAGED)
    assert collected(60.0) == {}
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 3600.0)
    assert collected(3660.0) == {}
    assert collected(3599.0) == {
        elsewhere.name: Reason.STAGED, published.name: Reason.UNNAMED, "killed": Reason.EMPTY
    }  # fmt: skip
    assert collected(0.0) == {}
    assert living.exists()
    assert store.path(record).exists()
    assert not published.parent.exists()


def test_promise_9_what_is_not_ours_is_left_alone_and_named(store: Store, put, tmp_path: Path) -> None:
    run = store.path(put(store)).parent
    (tmp_path / "outside").mkdir()
    precious = tmp_path / "outside" / "bias_cam_det000_0123abcd.fits"
    precious.touch()
    (run / "my_flat.fits").touch()
    (run / "bias_cam_det001_0123abcd.fits").symlink_to(precious)
    (run.parent / "linked").symlink_to(precious.parent)
    (store.root / "products" / "empty").mkdir()
    (store.root / "flags" / "notes.txt").touch()
    (store.root / "staging" / "upload").touch()
    shutil.rmtree(store.root / "ledger")
    (store.root / "ledger").symlink_to(tmp_path / "outside")
    report = store.collect_garbage(older=0.0)
    assert report.garbage == ()
    inside = str(run.relative_to(store.root))
    assert sorted(report.unknown) == sorted([
        f"{inside}/my_flat.fits", f"{inside}/bias_cam_det001_0123abcd.fits", "products/ci_cpp_bias/linked",
        "flags/notes.txt", "staging/upload", "ledger",
    ])  # fmt: skip
    for path in report.unknown:
        assert os.path.lexists(store.root / path)
    assert precious.exists()
    assert (store.root / "products" / "empty").is_dir()


def test_promise_9_an_index_older_than_the_files_loses_no_product(store: Store, put, put_verdict) -> None:
    """Somebody brought an old copy of the index back: what it does not know is not garbage."""
    first = put(store)
    shutil.copy(store.root / REGISTRY, store.root / "copy")
    second = put(store)
    put_verdict(store, second)
    unsure = orphan(store, second.run)
    shutil.copy(store.root / "copy", store.root / REGISTRY)
    report = store.collect_garbage(older=0.0)
    assert report.garbage == ()
    assert report.lost == (second.path,)
    assert store.path(second).exists()
    assert unsure.exists()
    assert store.products() == [first]


def test_promise_9_collector_and_writers_wait_for_each_other_only_so_long(store: Store, put) -> None:
    put(store)
    impatient = Store.open(store.root, lock_timeout=0.1)
    orphan(store, "ci_cpp_bias/killed")
    with store._publishing():
        put(impatient)  # writers share
        with pytest.raises(StoreError, match=r"is locked: files have been published .* more than 0\.1 s"):
            impatient.collect_garbage(older=0.0)
    with store._publishing(alone=True), pytest.raises(StoreError, match="a process has held it alone for more than"):
        put(impatient)
    assert len(impatient.collect_garbage(older=0.0).garbage) == 2
    assert store.audit() == []
