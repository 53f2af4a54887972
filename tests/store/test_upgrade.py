"""Upgrading the index of older formats, on repositories that the code of these formats has made."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tarfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from cpp_framework.errors import ConflictError, FormatVersionError, StoreError
from cpp_framework.model import fits as product_fits
from cpp_framework.store import REGISTRY, CollectionKind, Store
from cpp_framework.store.schema import FORMAT_VERSION
from cpp_framework.store.upgrade import STEPS, Upgraded, upgrade

EXAMPLES = Path(__file__).with_name("examples")
GOOD, BAD = "dd80cfb7", "89100c2c"
"""The products of format 1: the verdict of one is PASS, of the other FAIL."""

Content = dict[str, list[tuple[Any, ...]]]


def extract(version: int, folder: Path) -> Path:
    """The repository of an older format."""
    with tarfile.open(EXAMPLES / f"format{version}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "repo"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return extract(1, tmp_path)


def content(index: Path) -> Content:
    """All rows of an index by table; the file must be sound."""
    with closing(sqlite3.connect(f"{index.as_uri()}?mode=ro", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names}


def definitions(index: Path) -> set[tuple[str, str]]:
    """Names and definitions of the tables, indexes and triggers of an index."""
    with closing(sqlite3.connect(index)) as connection:
        return set(connection.execute("SELECT name, sql FROM sqlite_master"))


def version_of(rows: Content) -> int:
    ((version, _, _),) = rows["schema_version"]
    return int(version)


def test_there_is_a_step_and_an_example_for_every_older_format() -> None:
    assert set(STEPS) == set(range(1, FORMAT_VERSION))
    assert {path.name for path in EXAMPLES.glob("*.gz")} == {f"format{version}.tar.gz" for version in STEPS}


@pytest.mark.parametrize("version", STEPS)
def test_promise_11_an_older_index_is_refused_until_it_is_upgraded(version: int, tmp_path: Path) -> None:
    root = extract(version, tmp_path)
    before = content(root / REGISTRY)
    for write in (True, False):
        with pytest.raises(FormatVersionError, match=f"index format {version}, made by cpp-framework") as caught:
            Store.open(root, write=write)
        assert caught.value.exit_code == 5
        assert "cpp store upgrade" in caught.value.hint
    done = upgrade(root)
    assert (done.before, done.after) == (version, FORMAT_VERSION)
    after = content(root / REGISTRY)
    assert version_of(after) == FORMAT_VERSION
    assert {name: after[name] for name in before if name != "schema_version"} == {
        name: rows for name, rows in before.items() if name != "schema_version"
    }
    fresh = Store.create(tmp_path / "fresh")
    assert definitions(root / REGISTRY) == definitions(fresh.root / REGISTRY)
    assert {path.name for path in fresh.root.iterdir()} <= {path.name for path in root.iterdir()}
    assert Store.open(root).audit() == []


def test_what_format_1_held_is_the_same_afterwards(old: Path) -> None:
    upgrade(old)
    store = Store.open(old)
    good, bad = store.product(GOOD), store.product(BAD)
    assert [one.short for one in store.products()] == [BAD, GOOD]
    assert [store.outcomes()[one.id] for one in (good, bad)] == ["PASS", "FAIL"]
    for one in (good, bad):
        assert store.header(one) == product_fits.read_header(store.path(one))[0]
        assert len(store.header(one).inputs) == 4
    assert [one.bad for one in store.exposures("simcam")] == [False, False, False, True]
    assert store.flags("SC_20261122_00004")[0].because
    assert store.instruments() == ["simcam"]
    kinds = [one.kind for one in store.collections()]
    assert kinds == [CollectionKind.RUN] * 2 + [CollectionKind.CHAINED] * 2


def test_certification_works_after_the_upgrade(old: Path) -> None:
    upgrade(old)
    store = Store.open(old)
    good = store.product(GOOD)
    store.certify([GOOD], 0, 100)
    best = store.best("bias", "simcam", 0, 50, good.key)
    assert best is not None
    assert best.product == good.id
    with pytest.raises(ConflictError, match="has the verdict FAIL"):
        store.certify([BAD], 100, 200)
    with pytest.raises(ConflictError, match="is certified in simcam/calib"):
        store.remove(GOOD, "no reason")
    assert store.audit() == []


def test_the_old_index_is_kept_beside_the_new_one(old: Path) -> None:
    before = content(old / REGISTRY)
    done = upgrade(old)
    assert done.copy is not None
    assert done.copy.parent == old
    assert done.copy.name.startswith(f"{REGISTRY}.format1-")
    assert content(done.copy) == before
    shutil.copy(done.copy, old / REGISTRY)  # the way back
    with pytest.raises(FormatVersionError):
        Store.open(old)
    assert upgrade(old).copy not in (None, done.copy)


def test_an_index_of_the_present_format_is_left_alone(store: Store) -> None:
    before = (store.root / REGISTRY).read_bytes()
    assert upgrade(store.root) == Upgraded(FORMAT_VERSION, FORMAT_VERSION)
    assert (store.root / REGISTRY).read_bytes() == before
    assert list(store.root.glob(f"{REGISTRY}.*")) == []


def test_a_newer_index_is_refused(store: Store) -> None:
    with closing(sqlite3.connect(store.root / REGISTRY)) as connection:
        connection.execute("UPDATE schema_version SET version = 99, software = '7.0'")
        connection.commit()
    with pytest.raises(FormatVersionError, match=r"format 99, made by cpp-framework 7\.0"):
        upgrade(store.root)


def test_killed_at_any_step_the_index_is_the_old_or_the_new_one(old: Path, writer, tmp_path: Path) -> None:
    before = content(old / REGISTRY)
    versions = []
    for step in count():
        root = shutil.copytree(old, tmp_path / f"killed{step}")
        end = writer.run("upgrade", root, step)
        recovered(root)
        rows = content(root / REGISTRY)
        versions.append(version_of(rows))
        assert {name: rows[name] for name in before if name != "schema_version"} == {
            name: rows for name, rows in before.items() if name != "schema_version"
        }
        assert all(content(copy) == before for copy in root.glob(f"{REGISTRY}.format1-*Z"))
        done = upgrade(root)
        assert done.after == FORMAT_VERSION
        store = Store.open(root)
        assert [one.short for one in store.products()] == [BAD, GOOD]
        store.collect_garbage(older=0.0)
        assert store.audit() == []
        assert list((root / "staging").iterdir()) == []
        if end == "gone 0":
            break
        assert end == "gone -9"
    assert versions.count(1) >= 8
    assert versions[-1] == FORMAT_VERSION


def recovered(root: Path) -> None:
    """Let SQLite undo what a kill left half-done, as the next writer does."""
    with closing(sqlite3.connect(root / REGISTRY)) as connection:
        connection.execute("SELECT * FROM schema_version").fetchall()


def test_two_upgrades_at_once_are_one(old: Path) -> None:
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(upgrade, [old] * 4))
    assert sorted(one.before for one in done) == [1, *[FORMAT_VERSION] * 3]
    assert len(list(old.glob(f"{REGISTRY}.format1-*"))) == 1
    assert Store.open(old).audit() == []


def test_a_held_lock_is_named(old: Path) -> None:
    with closing(sqlite3.connect(old / REGISTRY, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked: another process has been writing"):
            upgrade(old, lock_timeout=0.1)
    assert upgrade(old).before == 1


def test_a_repository_that_cannot_be_written_is_named_and_stays(open_folder: Path, without_permission) -> None:
    root = extract(1, open_folder)
    before = (root / REGISTRY).read_bytes()
    with without_permission(root), pytest.raises(StoreError, match="ledger: Permission denied"):
        upgrade(root)
    assert (root / REGISTRY).read_bytes() == before
    assert sorted(path.name for path in root.glob(f"{REGISTRY}*")) == [REGISTRY]
    assert upgrade(root).before == 1


@pytest.mark.parametrize("limit", [1000, 100_000, 180_000])
def test_a_disk_that_is_full_is_named_and_the_index_stays(old: Path, file_size_limit, limit: int) -> None:
    """Full while the copy is made, and while the index is written."""
    before = content(old / REGISTRY)
    with file_size_limit(limit), pytest.raises(StoreError, match="nothing was changed"):
        upgrade(old)
    assert content(old / REGISTRY) == before
    assert list((old / "staging").iterdir()) == []
    assert upgrade(old).before == 1
    assert os.path.lexists(old / "ledger")
