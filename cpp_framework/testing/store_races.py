"""Promises of a store to many at once: threads and processes that put, certify and take leases at the same moment."""

from __future__ import annotations

import multiprocessing
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Event
from typing import Any, ClassVar
from uuid import uuid4

import pytest

from cpp_framework.errors import ConflictError
from cpp_framework.store import CollectionKind, Store
from cpp_framework.store.leases import Lease
from cpp_framework.testing.base import ContractBrokenError, require
from cpp_framework.testing.store_base import StoreSuiteBase, require_no_overlap, require_same
from cpp_framework.testing.store_builders import NIGHT, build_header, put_product, put_verified, stage
from cpp_framework.testing.store_products import product_files, require_whole

CONTENDERS = 4
ROUNDS = 5
_PATIENCE = 60.0
"""Seconds until a contender who waits for the others gives up."""
_SPAWN = multiprocessing.get_context("spawn")  # the only way to start a process that inherits nothing

Opener = Callable[[], Store]


@dataclass(frozen=True)
class Meeting:
    """A folder in which contenders, threads or processes, leave their marks to wait for each other."""

    folder: Path

    def wait(self, point: str) -> None:
        """Wait until all contenders have come to this point."""
        place = self.folder / point
        place.mkdir(exist_ok=True)
        (place / uuid4().hex).touch()
        deadline = time.monotonic() + _PATIENCE
        while len(list(place.iterdir())) < CONTENDERS:
            require(time.monotonic() < deadline, f"some contender did not come to {point!r} in {_PATIENCE:g} s")
            time.sleep(0.001)


def certify_one(opener: Opener, meeting: Meeting, product: str, begin: int, end: int, supersede: bool) -> bool:
    """Certify a product; return whether that was allowed."""
    store = _opened(opener, meeting)
    try:
        return bool(store.certify([product], begin, end, supersede=supersede))
    except ConflictError:
        return False


def put_one(opener: Opener, meeting: Meeting, run: str, content: str) -> bool:
    """Put the product of detector 0 into a run; return whether that was allowed."""
    store = _opened(opener, meeting)
    try:
        store.put(*stage(store, build_header(run, content), content))
    except ConflictError:
        return False
    return True


def start_run(opener: Opener, meeting: Meeting) -> str:
    """Start a run; return its name."""
    return _opened(opener, meeting).new_run("bias")


def take_lease(opener: Opener, meeting: Meeting, name: str) -> bool:
    """Try to take a lease, and keep it until all have tried; return whether it was given."""
    lease = _opened(opener, meeting).lease(name)
    meeting.wait("tried")
    if lease is not None:
        lease.release()
    return lease is not None


def hold_lease(opener: Opener, name: str, report: Connection) -> None:
    """Take a lease, report whether it was given, and keep it for ever: somebody is going to kill this process."""
    lease = opener().lease(name)
    report.send(lease is not None)
    Event().wait()


def put_pairs_for_ever(opener: Opener, report: Connection) -> None:
    """Put two products at a time, and report when the first are there: somebody is going to kill this process."""
    store = opener()
    for i in count():
        run = store.new_run("bias")
        store.put_all([stage(store, build_header(run, detector=j, key={"detector": j})) for j in range(2)])
        if i == 0:
            report.send(True)


