"""Leases: the right to work on something alone, given back by the system when its holder dies."""

from __future__ import annotations

import fcntl
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self


class Lease:
    """A lock on one file of the folder ``leases``; a context manager."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def release(self) -> None:
        """Give the lease back."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def try_lease(folder: Path, name: str) -> Lease | None:
    """Take the lease ``name``; None if somebody has it."""
    file = (folder / name).open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return Lease(file)
