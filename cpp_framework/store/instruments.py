"""Instrument files of a repository: text a person edits, kept beside a row that only names it."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, select

from cpp_framework.errors import ConflictError, NotFoundError
from cpp_framework.store.clock import now_tai_ns
from cpp_framework.store.files import publish_text, safe_name
from cpp_framework.store.schema import instrument


def path_of(root: Path, name: str) -> Path:
    """Where the file of an instrument is when it is new."""
    return root / "instruments" / f"{safe_name(name)}.yaml"


def write_file(root: Path, name: str, text: str) -> Path:
    """Write an instrument's file; the same text again changes nothing.

    Raises
    ------
    ConflictError
        There is another text under this name.
    """
    path = path_of(root, name)
    if not path.exists():
        publish_text(text, path, root / "staging")
    elif path.read_text(encoding="utf-8") != text:
        raise ConflictError(
            f"the repository has an instrument {name!r} already, and it is different", hint=f"edit {path}"
        )
    return path


def register(connection: Connection, name: str, file: str) -> None:
    """Write the row of an instrument, unless it is there."""
    if name not in names(connection):
        connection.execute(instrument.insert(), {"name": name, "file": file, "added": now_tai_ns()})


def names(connection: Connection) -> list[str]:
    """Names of the registered instruments, sorted."""
    return sorted(connection.execute(select(instrument.c.name)).scalars())


def find_file(connection: Connection, root: Path, name: str) -> Path:
    """The file of an instrument.

    Raises
    ------
    NotFoundError
        There is no such instrument, or its file is gone.
    """
    file = connection.execute(select(instrument.c.file).where(instrument.c.name == name)).scalar()
    if file is None:
        known = ", ".join(names(connection)) or "none"
        raise NotFoundError(
            f"the repository has no instrument {name!r}; it has {known}", hint="cpp init --instrument NAME|FILE"
        )
    path = root / "instruments" / str(file)
    if not path.is_file():
        raise NotFoundError(f"the file of instrument {name!r} is gone: {path}", hint="put it back")
    return path
