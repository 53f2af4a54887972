"""Folders of corrected frames: leased while a run uses them, so that the next run can clear what a killed one left."""

from __future__ import annotations

import os
import re
import shutil
import stat
import time
from pathlib import Path
from uuid import uuid4

from cpp_framework.errors import StoreError
from cpp_framework.store.leases import Lease, try_lease

_PREFIX = "cpp-frames-"
_NAME = re.compile(rf"{_PREFIX}[0-9a-f]{{32}}")
_LEASE = "in-use"


class Scratch:
    """A folder of our own below ``parent`` (the RAM disk, or the repository's scratch folder).

    Its lease is the operating system's: it goes with the process, however that ends.
    """

    def __init__(self, parent: Path) -> None:
        self.folder = parent / f"{_PREFIX}{uuid4().hex}"
        self._lease = _lease_of(self.folder)

    def remove(self) -> None:
        """Delete the folder and give up the lease. Doing it again changes nothing."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lease.release()


def clear_abandoned(parent: Path) -> None:
    """Delete folders below ``parent`` whose run is gone; those of other users and of living runs stay."""
    for folder in parent.glob(f"{_PREFIX}*"):
        if not _is_ours(folder):
            continue
        try:
            lease = try_lease(folder, _LEASE)
        except StoreError:  # gone already
            continue
        if lease is not None:
            shutil.rmtree(folder, ignore_errors=True)
            lease.release()


def _lease_of(folder: Path) -> Lease:
    """Make the folder and take its lease, which another run may hold for the moment it needs to see our folder live."""
    while (lease := try_lease(folder, _LEASE)) is None:
        time.sleep(0.01)
    return lease


def _is_ours(folder: Path) -> bool:
    """Whether a `Scratch` of this user made this folder: the RAM disk is open to everybody."""
    if not _NAME.fullmatch(folder.name):
        return False
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
