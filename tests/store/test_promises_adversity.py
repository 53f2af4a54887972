"""Promises 11, 12 and 13: wrong types, other formats, full disks, missing permission, held locks, half-done commits."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import func, select

from cpp_framework.errors import FormatVersionError, StoreError
from cpp_framework.model import Check, Level, Verdict
from cpp_framework.model.identity import new_id
from cpp_framework.store import REGISTRY, ProductRecord, RawFile, Store, schema
from cpp_framework.store.audit import Problem

Trouble = AbstractContextManager[object]
QUIET: Trouble = nullcontext()
ACTS = ("run", "put", "verdict", "flag", "certify", "tag", "remove", "ingest", "instrument")


class Desk:
    """A repository to try every act on that writes."""

    def __init__(self, store: Store, make_header, make_exposure) -> None:
        self.store = store
        self._run = self.store.new_run("bias")
        self._make_header = make_header
        self._make_exposure = make_exposure
        self._number = count(1)
        self.ready("ingest")()

    def ready(self, act: str) -> Callable[[], object]:
        """Make ready what an act needs, and return the act: it writes what the store writes, and nothing else."""
        store, number = self.store, next(self._number)
        match act:
            case "run":
                return lambda: store.new_run("dark")
            case "flag":
                return lambda: store.flag("1", True, "door open")
            case "instrument":
                return lambda: store.add_instrument(f"name: cam{number}", f"cam{number}")
            case "ingest":
                first = 1000 * number - 999
                files = [RawFile(Path(f"/raw/{i}"), 1, 1, (self._make_exposure(i),)) for i in range(first, first + 50)]
                return lambda: store.ingest(files)
            case "put":
                header = self._make_header(self._run, str(number), detector=number, key={"detector": number})
                staged = store.staging_file(header.recipe)
                staged.write_bytes(b"content")
                return lambda: store.put(staged, header)
        record = self.ready("put")()
        assert isinstance(record, ProductRecord)
        check = Check(name="level", level=Level.DETECTOR, value=1.0)
        verdict = Verdict(id=new_id(), product=record.id, digest=record.digest, type="bias", checks=(check,))
        if act == "verdict":
            return lambda: store.put_verdict(verdict)
        store.put_verdict(verdict)
        return {
            "certify": lambda: store.certify([record.id], 0, 10),
            "tag": lambda: store.tag("best", [record.id]),
            "remove": lambda: store.remove(record.id, "no reason"),
        }[act]

    def rows(self) -> dict[str, int]:
        """Numbers of rows of all tables."""
        with self.store._database.read() as connection:
            tables = schema.metadata.tables.items()
            return {
                name: connection.execute(select(func.count()).select_from(table)).scalar_one() for name, table in tables
            }

    def works(
        self, act: Callable[[], object], match: str = "", trouble: AbstractContextManager[object] = QUIET
    ) -> bool:
        """Whether an act works in a trouble; if not, check that the error is named and that nothing has changed."""
        before, error = self.rows(), None
        try:
            with trouble:
                act()
        except StoreError as caught:
            error = caught
        if error is None:
            assert self.rows() != before
            return True
        assert re.search(match, str(error)), error
        assert error.hint
        assert self.rows() == before
        return False

    def check(self) -> None:
        """Check that nothing is lost, and every act works."""
        assert self.store.audit() == []
        staged = list((self.store.root / "staging").iterdir())
        for act in ACTS:
            assert self.works(self.ready(act))
        assert list((self.store.root / "staging").iterdir()) == staged
        self.store.collect_garbage(older=0.0)
        assert self.store.audit() == []


@pytest.fixture
def desk(store: Store, make_header, make_exposure) -> Desk:
    return Desk(store, make_header, make_exposure)


def test_promise_11_all_tables_are_strict_and_hold_integers_and_text(store: Store) -> None:
    with store._database.read() as connection:
        tables = connection.exec_driver_sql("PRAGMA table_list").mappings().all()
    ours = {row["name"]: row["strict"] for row in tables if not row["name"].startswith("sqlite_")}
    assert ours == dict.fromkeys(schema.metadata.tables, 1)
    kinds = {str(column.type) for table in schema.metadata.tables.values() for column in table.columns}
    assert kinds == {"TEXT", "BIGINT"}


def test_promise_11_text_in_a_column_of_numbers_is_refused(store: Store) -> None:
    connection = sqlite3.connect(store.root / REGISTRY)
    with pytest.raises(sqlite3.IntegrityError, match="cannot store TEXT value in INTEGER column"):
        connection.execute("INSERT INTO schema_version VALUES ('a7', '', 0)")
    connection.close()


def test_promise_11_a_newer_format_is_refused_by_name(store: Store) -> None:
    with sqlite3.connect(store.root / REGISTRY) as connection:
        connection.execute("UPDATE schema_version SET version = 99, software = '7.0'")
    connection.close()
    with pytest.raises(FormatVersionError, match=r"format 99, made by cpp-framework 7\.0") as caught:
        Store.open(store.root)
    assert "upgrade" in caught.value.hint


def test_promise_12_files_that_may_not_grow(desk: Desk, file_size_limit) -> None:
    """Every act under limits that let it fail at different moments: its own file, the journal, the index."""
    failed: Counter[str] = Counter()
    index = (desk.store.root / REGISTRY).stat().st_size
    for limit in (10, 600, 5000, 13_000, index - 1, index, index + 4096):
        for name in ACTS:
            match = "larger than this process may write|nothing was changed"
            failed[name] += not desk.works(desk.ready(name), match, file_size_limit(limit))
        assert desk.store.audit() == []
    assert set(failed.elements()) == set(ACTS)
    desk.check()


@contextmanager
def small_disk() -> Iterator[Path]:
    """A disk of 2 MB, where this process may mount one."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=755", "cpp-test", folder]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
            pytest.skip("mounting a small disk needs root; the limit of file sizes is tried in any case")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