class RaceRules(StoreSuiteBase):
    """Contenders start together, several rounds; whoever wins, what is promised holds."""

    kills: ClassVar[int] = 5
    """How many writers are killed."""

    @classmethod
    def teardown_class(cls) -> None:
        """End the processes."""
        if _started_processes.cache_info().currsize:
            _started_processes().shutdown()
            _started_processes.cache_clear()

    @pytest.fixture
    def threads(self) -> Iterator[Executor]:
        """Threads of this process."""
        with ThreadPoolExecutor(CONTENDERS) as pool:
            yield pool

    @pytest.fixture
    def processes(self) -> Executor:
        """Processes; they stay for all tests of the class."""
        self.needs("shared_between_processes")
        return _started_processes()

    def test_threads_certify_overlapping_ranges(self, store: Store, threads: Executor) -> None:
        """Exactly one wins; nothing ever overlaps."""
        _certify_race(store, threads, lambda: store)

    def test_processes_certify_overlapping_ranges(self, store: Store, processes: Executor) -> None:
        """Exactly one wins; nothing ever overlaps."""
        _certify_race(store, processes, self.opener(store))

    def test_threads_supersede_each_other(self, store: Store, threads: Executor) -> None:
        """All are allowed, one after the other; nothing ever overlaps."""
        _supersede_race(store, threads, lambda: store)

    def test_processes_supersede_each_other(self, store: Store, processes: Executor) -> None:
        """All are allowed, one after the other; nothing ever overlaps."""
        _supersede_race(store, processes, self.opener(store))

    def test_threads_put_the_same_unit(self, store: Store, threads: Executor) -> None:
        """Exactly one wins; the others leave nothing."""
        _put_race(store, threads, lambda: store)

    def test_processes_put_the_same_unit(self, store: Store, processes: Executor) -> None:
        """Exactly one wins; the others leave nothing."""
        _put_race(store, processes, self.opener(store))

    def test_handles_of_one_process_exclude_each_other(self, store: Store, threads: Executor) -> None:
        """Threads that each open the store are as strangers to each other."""
        self.needs("shared_between_processes")
        _certify_race(store, threads, self.opener(store))

    def test_runs_started_at_once_have_different_names(self, store: Store, threads: Executor) -> None:
        """Although they are named by the second."""
        names = [
            name for _ in range(ROUNDS) for name in _together(threads, start_run, lambda: store, [()] * CONTENDERS)
        ]
        require_same(len(set(names)), len(names), f"the number of different names among {names}")

    def test_readers_see_only_what_is_whole(self, store: Store, threads: Executor) -> None:
        """While somebody puts two products at a time, a reader never finds one alone, nor one without its file."""
        done = Event()

        def read() -> int:
            reads = 0
            while not done.is_set() or not reads:
                records = store.products()
                for record in records:
                    require_whole(store, record)
                require(len(records) % 2 == 0, f"a reader saw {len(records)} products of pairs")
                reads += 1
            return reads

        reader = threads.submit(read)
        try:
            for _ in range(20):
                run = store.new_run("bias")
                store.put_all([stage(store, build_header(run, detector=i, key={"detector": i})) for i in range(2)])
        finally:
            done.set()
        require(reader.result() > 0, "the reader was never served")

    def test_a_lease_has_one_holder(self, store: Store) -> None:
        """Others get None until it is given back; leases of other names are independent."""
        handles = [store, self.reopen(store)] if self.shared_between_processes else [store]
        with _lease(store, "recipe"):
            for handle in handles:
                _require_taken(handle, "recipe")
            _lease(handles[-1], "other recipe").release()
        for handle in handles:
            again = _lease(handle, "recipe")
            again.release()
            again.release()

    def test_threads_take_the_same_lease(self, store: Store, threads: Executor) -> None:
        """Exactly one gets it, every time."""
        _lease_race(threads, lambda: store)

    def test_processes_take_the_same_lease(self, store: Store, processes: Executor) -> None:
        """Exactly one gets it, every time."""
        _lease_race(processes, self.opener(store))

    def test_killed_writers_leave_only_what_is_whole(self, store: Store) -> None:
        """Whatever moment they are killed at: pairs of products, each with its file; and others go on."""
        self.needs("shared_between_processes")
        moment = random.Random(20261123)
        for _ in range(self.kills):
            with _doomed(put_pairs_for_ever, self.opener(store)) as report:
                require(report.poll(_PATIENCE), "a writer did not put anything")
                time.sleep(moment.uniform(0.0, 0.05))
            for record in store.products():
                require_whole(store, record)
        sizes = [len(store.products(run=one.name)) for one in store.collections() if one.kind is CollectionKind.RUN]
        require(len(sizes) >= self.kills, f"products of {len(sizes)} runs are there, those of {self.kills} were put")
        require_same(set(sizes), {2}, "the number of products of a run that are visible")
        put_product(store)

    def test_a_lease_ends_with_its_process(self, store: Store) -> None:
        """However it dies."""
        self.needs("shared_between_processes")
        with _doomed(hold_lease, self.opener(store), "recipe") as report:
            require(report.poll(_PATIENCE) and report.recv(), "another process did not get a lease nobody has")
            _require_taken(store, "recipe")
        deadline = time.monotonic() + 10
        while (lease := store.lease("recipe")) is None and time.monotonic() < deadline:
            time.sleep(0.01)  # a server needs a moment to notice
        require(lease is not None, "the lease of a process that was killed is not free after 10 s")
        if lease is not None:
            lease.release()


