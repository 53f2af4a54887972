"""The lock between those who publish files and those who remove files that no row names.

A file is published before its row is committed; in between, no row names it. Whoever publishes holds this lock
together with all others who do, from before the file has its name to after the commit. Whoever removes files holds it
alone, so that what has no row then will not get one.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from cpp_framework.errors import StoreError
from cpp_framework.store.files import storage_errors

_PAUSE = 0.005


@contextmanager
def publishing(folder: Path, *, alone: bool, timeout: float) -> Iterator[None]:
    """Hold the lock kept in ``folder``. It must not be taken again inside the block.

    Raises
    ------
    StoreError
        It was not free for ``timeout`` seconds, or the folder cannot be written.
    """
    path = folder / "publishing"
    with storage_errors(path):
        folder.mkdir(exist_ok=True)
        file = FileIO(path, "a")
    with file:
        deadline = time.monotonic() + timeout
        while not _try(file, alone, path):
            if time.monotonic() > deadline:
                others = "files have been published without a pause" if alone else "a process has held it alone"
                raise StoreError(
                    f"{path} is locked: {others} for more than {timeout:g} s",
                    hint=f"repeat when that has ended, or find the process with `fuser {path}`",
                )
            time.sleep(_PAUSE)
        try:
            yield
        finally:
            # Unlocked, not only closed: a process forked in the meantime has the file open as well.
            fcntl.flock(file, fcntl.LOCK_UN)


def _try(file: FileIO, alone: bool, path: Path) -> bool:
    # Asked again and again instead of waiting in the system: only so it can end.
    with storage_errors(path):
        try:
            fcntl.flock(file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
