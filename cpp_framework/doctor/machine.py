"""Checks of the machine: memory and disks, locks, limits, the clock."""

from __future__ import annotations

import fcntl
import resource
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

from cpp_framework.doctor.finding import Answer, fail, ok, warn
from cpp_framework.store.files import temporary_path

GIB = 2**30
LITTLE, ENOUGH = GIB // 4, 2 * GIB
"""Bytes: less than the first is no place for one image product, less than the second none for a night."""
FILES_NEEDED = 256
"""Open files: a stack of frames in one worker, with what Python itself opens."""
SKEW = 60.0
"""Seconds by which the clocks of a file server and of this machine may differ."""
RAM_DISK = Path("/dev/shm")
MOUNTS = Path("/proc/self/mounts")
_NETWORK = {
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "9p", "ceph", "lustre", "gpfs", "beegfs", "glusterfs",
    "fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.s3fs", "fuse.rclone",
}  # fmt: skip
"""Types of file systems that other machines may write to."""


def check_space(folders: Mapping[str, Path], little: int = LITTLE, enough: int = ENOUGH) -> Answer:
    """Free space of named folders in bytes: below ``little`` is a failure, below ``enough`` a warning."""
    free = {name: shutil.disk_usage(folder).free for name, folder in folders.items()}
    said = ", ".join(f"{name} {value / GIB:.1f} GiB ({folders[name]})" for name, value in free.items())
    if min(free.values()) < little:
        return fail(f"hardly any free space: {said}", "free some, or move to a larger disk")
    if min(free.values()) < enough:
        return warn(f"little free space: {said}", "free some before a long run")
    return ok(f"free: {said}")


def check_temporary() -> Answer:
    """Whether there is a folder for temporary files, with space."""
    folder = Path(tempfile.gettempdir())
    with tempfile.TemporaryFile(dir=folder):
        return check_space({"temporary files": folder})


def check_ram_disk(folder: Path = RAM_DISK, enough: int = GIB // 4) -> Answer:
    """Whether corrected frames can be kept in memory: else they go to the repository's disk."""
    slower = "runs keep their frames on disk instead, which is slower; containers: --shm-size=2g"
    if not folder.is_dir():
        return warn(f"no {folder}", slower)
    free = shutil.disk_usage(folder).free
    said = f"{folder} has {free / GIB:.2f} GiB free"
    return ok(said) if free >= enough else warn(said, slower)


def check_open_files() -> Answer:
    """How many files a process may have open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < FILES_NEEDED:
        return fail(f"only {soft} open files are allowed", f"ulimit -n {min(hard, 4096)} before starting cpp")
    return ok(f"{soft} open files are allowed")


def check_clock(made: Iterable[Path]) -> Answer:
    """Whether the clock is not before the times of files that were certainly made earlier."""
    now = time.time()
    newest = max((path.stat().st_mtime, path) for path in made)
    said = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if newest[0] > now + SKEW:
        written = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(newest[0]))
        return fail(
            f"the clock says {said}, but {newest[1]} was written {written}",
            "set the clock (timedatectl); names of runs, ages and validity depend on it",
        )
    return ok(said)


def check_locks(root: Path) -> Answer:
    """Whether locks of files and of SQLite exclude a second holder on the repository's file system."""
    probe = temporary_path(root / "staging", "doctor")
    try:
        with probe.open("ab") as first, probe.open("ab") as second:
            fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _locked(second):
                return _useless(root, "flock")
        probe.unlink()
        if not _sqlite_excludes(probe):
            return _useless(root, "SQLite")
    finally:
        for path in root.joinpath("staging").glob(f"{probe.name}*"):
            path.unlink(missing_ok=True)
    return ok("locks of files and of SQLite hold")


def check_file_system(root: Path, mounts: Path = MOUNTS) -> Answer:
    """Which file system the repository is on: on a network one, writers on several machines are a risk."""
    kind, where = _mount_of(root.resolve(), mounts)
    if kind in _NETWORK:
        return warn(
            f"{root} is on a network file system ({kind} at {where})",
            "write from one machine only, or let PostgreSQL keep the index: cpp init --help",
        )
    return ok(f"{kind} at {where}")


def _locked(file: object) -> bool:
    """Whether a lock was given although another opening of the file has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # type: ignore[arg-type]
    except BlockingIOError:
        return False
    return True


def _sqlite_excludes(path: Path) -> bool:
    first, second = (sqlite3.connect(path, timeout=0, isolation_level=None) for _ in range(2))
    with closing(first), closing(second):
        first.execute("BEGIN IMMEDIATE")
        try:
            second.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        return False


def _useless(root: Path, what: str) -> Answer:
    return fail(
        f"locks of {what} do not hold on the file system of {root}: two writers could destroy the index",
        "move the repository to a local disk, or mount with locks (NFS: without `nolock`)",
    )


def _mount_of(path: Path, mounts: Path) -> tuple[str, Path]:
    """Type and place of the file system a path is on."""
    best = ("unknown", Path("/"))
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        _, place, kind, *_ = line.split(" ")
        where = Path(place.replace(r"\040", " "))
        if path.is_relative_to(where) and len(where.parts) >= len(best[1].parts):
            best = (kind, where)
    return best
