"""Transactions on the registry's database, whatever keeps it: what SQLite and PostgreSQL have in common.

Writers take turns from the beginning of their transaction, so that two of them wait for each other at its start and
never fail in its middle; readers see one state. No connection is held between transactions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import ClassVar

from sqlalchemy import Connection, Engine, inspect, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from cpp_framework._version import __version__
from cpp_framework.errors import FormatVersionError, StoreError
from cpp_framework.store import schema
from cpp_framework.store.clock import now_tai_ns
from cpp_framework.store.leases import Lease, try_lease

LOCK_TIMEOUT = 60.0
"""Seconds to wait for another writer before giving up."""
RESTORE = "restore it from a backup, or `cpp doctor --rebuild` makes it anew from the files"


class Database(ABC):
    """Transactions on one registry; ``name`` is what messages call it."""

    restore_hint: ClassVar[str] = RESTORE

    def __init__(self, engine: Engine, name: str, write: bool = True) -> None:
        self._engine = engine
        self._write = write
        self.name = name

    @property
    def writable(self) -> bool:
        """Whether this was opened for writing."""
        return self._write

    @property
    def dialect(self) -> str:
        """Name of the SQL dialect: ``sqlite`` or ``postgresql``."""
        return self._engine.dialect.name

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads and sees one state of the registry."""
        try:
            with self._translated(), self._engine.begin() as connection:
                yield connection
        except ValueError as error:  # text in a row that is no JSON, or not that of its model
            raise StoreError(
                f"index {self.name} is damaged: a row cannot be read: {str(error)[:200]}", hint=self.restore_hint
            ) from error

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that writes: all of it is committed at the end of the block, or nothing.

        Raises
        ------
        StoreError
            Another writer holds the lock, the disk is full, permission is missing, or the database is damaged.
        sqlalchemy.exc.IntegrityError
            A row contradicts one that is there; the caller knows what that means.
        """
        self.check_writable()
        with self._translated(), self._exclusive() as connection:
            yield connection

    def check_writable(self) -> None:
        """Raise `StoreError` if this was opened for reading only."""
        if not self._write:
            raise StoreError(
                f"{self.name} was opened for reading only", hint="open the repository with permission to write"
            )

    def lease(self, folder: Path, name: str) -> Lease | None:
        """Take the lease ``name`` if nobody holds it; see `Store.lease`."""
        return try_lease(folder, name)

    def create_tables(self) -> None:
        """Make the tables in a new, empty database."""
        with self.write() as connection:
            self._fill(connection)

    def format_version(self, connection: Connection) -> tuple[int, str]:
        """Version of the format of the tables, and the version of the software that made them.

        Raises
        ------
        StoreError
            This is not a registry.
        """
        if not inspect(connection).has_table("schema_version"):
            raise StoreError(f"{self.name} is not the index of a cpp repository", hint="`cpp init` makes a repository")
        rows = connection.execute(select(schema.schema_version)).all()
        if len(rows) != 1:
            raise StoreError(
                f"index {self.name} is damaged: it does not tell its format version", hint=self.restore_hint
            )
        return rows[0].version, rows[0].software

    def check_version(self) -> None:
        """Refuse a database that is no registry, or one whose tables this version does not use.

        Raises
        ------
        StoreError
            This is not a registry.
        FormatVersionError
            A newer version made it, or an older one.
        """
        with self.read() as connection:
            version, software = self.format_version(connection)
        if version > schema.FORMAT_VERSION:
            raise FormatVersionError(
                f"{self.name} has index format {version}, made by cpp-framework {software}; "
                f"this is {__version__}, which knows formats up to {schema.FORMAT_VERSION}",
                hint="upgrade cpp-framework to that version or a newer one",
            )
        if version < schema.FORMAT_VERSION:
            raise FormatVersionError(
                f"{self.name} has index format {version}, made by cpp-framework {software}; "
                f"this is {__version__}, which works with format {schema.FORMAT_VERSION}",
                hint="cpp store upgrade (it keeps a copy of the old index)",
            )

    @abstractmethod
    def problems(self) -> list[str]:
        """What the database itself finds wrong with its content; empty if it is sound."""

    @abstractmethod
    def _exclusive(self) -> AbstractContextManager[Connection]:
        """A transaction no other writer overlaps with."""

    @abstractmethod
    def _named(self, error: DBAPIError) -> StoreError:
        """The error a user understands."""

    def _fill(self, connection: Connection) -> None:
        schema.metadata.create_all(connection)
        row = {"version": schema.FORMAT_VERSION, "software": __version__, "created": now_tai_ns()}
        connection.execute(schema.schema_version.insert(), row)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise
        except DBAPIError as error:
            raise self._named(error) from error
