"""The three stores the framework ships keep every promise of a store."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from cpp_framework.store import Store
from cpp_framework.testing import StoreSuite


class TestEmbedded(StoreSuite):
    """Index in a file of the repository."""

    @pytest.fixture
    def make_store(self, tmp_path: Path) -> Callable[[], Store]:
        number = count()
        return lambda: Store.create(tmp_path / f"repository{next(number)}")


class TestInMemory(StoreSuite):
    """Index in the memory of this process."""

    shared_between_processes = False

    @pytest.fixture
    def make_store(self) -> Callable[[], Store]:
        return Store.in_memory


class TestPostgres(StoreSuite):
    """Index on a PostgreSQL server."""

    kills = 8

    @pytest.fixture
    def make_store(self, tmp_path: Path, postgres: str) -> Callable[[], Store]:
        number = count()
        return lambda: Store.create(tmp_path / f"repository{next(number)}", registry=postgres)
