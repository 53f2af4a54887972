"""The registry in SQLite: one file opened so that readers need no permission, or a database in memory.

A rollback journal is used, not a write-ahead log: the latter needs a file beside the database that readers must be
able to write, and it is unsafe on network file systems.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, StaticPool

from cpp_framework.errors import StoreError
from cpp_framework.store.database import LOCK_TIMEOUT, RESTORE, Database


class SqliteDatabase(Database):
    """Transactions on one SQLite file. It holds no connection between them, so it may cross a fork.

    Parameters
    ----------
    path : Path
        The database file; it must exist.
    write : bool
        Whether writing is wanted. False opens the file read-only and needs no permission to write.
    lock_timeout : float
        Seconds to wait for a lock.
    """

    def __init__(self, path: Path, write: bool = True, lock_timeout: float = LOCK_TIMEOUT) -> None:
        self.path = path
        self._timeout = lock_timeout
        self._uri = f"{path.absolute().as_uri()}?mode={'rw' if write else 'ro'}"
        super().__init__(create_engine("sqlite://", creator=self._connect, poolclass=NullPool), str(path), write)
        event.listen(self._engine, "begin", _begin)

    def create_tables(self) -> None:
        """Make the tables in a new file."""
        self.path.touch(exist_ok=False)
        super().create_tables()

    def problems(self) -> list[str]:
        """What SQLite finds wrong with the file."""
        with self.read() as connection:
            return _sqlite_problems(connection)

    @contextmanager
    def _exclusive(self) -> Iterator[Connection]:
        with self._engine.connect() as connection:
            connection = connection.execution_options(begin="BEGIN IMMEDIATE")
            with connection.begin():
                yield connection

    def _connect(self) -> sqlite3.Connection:
        # isolation_level=None: the driver must not begin transactions of its own, `_begin` does.
        connection = sqlite3.connect(self._uri, uri=True, timeout=self._timeout, isolation_level=None)
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = FULL")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _named(self, error: DBAPIError) -> StoreError:
        name = getattr(error.orig, "sqlite_errorname", "")
        where = f"index {self.path}"
        if name.startswith("SQLITE_BUSY") or name.startswith("SQLITE_LOCKED"):
            return StoreError(
                f"{where} is locked: another process has been writing for more than {self._timeout:g} s",
                hint="wait for the other cpp to end, or find it with `fuser` on that file",
            )
        if name == "SQLITE_READONLY_ROLLBACK" or (name == "SQLITE_CANTOPEN" and self._journal.exists()):
            return StoreError(
                f"{where} was left in the middle of a write (by a crash), and this process may not mend it",
                hint="`cpp store gc` mends it (as any command that writes does), run by a user who may write there",
            )
        if name == "SQLITE_FULL":
            return StoreError(f"{where}: the disk is full; nothing was changed", hint="free space and repeat")
        if name.startswith("SQLITE_READONLY") or name == "SQLITE_CANTOPEN":
            return StoreError(
                f"{where} cannot be opened{' for writing' if self._write else ''}: {error.orig}",
                hint=f"check the permissions of {self.path.parent}",
            )
        if name.startswith("SQLITE_IOERR"):
            return StoreError(
                f"{where}: reading or writing failed ({name}); nothing was changed",
                hint="check free space, quota and the limits of file size (`ulimit -f`)",
            )
        if name in ("SQLITE_NOTADB", "SQLITE_CORRUPT"):
            return StoreError(f"{where} is damaged or not an index of cpp: {error.orig}", hint=RESTORE)
        return StoreError(f"{where}: {str(error.orig)[:200]}", hint=RESTORE)

    @property
    def _journal(self) -> Path:
        return self.path.with_name(self.path.name + "-journal")


class MemoryDatabase(Database):
    """A database in the memory of this process: for tests and notebooks. Its threads take turns, readers too."""

    def __init__(self) -> None:
        self._turn = threading.RLock()
        super().__init__(create_engine("sqlite://", creator=_connect_memory, poolclass=StaticPool), "in memory")
        event.listen(self._engine, "begin", _begin)
        self.create_tables()

    def problems(self) -> list[str]:
        """What SQLite finds wrong."""
        with self.read() as connection:
            return _sqlite_problems(connection)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        with self._turn, super().read() as connection:
            yield connection

    @contextmanager
    def _exclusive(self) -> Iterator[Connection]:
        with self._turn, self._engine.begin() as connection:
            yield connection

    def _named(self, error: DBAPIError) -> StoreError:
        return StoreError(f"index in memory: {str(error.orig)[:200]}")


def _connect_memory() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _sqlite_problems(connection: Connection) -> list[str]:
    found = [str(text) for text in connection.exec_driver_sql("PRAGMA integrity_check").scalars() if text != "ok"]
    rows = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    return found + [f"table {row[0]}, row {row[1]}: names a {row[2]} that is not there" for row in rows]


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))
