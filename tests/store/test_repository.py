"""Making, opening, moving and refusing repositories."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from cpp_framework.errors import ConflictError, NotFoundError, StoreError
from cpp_framework.store import REGISTRY, Store, find_repository


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
