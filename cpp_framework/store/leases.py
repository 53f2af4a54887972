"""Leases: the right to work on something alone, given back by the operating system when its holder dies.

A lease is a lock (`flock`) on a small file, whose text tells who holds it. The lock belongs to one opening of the
file, so that two stores in one process exclude each other as two processes do.
"""

from __future__ import annotations

import fcntl
import os
import socket
from contextlib import ExitStack
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

from cpp_framework.errors import StoreError
from cpp_framework.store.files import safe_name, storage_errors

_SUFFIX = ".lease"


class Lease:
    """A locked file, until `release` or the end of the process; a context manager."""

    def __init__(self, path: Path, file: FileIO) -> None:
        self._path = path
        self._file = file

    def release(self) -> None:
        """Give the lease back and remove its file. Doing it again changes nothing."""
        if self._file.closed:
            return
        # Removed while locked: whoever opened the file in the meantime sees that its name is gone, and opens anew.
        # If the name is another file's by now (the folder was removed and made again), that one is not ours.
        if _is_named(self._file, self._path):
            self._path.unlink()
        # Unlocked, not only closed: a process forked from this one may have the file open as well.
        fcntl.flock(self._file, fcntl.LOCK_UN)
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def try_lease(folder: Path, name: str) -> Lease | None:
    """Take the lease ``name`` of a folder at once; None while somebody else holds it.

    Raises
    ------
    StoreError
        The folder cannot be written, or its file system knows no locks.
    """
    path = _file(folder, name)
    with storage_errors(path):
        while True:
            folder.mkdir(parents=True, exist_ok=True)
            with ExitStack() as open_files:
                try:
                    file = open_files.enter_context(FileIO(path, "a+", opener=_open_itself))
                except FileNotFoundError:  # somebody removed the folder since
                    continue
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return None
                if _is_named(file, path):
                    _sign(file)
                    open_files.pop_all()
                    return Lease(path, file)
                # Its holder gave it back, and removed the file, between our opening and locking: once more.


def holder(folder: Path, name: str) -> str:
    """Who holds a lease: ``process 1234 on mountain since 03:12:45 UTC``; empty if the folder does not tell."""
    try:
        return _file(folder, name).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def holders(folder: Path) -> list[str]:
    """Who holds any lease of a folder, in the words of `holder`."""
    found = []
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        name = path.name.removesuffix(_SUFFIX)
        said = holder(folder, name)
        lease = try_lease(folder, name)
        if lease is None:
            found.append(said)
        else:
            lease.release()
    return found


def clear_abandoned_leases(folder: Path) -> None:
    """Remove the files of leases whose holder was killed."""
    for path in folder.glob(f"*{_SUFFIX}"):
        try:
            lease = try_lease(folder, path.name.removesuffix(_SUFFIX))
        except StoreError:  # another user's, who alone may remove it
            continue
        if lease is not None:
            lease.release()


def _file(folder: Path, name: str) -> Path:
    return folder / f"{safe_name(name)}{_SUFFIX}"


def _open_itself(path: str, flags: int) -> int:
    """Open a lease, never what a link in its place points to: it will be written."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


def _is_named(file: FileIO, path: Path) -> bool:
    """Whether the open file is still the one of this name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _sign(file: FileIO) -> None:
    since = datetime.now(UTC).strftime("%H:%M:%S")
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()} since {since} UTC\n".encode())
