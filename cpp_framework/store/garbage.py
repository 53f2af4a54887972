"""Finding what crashes and interrupted removals left behind: files and folders nobody needs.

Only regular files with the names this store gives are ever garbage; symbolic links are neither followed nor removed,
and what has another name is only reported.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sqlalchemy import Connection, select

from cpp_framework.store import exposures
from cpp_framework.store.files import storage_errors
from cpp_framework.store.ingests import note_path
from cpp_framework.store.removal import Tombstone, tombstones
from cpp_framework.store.schema import exposure, ledger, product, verdict
from cpp_framework.store.staging import TEMPORARY, writer_lives

_PUBLISHED = {
    "products": re.compile(r".+_[0-9a-f]{8}\.(fits|verdict_[0-9a-f]{8}\.json)"),
    "flags": re.compile(r".+_[0-9a-f]{8}\.json"),
    "ledger": re.compile(r"[0-9]{7,}_.+_(certify|decertify|tag|untag|remove)_[0-9a-f]{8}\.json"),
}
"""Folders of published files, and the names those have. Notes of ingests stay: they are a log of what was told."""
_RUN_FOLDER = re.compile(r"products/ci_cpp_[^/]+(/[^/]+)*")
_VERDICT = re.compile(r"\.verdict_[0-9a-f]{8}\.json$")


class Reason(StrEnum):
    """Why something is garbage."""

    STAGED = "half-written by a process that is gone"
    REMOVED = "of a product whose removal was interrupted"
    UNNAMED = "published, but no row of the index names it"
    EMPTY = "empty folder of a run"


@dataclass(frozen=True)
class Garbage:
    """A file or folder (below the repository) nobody needs, with its size in bytes."""

    path: str
    size: int
    reason: Reason


@dataclass(frozen=True)
class GarbageReport:
    """What was found, and removed unless it was a dry run.

    ``unknown`` are things the store did not make. ``lost`` are products that were verified, hence registered, and
    which the index does not know: it must be older than the files (restored from a copy, for instance). While there
    are any, no published file counts as garbage. ``acts`` are files of flags and lines of the ledger the index does not
    know, for the same reason or because a command was killed just before its end; they are never removed.
    """

    garbage: tuple[Garbage, ...]
    unknown: tuple[str, ...]
    lost: tuple[str, ...]
    acts: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes of all garbage."""
        return sum(one.size for one in self.garbage)


def named_files(connection: Connection) -> set[str]:
    """The published files that rows name, tombstones included."""
    paths = {exposures.flag_path(record) for record in exposures.all_flags(connection)}
    paths.update(map(note_path, connection.execute(select(exposure.c.ingest).distinct()).scalars()))
    for column in (product.c.path, verdict.c.path, ledger.c.path):
        paths.update(connection.execute(select(column)).scalars())
    return paths.union(*[stone.files for stone in tombstones(connection)])


def survey(root: Path, named: set[str], stones: Sequence[Tombstone], older: float) -> GarbageReport:
    """Find garbage without touching anything.

    Parameters
    ----------
    root : Path
        The repository.
    named : set of str
        What rows name (`named_files`).
    stones : sequence of Tombstone
        Removals that were not finished.
    older : float
        Only files that nobody changed for this long [s]; those a dead process of this host was writing are not asked.
    """
    unknown: list[str] = []
    staged = list(_staged(root, older, unknown))
    removed = [
        Garbage(path, state.st_size, Reason.REMOVED)
        for stone in stones
        for path in stone.files
        if (state := _state(root / path)) is not None
    ]
    unnamed = {path: state for path, state in _published(root, unknown) if path not in named}
    acts = sorted(path for path in unnamed if not path.startswith("products/"))
    for path in acts:
        del unnamed[path]
    lost = _lost(unnamed)
    old = [
        Garbage(path, state.st_size, Reason.UNNAMED)
        for path, state in sorted(unnamed.items())
        if not lost and _untouched(state) >= older
    ]
    folders = _empty_folders(root, {one.path for one in (*removed, *old)})
    garbage = (*staged, *removed, *old, *(Garbage(folder, 0, Reason.EMPTY) for folder in folders))
    return GarbageReport(garbage, tuple(sorted(unknown)), tuple(lost), tuple(acts))


def delete_files(root: Path, garbage: Iterable[Garbage]) -> None:
    """Remove files; those that are gone already are fine."""
    for one in garbage:
        with storage_errors(root / one.path):
            (root / one.path).unlink(missing_ok=True)


def delete_folders(root: Path, garbage: Iterable[Garbage]) -> list[Garbage]:
    """Remove those folders that are empty now, and return them; inner ones come first."""
    deleted = []
    for one in garbage:
        with storage_errors(root / one.path):
            try:
                (root / one.path).rmdir()
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                    raise
                continue
        deleted.append(one)
    return deleted


def _staged(root: Path, older: float, unknown: list[str]) -> Iterator[Garbage]:
    """Temporary files of dead processes, and old ones of processes of other hosts."""
    for path, state in _walk(root, "staging", unknown):
        if TEMPORARY.search(path) is None:
            unknown.append(path)
            continue
        lives = writer_lives(path)
        if lives is False or (lives is None and _untouched(state) >= older):
            yield Garbage(path, state.st_size, Reason.STAGED)


def _published(root: Path, unknown: list[str]) -> Iterator[tuple[str, os.stat_result]]:
    """Files that have the names of published ones, with their state."""
    for folder, names in _PUBLISHED.items():
        for path, state in _walk(root, folder, unknown):
            if names.fullmatch(path.rpartition("/")[2]):
                yield path, state
            else:
                unknown.append(path)


def _walk(root: Path, folder: str, unknown: list[str]) -> Iterator[tuple[str, os.stat_result]]:
    """Paths (below the repository) and states of the regular files in a folder; links and pipes are unknown."""
    if (root / folder).is_symlink():
        unknown.append(folder)
        return
    for name in _names(root / folder):
        path = f"{folder}/{name}"
        state = _state(root / path)
        if state is None:
            continue
        if stat.S_ISDIR(state.st_mode):
            yield from _walk(root, path, unknown)
        elif stat.S_ISREG(state.st_mode):
            yield path, state
        else:
            unknown.append(path)


def _state(path: Path) -> os.stat_result | None:
    """State of a file or link; None if somebody removed it."""
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


def _names(folder: Path) -> list[str]:
    with storage_errors(folder):
        try:
            return sorted(os.listdir(folder))  # noqa: PTH208 -- names are wanted
        except FileNotFoundError:
            return []


def _lost(unnamed: Iterable[str]) -> list[str]:
    """Products among the files no row names that have a verdict: only registered products get one."""
    paths = set(unnamed)
    verified = {_VERDICT.sub(".fits", path) for path in paths if _VERDICT.search(path)}
    return sorted(verified & paths)


def _empty_folders(root: Path, gone: set[str]) -> list[str]:
    """Folders of runs that hold nothing but what is gone; inner ones first."""
    found: list[str] = []
    if (root / "products").is_symlink():
        return found
    for folder, folders, files in os.walk(root / "products", topdown=False):
        path = Path(folder).relative_to(root).as_posix()
        inside = {f"{path}/{name}" for name in (*folders, *files)}
        if _RUN_FOLDER.fullmatch(path) and inside <= gone | set(found):
            found.append(path)
    return found


def _untouched(state: os.stat_result) -> float:
    """Seconds since a file was written, or named."""
    return time.time() - max(state.st_mtime, state.st_ctime)
