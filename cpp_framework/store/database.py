"""The registry's database: one SQLite file, opened so that readers need no permission and writers take turns.

A rollback journal is used, not a write-ahead log: the latter needs a file beside the database that readers must be
able to write, and it is unsafe on network file systems. Writers begin with ``BEGIN IMMEDIATE``, so that two of them
wait for each other at the start of a transaction and never fail in its middle.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, create_engine, event, inspect, select
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import NullPool

from cpp_framework._version import __version__
from cpp_framework.errors import FormatVersionError, StoreError
from cpp_framework.store import schema
from cpp_framework.store.clock import now_tai_ns

LOCK_TIMEOUT = 60.0
"""Seconds to wait for another writer before giving up."""
_RESTORE = "restore it from a backup"


class Database:
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
        self._write = write
        self._timeout = lock_timeout
        self._uri = f"{path.absolute().as_uri()}?mode={'rw' if write else 'ro'}"
        self._engine = create_engine("sqlite://", creator=self._connect, poolclass=NullPool)
        event.listen(self._engine, "begin", _begin)

    @property
    def writable(self) -> bool:
        """Whether this was opened for writing."""
        return self._write

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads and sees one state of the registry."""
        try:
            with self._translated(), self._engine.begin() as connection:
                yield connection
        except ValueError as error:  # text in a row that is no JSON, or not that of its model
            raise StoreError(
                f"index {self.path} is damaged: a row cannot be read: {str(error)[:200]}", hint=_RESTORE
            ) from error

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that writes: all of it is committed at the end of the block, or nothing.

        Raises
        ------
        StoreError
            Another writer holds the lock, the disk is full, permission is missing, or the file is damaged.
        sqlalchemy.exc.IntegrityError
            A row contradicts one that is there; the caller knows what that means.
        """
        if not self._write:
            raise StoreError(
                f"{self.path} was opened for reading only", hint="open the repository with permission to write"
            )
        with self._translated(), self._engine.connect() as connection:
            connection = connection.execution_options(begin="BEGIN IMMEDIATE")
            with connection.begin():
                yield connection

    def create_tables(self) -> None:
        """Make the tables in a new, empty file."""
        self.path.touch(exist_ok=False)
        with self.write() as connection:
            schema.metadata.create_all(connection)
            row = {"version": schema.SCHEMA_VERSION, "software": __version__, "created": now_tai_ns()}
            connection.execute(schema.schema_version.insert(), row)

    def check_version(self) -> None:
        """Refuse a file that is no registry, or one whose tables this version does not know.

        Raises
        ------
        StoreError
            The file is not a registry.
        FormatVersionError
            A newer version made it.
        """
        with self.read() as connection:
            if not inspect(connection).has_table("schema_version"):
                raise StoreError(
                    f"{self.path} is not the index of a cpp repository", hint="`cpp init` makes a repository"
                )
            row = connection.execute(select(schema.schema_version)).one()
        if row.version > schema.SCHEMA_VERSION:
            raise FormatVersionError(
                f"{self.path} has index format {row.version}, made by cpp-framework {row.software}; "
                f"this is {__version__}, which knows formats up to {schema.SCHEMA_VERSION}",
                hint="upgrade cpp-framework to that version or a newer one",
            )

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

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise
        except DBAPIError as error:
            raise self._named(error) from error

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
                hint="run any cpp command once as a user who may write there",
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
            return StoreError(f"{where} is damaged or not an index of cpp: {error.orig}", hint=_RESTORE)
        return StoreError(f"{where}: {str(error.orig)[:200]}", hint=_RESTORE)

    @property
    def _journal(self) -> Path:
        return self.path.with_name(self.path.name + "-journal")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))
