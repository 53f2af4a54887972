"""Bringing the index of an older version to the present format: a copy first, then one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from cpp_framework._version import __version__
from cpp_framework.errors import StoreError
from cpp_framework.store import schema
from cpp_framework.store.base import FOLDERS, open_database
from cpp_framework.store.clock import now_compact
from cpp_framework.store.database import LOCK_TIMEOUT
from cpp_framework.store.files import make_folder, publish, storage_errors, temporary_path
from cpp_framework.store.ingests import missing_notes, publish_note
from cpp_framework.store.locate import REGISTRY


@dataclass(frozen=True)
class Upgraded:
    """Format versions before and after, and the copy of the old index (None where none was needed or can be made)."""

    before: int
    after: int
    copy: Path | None = None


def upgrade(root: Path, lock_timeout: float = LOCK_TIMEOUT) -> Upgraded:
    """Bring the index of a repository to the present format; nothing is done if it has it.

    Killed at any moment, the index is the old one or the new one. An index kept by a PostgreSQL server is upgraded
    in one transaction as well, but copying it is the server's business.

    Raises
    ------
    NotFoundError
        There is no repository in ``root``.
    FormatVersionError
        A newer version made the index.
    StoreError
        It cannot be written, or another process is writing.
    """
    root = root.absolute()
    database = open_database(root, lock_timeout=lock_timeout)
    with database.read() as connection:
        version, _ = database.format_version(connection)
    if version >= schema.FORMAT_VERSION:
        database.check_version()
        return Upgraded(version, version)
    with database.write() as connection:
        # Asked again under the lock: another process may have been faster.
        version, _ = database.format_version(connection)
        copy = None
        if version < schema.FORMAT_VERSION:
            with storage_errors(root):
                for folder in FOLDERS:
                    make_folder(root / folder)
            copy = _keep_copy(root, version) if database.dialect == "sqlite" else None
            _climb(connection, version)
            for note in missing_notes(connection, root):  # versions before 2 wrote none
                publish_note(root, note)
    return Upgraded(version, schema.FORMAT_VERSION, copy)


def _climb(connection: Connection, version: int) -> None:
    for step in range(version, schema.FORMAT_VERSION):
        STEPS[step](connection)
    row = {"version": schema.FORMAT_VERSION, "software": __version__}
    connection.execute(schema.schema_version.update().values(row))


def _to_2(connection: Connection) -> None:
    """Format 2 adds certification, tags and removal; what format 1 had is as it was."""
    added = [schema.line, schema.validity, schema.tag_member, schema.ledger, schema.trash]
    schema.metadata.create_all(connection, tables=added)


def _to_3(connection: Connection) -> None:
    """Format 3 adds the runs of verdicts; the verdicts there are stay in none."""
    schema.metadata.create_all(connection, tables=[schema.verdict_run])


STEPS: dict[int, Callable[[Connection], None]] = {1: _to_2, 2: _to_3}
"""From each older format to the next one. A step never changes once its format is released."""


def _keep_copy(root: Path, version: int) -> Path:
    """Copy the index to a file beside it, published whole; the caller holds the lock and has not written yet."""
    final = _free_name(root / f"{REGISTRY}.format{version}-{now_compact()}")
    staged = temporary_path(root / "staging", final.name)
    try:
        # SQLite copies for a reader only, not for the connection that holds the lock; others cannot write now.
        with (
            closing(sqlite3.connect(f"{(root / REGISTRY).as_uri()}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(staged)) as target,
        ):
            source.backup(target)
        publish(staged, final)
    except sqlite3.Error as error:
        raise StoreError(
            f"the old index could not be copied to {final}: {error}; nothing was changed",
            hint="the copy needs as much free space as the index has",
        ) from error
    finally:
        staged.unlink(missing_ok=True)
    return final


def _free_name(wanted: Path) -> Path:
    name, i = wanted, 0
    while name.exists():
        i += 1
        name = wanted.with_name(f"{wanted.name}_{i}")
    return name
