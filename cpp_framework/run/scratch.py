"""Folders of corrected frames: locked while a run uses them, so that the next run can clear what a killed one left."""

from __future__ import annotations

import fcntl
import shutil
from pathlib import Path
from typing import IO

_PREFIX = "cpp-"
_LOCK = "in-use"


class Scratch:
    """A folder of our own below ``parent`` (the RAM disk, or the repository's scratch folder).

    The lock is the operating system's: it goes with the process, however that ends.
    """

    def __init__(self, parent: Path, name: str) -> None:
        self.folder = parent / f"{_PREFIX}{name}"
        self.folder.mkdir(parents=True)
        self._lock: IO[bytes] = (self.folder / _LOCK).open("wb")
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def remove(self) -> None:
        """Delete the folder and give up the lock. Doing it again changes nothing."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()


def clear_abandoned(parent: Path) -> None:
    """Delete folders below ``parent`` whose run is gone; those of other users and of living runs stay."""
    for lock in parent.glob(f"{_PREFIX}*/{_LOCK}"):
        try:
            with lock.open("rb") as held:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent, ignore_errors=True)
        except OSError:  # held by a living run, already gone, or not ours
            continue
