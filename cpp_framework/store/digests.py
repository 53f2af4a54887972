"""SHA-256 of raw files, remembered by path, size and time of change, so that a file is read once for it."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from cpp_framework.errors import RawFileError
from cpp_framework.store.files import file_sha256
from cpp_framework.store.schema import raw_digest

_CHUNK = 500


@dataclass(frozen=True)
class FileState:
    """What tells whether a file is still the one that was read."""

    path: str
    size: int
    mtime_ns: int


def state_of(path: Path) -> FileState:
    """Size and time of change of a file.

    Raises
    ------
    RawFileError
        It cannot be looked at.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise RawFileError(
            f"{path}: {error.strerror}", hint="if the file was moved, `cpp ingest` its new place"
        ) from error
    if not stat.S_ISREG(found.st_mode):  # a pipe would wait for ever
        raise RawFileError(f"{path}: not a file any more", hint="bring the original file back")
    # The time of modification can be set back (`cp -p`, rsync), that of the last change of anything cannot.
    return FileState(str(path), found.st_size, max(found.st_mtime_ns, found.st_ctime_ns))


def remembered(connection: Connection, states: Sequence[FileState]) -> dict[str, str]:
    """Digests that are known and still valid, by path."""
    wanted = {state.path: state for state in states}
    paths, found = sorted(wanted), {}
    for start in range(0, len(paths), _CHUNK):
        query = select(raw_digest).where(raw_digest.c.path.in_(paths[start : start + _CHUNK]))
        for row in connection.execute(query):
            if FileState(row.path, row.size, row.mtime_ns) == wanted[row.path]:
                found[row.path] = row.digest
    return found


def compute(states: Iterable[FileState], threads: int) -> dict[str, str]:
    """Read the files and return their digests by path.

    Raises
    ------
    RawFileError
        A file cannot be read, or changed while it was read.
    """
    todo = list(states)
    with ThreadPoolExecutor(max(1, threads)) as pool:
        return dict(zip([state.path for state in todo], pool.map(_digest, todo), strict=True))


def remember(connection: Connection, states: Iterable[FileState], digests: Mapping[str, str]) -> None:
    """Keep digests for the next time."""
    rows: list[dict[str, Any]] = [
        {"path": one.path, "size": one.size, "mtime_ns": one.mtime_ns, "digest": digests[one.path]} for one in states
    ]
    for start in range(0, len(rows), _CHUNK):
        paths = [row["path"] for row in rows[start : start + _CHUNK]]
        connection.execute(raw_digest.delete().where(raw_digest.c.path.in_(paths)))
    if rows:
        connection.execute(raw_digest.insert(), rows)


def _digest(state: FileState) -> str:
    path = Path(state.path)
    try:
        digest = file_sha256(path)
    except OSError as error:
        raise RawFileError(f"{path}: cannot be read: {error.strerror}", hint="check the file's permissions") from error
    if state_of(path) != state:
        raise RawFileError(f"{path} changed while it was read", hint="wait until it is complete and repeat")
    return digest