def test_promise_12_full_disk(make_header, make_exposure) -> None:
    """Every act with 0, 4, 8 … kB left, so that the disk is full at every moment of it."""
    with small_disk() as disk:
        desk = Desk(Store.create(disk / "repo"), make_header, make_exposure)
        failed: Counter[str] = Counter()
        for left in (*range(16), 24, 32, 48):
            for name in ACTS:
                match = "disk or quota is full|disk is full|nothing was changed"
                failed[name] += not desk.works(desk.ready(name), match, only_left(disk, left))
        print(dict(failed))
        assert set(failed.elements()) == set(ACTS)
        desk.check()


@contextmanager
def only_left(disk: Path, blocks: int) -> Iterator[None]:
    """Fill a disk up to some blocks of 4 kB."""
    ballast = disk / "ballast"
    ballast.write_bytes(bytes((os.statvfs(disk).f_bavail - blocks) * 4096))
    try:
        yield
    finally:
        ballast.unlink()


def test_promise_12_missing_permission(open_folder: Path, without_permission, make_header, make_exposure) -> None:
    desk = Desk(Store.create(open_folder / "repo"), make_header, make_exposure)
    acts = [desk.ready(name) for name in ACTS]
    with without_permission(desk.store.root):
        for act in acts:
            assert not desk.works(act, "cannot be opened for writing|Permission denied")
        assert desk.store.audit() == []
    desk.check()


def test_promise_12_a_lock_that_is_held(store: Store, make_header, make_exposure) -> None:
    desk = Desk(Store.open(store.root, lock_timeout=0.1), make_header, make_exposure)
    acts = [desk.ready(name) for name in ACTS]
    with store._database.write():
        for act in acts:
            assert not desk.works(act, r"is locked: another process has been writing for more than 0\.1 s")
    assert desk.store.audit() == []
    desk.check()


def test_promise_13_the_index_is_one_file(store: Store, put) -> None:
    """No write-ahead log: readers would have to write beside the index, and network file systems do not bear it."""
    put(store)
    with store._database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "delete"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        assert [path.name for path in store.root.glob(f"{REGISTRY}*")] == [REGISTRY]


def test_promise_13_readers_need_no_permission_to_write(open_folder: Path, without_permission, put) -> None:
    store = Store.create(open_folder / "repo")
    record = put(store)
    with without_permission(store.root):
        reader = Store.open(store.root, write=False)
        assert reader.product(record.short) == record
        assert reader.path(record).read_bytes() == b"content" * 100
        assert reader.audit() == []
        assert reader.collect_garbage(older=0.0, dry_run=True).garbage == ()


def test_promise_13_a_store_opened_for_reading_refuses_to_write(store: Store, put) -> None:
    record = put(store)
    reader = Store.open(store.root, write=False)
    assert reader.product("last") == record
    with pytest.raises(StoreError, match="opened for reading only"):
        reader.new_run("bias")
    with pytest.raises(StoreError, match="opened for reading only"):
        reader.remove(record.id, "no reason")
    assert store.product("last") == record


def test_promise_13_after_a_kill_in_a_commit_readers_are_told_until_a_writer_has_mended_it(
    open_folder: Path, without_permission, writer, put
) -> None:
    store = Store.create(open_folder / "repo")
    record = put(store)
    assert writer.run("crash", store.root) == "gone -9"
    assert (store.root / f"{REGISTRY}-journal").stat().st_size > 0
    for reader in ("with permission", "without"):
        with without_permission(store.root) if reader == "without" else nullcontext():
            with pytest.raises(StoreError, match="left in the middle of a write") as caught:
                Store.open(store.root, write=False)
            assert "cpp store gc" in caught.value.hint
    mended = Store.open(store.root)
    assert mended.products() == [record]
    assert Store.open(store.root, write=False).products() == [record]
    with mended._database.read() as connection:
        assert connection.execute(schema.raw_digest.select()).first() is None
    assert mended.audit() == []


def test_promise_3_a_file_that_cannot_be_read_is_a_problem(open_folder: Path, without_permission, put) -> None:
    store = Store.create(open_folder / "repo")
    record = put(store)
    with without_permission(store.root, readable=False):
        (problem,) = Store.open(store.root, write=False).audit()
    assert problem == Problem(f"bias {record.short}", record.path, "a file that can be read", "Permission denied")
