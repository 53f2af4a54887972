"""Publishing files so that what is visible is whole, also after a crash or a power failure (DESIGN law 6).

A file is written under a temporary name in the repository's ``staging`` folder. To publish it: fsync the file, give
it its final name, fsync the folder. Only then may a row of the registry name it. A published file is never
overwritten. What a crash leaves in ``staging`` is harmless.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import socket
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from cpp_framework.errors import ConflictError, StoreError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
_MAX_NAME = 180
_CHUNK = 1 << 20
_PROCESSES_OF_THE_HOST = 0xEFFFFFFC
"""Number Linux gives the first process namespace (``PROC_PID_INIT_INO`` of its headers), that of no container."""


def publish(staged: Path, final: Path) -> None:
    """Move a complete staged file to its final name, durably.

    Raises
    ------
    ConflictError
        Something is there already; it is left as it is, and so is the staged file.
    StoreError
        Full disk, missing permission and the like.
    """
    with storage_errors(final):
        make_folder(final.parent)
        sync_file(staged)
        _move(staged, final)
        sync_folder(final.parent)


def publish_text(text: str, final: Path, staging: Path) -> None:
    """Write a small text file and publish it. Raises as `publish`; nothing is left in ``staging`` then."""
    staged = temporary_path(staging, final.name)
    try:
        with storage_errors(final):
            staged.write_text(text, encoding="utf-8")
        publish(staged, final)
    finally:
        staged.unlink(missing_ok=True)


def unpublish(files: Iterable[Path]) -> None:
    """Remove published files so that they do not come back after a power failure; those that are gone are fine.

    Raises
    ------
    StoreError
        Missing permission and the like.
    """
    folders = set()
    for file in files:
        with storage_errors(file):
            file.unlink(missing_ok=True)
        folders.add(file.parent)
    for folder in folders:
        with storage_errors(folder):
            if folder.is_dir():
                sync_folder(folder)


def temporary_path(folder: Path, name: str) -> Path:
    """A path in ``folder`` no other process uses; the name tells host and process, and ends in ``.part``."""
    return folder / f"{safe_name(name)[:64]}.{host_name()}.{os.getpid()}.{uuid4().hex[:12]}.part"


def host_name() -> str:
    """Name of this host as temporary files have it: whoever finds his own there can look whether the process lives.

    Containers that share the name of their host, but not its processes, have another one each; so have two hosts of
    one name, and a host that was started again.
    """
    name = safe_name(socket.gethostname().split(".")[0])[:32] + _boot()
    try:
        processes = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:  # not Linux: no containers of this kind
        return name
    return name if processes == _PROCESSES_OF_THE_HOST else f"{name}-{processes}"


def _boot() -> str:
    """What tells this start of this machine from others; empty where the system does not say."""
    try:
        return f"-{Path('/proc/sys/kernel/random/boot_id').read_text()[:8]}"
    except OSError:  # not Linux
        return ""


def make_folder(folder: Path) -> None:
    """Make a folder and its parents, each durable in the one above it."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(root: Path) -> None:
    """Make a folder durable with everything below it."""
    for folder, _, files in os.walk(root, topdown=False):
        for name in files:
            sync_file(Path(folder, name))
        sync_folder(Path(folder))


def safe_name(text: str) -> str:
    """Turn any text into a part of a file name: letters, digits, ``+``, ``-``, ``.`` and ``_``; never hidden."""
    return re.sub(r"[^A-Za-z0-9.+-]+", "_", text).strip("._")[:_MAX_NAME] or "_"


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal. Releases the interpreter lock while it works."""
    if not stat.S_ISREG(path.stat().st_mode):  # a pipe would wait for ever
        raise OSError(f"{path} is not a file")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def copy_file(source: Path, target: Path) -> tuple[int, str]:
    """Copy the bytes of a file; return the size and SHA-256 of what was copied.

    Raises
    ------
    StoreError
        The one cannot be read, or the other not be written.
    """
    digest, size = hashlib.sha256(), 0
    with storage_errors(target), target.open("wb") as copy:
        for chunk in _chunks(source):
            copy.write(chunk)
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn operating-system errors into `StoreError` with the cause in words."""
    try:
        yield
    except OSError as error:
        raise _named(error, path) from error


def _chunks(source: Path) -> Iterator[bytes]:
    try:
        with source.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk
    except OSError as error:
        raise StoreError(f"{source} cannot be read: {error.strerror}", hint="restore it from a copy") from error


def _named(error: OSError, path: Path) -> StoreError:
    where = error.filename or path
    if error.errno in _FULL:
        return StoreError(f"cannot write {where}: the disk or quota is full", hint="free space and repeat")
    if error.errno == errno.EFBIG:
        return StoreError(
            f"cannot write {where}: larger than this process may write", hint="raise the limit (`ulimit -f unlimited`)"
        )
    if error.errno in _FORBIDDEN:
        return StoreError(
            f"cannot write {where}: {os.strerror(error.errno)}", hint=f"check the permissions of {path.parent}"
        )
    return StoreError(f"cannot write {where}: {error.strerror or error}", hint=f"is {path.parent} a folder, and there?")


def _move(staged: Path, final: Path) -> None:
    try:
        os.link(staged, final)  # unlike a rename, this never replaces what is there
    except FileExistsError as error:
        raise ConflictError(
            f"{final} is there already; a published file is never overwritten", hint="choose another name or run"
        ) from error
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _move_without_links(staged, final)
    else:
        staged.unlink()


def _move_without_links(staged: Path, final: Path) -> None:
    # exFAT and some network shares: reserve the name by an empty file of our own, then replace that one.
    try:
        final.touch(exist_ok=False)
    except FileExistsError as error:
        raise ConflictError(
            f"{final} is there already; a published file is never overwritten", hint="choose another name or run"
        ) from error
    staged.rename(final)


def sync_file(path: Path) -> None:
    """Make the bytes of a file durable."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
