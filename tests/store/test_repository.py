"""Making, opening, moving and refusing repositories."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cpp_framework.errors import ConflictError, FormatVersionError, NotFoundError, StoreError
from cpp_framework.store import REGISTRY, Store, find_repository, schema


def test_create_makes_a_repository_once(tmp_path: Path) -> None:
    store = Store.create(tmp_path)
    assert (tmp_path / REGISTRY).is_file()
    assert list((tmp_path / "staging").iterdir()) == []
    assert store.products() == []
    with pytest.raises(ConflictError, match="repository already"):
        Store.create(tmp_path)


def test_open_refuses_what_is_no_registry(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="not a repository"):
        Store.open(tmp_path)
    (tmp_path / REGISTRY).write_text("this is text, not a database " * 100)
    with pytest.raises(StoreError, match="damaged or not an index of cpp"):
        Store.open(tmp_path)
    (tmp_path / REGISTRY).unlink()
    sqlite3.connect(tmp_path / REGISTRY).execute("CREATE TABLE other (a)").connection.close()
    with pytest.raises(StoreError, match="not the index of a cpp repository"):
        Store.open(tmp_path)


def test_newer_format_is_refused_by_name(store: Store) -> None:
    with sqlite3.connect(store.root / REGISTRY) as connection:
        connection.execute("UPDATE schema_version SET version = 99, software = '7.0'")
    connection.close()
    with pytest.raises(FormatVersionError, match=r"format 99, made by cpp-framework 7\.0") as caught:
        Store.open(store.root)
    assert "upgrade" in caught.value.hint


def test_database_settings(store: Store) -> None:
    with store._database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "delete"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        strict = connection.exec_driver_sql("PRAGMA table_list").mappings().all()
    ours = {row["name"]: row["strict"] for row in strict if not row["name"].startswith("sqlite_")}
    assert ours == dict.fromkeys(schema.metadata.tables, 1)
    kinds = {str(column.type) for table in schema.metadata.tables.values() for column in table.columns}
    assert kinds == {"TEXT", "BIGINT"}


def test_strict_tables_refuse_text_in_a_number(store: Store) -> None:
    connection = sqlite3.connect(store.root / REGISTRY)
    with pytest.raises(sqlite3.IntegrityError, match="cannot store TEXT value in INTEGER column"):
        connection.execute("INSERT INTO schema_version VALUES ('a7', '', 0)")
    connection.close()


def test_lock_is_named_after_the_time_allowed(store: Store) -> None:
    waiting = Store.open(store.root, lock_timeout=0.1)
    with store._database.write():
        assert waiting.collections() == []  # readers are not held up by a writer that has not committed
        with pytest.raises(StoreError, match=r"locked: another process has been writing for more than 0\.1 s"):
            waiting.new_run("bias")
    assert waiting.new_run("bias").startswith("ci_cpp_bias/")


def test_read_only_store_reads_and_refuses_to_write(store: Store, put) -> None:
    record = put(store)
    reader = Store.open(store.root, write=False)
    assert reader.product("last") == record
    with pytest.raises(StoreError, match="opened for reading only"):
        reader.new_run("bias")


@contextmanager
def without_permission(root: Path) -> Iterator[None]:
    """Take away every permission to write below ``root`` (from root, by becoming nobody)."""
    for path in [root, *root.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        for path in [root, *root.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)


def test_readers_need_no_permission_to_write(put) -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folder is closed to other users
        Path(name).chmod(0o755)
        store = Store.create(Path(name) / "repo")
        record = put(store)
        with without_permission(store.root):
            reader = Store.open(store.root, write=False)
            assert reader.product(record.short) == record
            assert reader.path(record).read_bytes() == b"content" * 100
            with pytest.raises(StoreError, match="cannot"):
                Store.open(store.root).new_run("bias")
            with pytest.raises(StoreError, match="Permission denied"):
                reader.add_instrument("name: cam", "cam")


def test_repository_can_be_moved(store: Store, put, tmp_path: Path) -> None:
    record = put(store)
    shutil.move(store.root, tmp_path / "elsewhere")
    moved = Store.open(tmp_path / "elsewhere")
    assert moved.by_recipe(record.recipe) == record
    assert moved.path(record).is_relative_to(tmp_path / "elsewhere")


def test_find_repository(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CPP_REPO", raising=False)
    assert find_repository(store.root) == store.root
    monkeypatch.chdir(store.root / "products")
    assert find_repository() == store.root
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFoundError, match="no repository"):
        find_repository()
    monkeypatch.setenv("CPP_REPO", str(store.root))
    assert find_repository() == store.root
    with pytest.raises(NotFoundError, match="--repo names"):
        find_repository(tmp_path)


def test_instruments_are_files_to_edit(store: Store) -> None:
    path = store.add_instrument("name: my cam/1\n", "my cam/1")
    assert path.parent == store.root / "instruments"
    assert store.add_instrument("name: my cam/1\n", "my cam/1") == path
    path.write_text("name: edited\n")
    assert store.instrument_text("my cam/1") == "name: edited\n"
    assert store.instruments() == ["my cam/1"]
    with pytest.raises(ConflictError, match="different"):
        store.add_instrument("name: my cam/1\n", "my cam/1")
    with pytest.raises(NotFoundError, match="it has my cam/1"):
        store.instrument_text("other")
    path.unlink()
    with pytest.raises(NotFoundError, match="is gone"):
        store.instrument_text("my cam/1")


def test_create_refuses_a_folder_whose_registry_is_gone(store: Store, put) -> None:
    put(store)
    (store.root / REGISTRY).unlink()
    with pytest.raises(ConflictError, match="holds products, but its registry"):
        Store.create(store.root)


@pytest.mark.parametrize("damaged", [b"{", b"\xff\xfe"], ids=["json", "utf8"])
def test_damaged_row_is_named(store: Store, put, damaged: bytes) -> None:
    put(store)
    with sqlite3.connect(store.root / REGISTRY) as connection:
        connection.execute("UPDATE product SET provenance = CAST(? AS TEXT), key = CAST(? AS TEXT)", (damaged, damaged))
    connection.close()
    with pytest.raises(StoreError, match=r"^index ") as caught:
        store.header(store.products()[0])
    assert "cpp doctor --rebuild" in caught.value.hint


def test_current_folder_that_is_gone_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CPP_REPO", raising=False)
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for path in (None, "repo"):
        with pytest.raises(NotFoundError, match="the current folder is gone"):
            find_repository(path)