@contextmanager
def _doomed(act: Callable[..., None], opener: Opener, *arguments: Any) -> Iterator[Connection]:
    """A process that is killed at the end of the block, and what it reports."""
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=act, args=(opener, *arguments, theirs))
    process.start()
    try:
        yield ours
    finally:
        process.kill()
        process.join()
        process.close()


@cache
def _started_processes() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(CONTENDERS, mp_context=_SPAWN)


def _certify_race(store: Store, contenders: Executor, opener: Opener) -> None:
    for i in range(ROUNDS):
        begin = i * 10 * NIGHT
        products = [put_verified(store) for _ in range(CONTENDERS)]
        calls = [(one.id, begin + j * NIGHT, begin + 5 * NIGHT, False) for j, one in enumerate(products)]
        won = _together(contenders, certify_one, opener, calls)
        require_same(sum(won), 1, f"the number of winners in round {i} of overlapping certifications")
        require_no_overlap(store.validities())
        (valid,) = [one for one in store.validities() if one.begin is not None and one.begin >= begin]
        require_same(valid.product, products[won.index(True)].id, "the product in force")
    require_same([one.sequence for one in store.ledger()], list(range(1, ROUNDS + 1)), "the numbers of the lines")


def _supersede_race(store: Store, contenders: Executor, opener: Opener) -> None:
    for _ in range(ROUNDS):
        products = [put_verified(store) for _ in range(CONTENDERS)]
        calls = [(one.id, j * NIGHT, (j + 3) * NIGHT, True) for j, one in enumerate(products)]
        won = _together(contenders, certify_one, opener, calls)
        require_same(won, [True] * CONTENDERS, "whether the contenders were allowed to supersede each other")
        require_no_overlap(store.validities())
    numbers = [one.sequence for one in store.ledger()]
    require_same(numbers, list(range(1, len(numbers) + 1)), "the numbers of the lines")


def _put_race(store: Store, contenders: Executor, opener: Opener) -> None:
    for i in range(ROUNDS):
        run = store.new_run("bias")
        put_product(store, run, detector=9, key={"detector": 9})
        won = _together(contenders, put_one, opener, [(run, f"content {j}") for j in range(CONTENDERS)])
        require_same(sum(won), 1, f"the number of winners in round {i} of equal puts")
        records = store.products(run=run, detector=0)
        require_same(len(records), 1, "the number of products of the unit")
        require_whole(store, records[0])
    require_same(product_files(store), sorted(map(store.path, store.products())), "the files of the products")
    require_same(list((store.root / "staging").iterdir()), [], "what is left in the staging folder")


def _lease_race(contenders: Executor, opener: Opener) -> None:
    for i in range(ROUNDS):
        given = _together(contenders, take_lease, opener, [(f"recipe {i}",)] * CONTENDERS)
        require_same(sum(given), 1, f"the number of holders of one lease in round {i}")


def _lease(store: Store, name: str) -> Lease:
    """Take a lease nobody has."""
    lease = store.lease(name)
    if lease is None:
        raise ContractBrokenError(f"the lease {name!r}, which nobody has, was refused")
    return lease


def _require_taken(store: Store, name: str) -> None:
    """Raise `ContractBrokenError` if a lease that somebody has is given once more."""
    lease = store.lease(name)
    if lease is not None:
        lease.release()
    require(lease is None, f"the lease {name!r} was given although somebody has it")


def _together(contenders: Executor, act: Callable[..., Any], opener: Opener, calls: Sequence[tuple[Any, ...]]) -> Any:
    """Let all contenders act at once, each with its arguments; return what became of each."""
    with tempfile.TemporaryDirectory() as folder:
        futures = [contenders.submit(act, opener, Meeting(Path(folder)), *arguments) for arguments in calls]
        return [future.result() for future in futures]


def _opened(opener: Opener, meeting: Meeting) -> Store:
    """Open the store, then wait for the others."""
    store = opener()
    meeting.wait("ready")
    return store
