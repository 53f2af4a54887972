"""Checks of one repository: its index, the files the index names, and the raw files it was told of."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from cpp_framework.camera.catalogue import read_instrument
from cpp_framework.doctor.finding import Answer, fail, ok, warn
from cpp_framework.errors import CppError, NotFoundError
from cpp_framework.plan.why import doubts
from cpp_framework.store import REGISTRY, Store
from cpp_framework.store.base import FOLDERS, open_database
from cpp_framework.store.files import storage_errors, temporary_path
from cpp_framework.store.garbage import named_files
from cpp_framework.store.locate import VARIABLE, is_repository

_LISTED = 5
"""Names in a message; there may be thousands."""
_REBUILD = "cpp doctor --rebuild makes the index anew from the files"


def find_root(repo: Path | None) -> Path | None:
    """Folder of the repository, even of one whose index is gone; None if there is none and none was named.

    Raises
    ------
    NotFoundError
        What ``--repo`` or ``$CPP_REPO`` names is nothing like a repository.
    """
    named = repo or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    if named is not None:
        root = named.expanduser().absolute()
        if not _looks_like_one(root):
            raise NotFoundError(f"{root} is no repository: it has no {REGISTRY}", hint=f"cpp init {root}")
        return root
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if _looks_like_one(folder)), None)


def check_folders(root: Path) -> Answer:
    """Whether the repository is whole, and can be read and written."""
    if not is_repository(root):
        return fail(f"the index of {root} is gone; its files are there", f"restore {REGISTRY}, or {_REBUILD}")
    absent = [folder for folder in FOLDERS if not (root / folder).is_dir()]
    if absent:
        return fail(f"{root} has no folder {', '.join(absent)}", f"restore it; else: mkdir {root / absent[0]}")
    probe = temporary_path(root / "staging", "doctor")
    try:
        probe.touch()
    except OSError as error:
        return warn(f"{root} can be read only: {error.strerror}", f"check the permissions of {root / 'staging'}")
    finally:
        probe.unlink(missing_ok=True)
    return ok(f"{root}, to read and write")


def check_format(root: Path) -> Answer:
    """Whether this version works with the format of the index."""
    database = open_database(root, write=False)
    database.check_version()
    with database.read() as connection:
        version, software = database.format_version(connection)
    return ok(f"format version {version}, made by cpp-framework {software}")


def check_index(root: Path) -> Answer:
    """What the database finds wrong with itself."""
    problems = open_database(root, write=False).problems()
    if problems:
        return fail(f"the index is damaged: {_some(problems)}", _REBUILD)
    return ok("sound")


def check_products(root: Path) -> Answer:
    """Whether the file of every product is there with its size."""
    store = Store.open(root, write=False)
    records = store.products()
    wrong = [record.path for record in records if not store.intact(record)]
    if wrong:
        return fail(
            f"{len(wrong)} of {len(records)} product files are gone or have another size: {_some(wrong)}",
            "restore them from a copy, or produce them again; cpp store verify compares the content, too",
        )
    return ok(f"{len(records)} product files with their sizes (cpp store verify compares their content)")


def check_records(root: Path) -> Answer:
    """Whether the small files of verdicts, flags, certifications, tags and ingests are there."""
    database = open_database(root, write=False)
    with database.read() as connection:
        named = sorted(path for path in named_files(connection) if not path.endswith(".fits"))
    absent = [path for path in named if not (root / path).is_file()]
    if absent:
        return fail(
            f"{len(absent)} files are gone: {_some(absent)}",
            "restore them from a copy: an index made anew would not know what they say",
        )
    return ok(f"{len(named)} files of verdicts, flags, certifications, tags and ingests")


def check_instruments(root: Path) -> Answer:
    """Whether every instrument has a valid file."""
    store = Store.open(root, write=False)
    problems = []
    for name in store.instruments():
        try:
            read_instrument(store.instrument_path(name))
        except CppError as error:
            problems.append(str(error))
    if problems:
        return fail(_some(problems), "restore the file, or correct it: cpp instrument check")
    return ok(", ".join(store.instruments()) or "none yet")


def check_certified(root: Path) -> Answer:
    """Whether what is certified is still to be trusted: its newest verdict, its exposures, its file."""
    store = Store.open(root, write=False)
    records = [store.product(one) for one in sorted({valid.product for valid in store.validities()})]
    doubtful = [f"{record.type} {record.short} {text}" for record in records for text in doubts(store, record)]
    if doubtful:
        return warn(
            _some(doubtful), "cpp explain PRODUCT tells more; produce, verify and certify another, or decertify"
        )
    return ok(f"{len(records)} products, nothing against them since they were certified")


def check_orphans(root: Path) -> Answer:
    """Files nobody needs, files nobody knows, and products the index does not know."""
    report = Store.open(root, write=False).collect_garbage(dry_run=True)
    if report.lost:
        return fail(f"{len(report.lost)} verified products are not in the index: {_some(report.lost)}", _REBUILD)
    if report.acts:
        return warn(
            f"{len(report.acts)} flags or lines of the ledger are not in the index: {_some(report.acts)}: "
            "a command was killed, or the index is older than its files",
            f"cpp store ledger tells what is known; {_REBUILD} takes them as done",
        )
    if report.garbage:
        paths = [one.path for one in report.garbage]
        return warn(f"{len(paths)} leftovers of {report.size} bytes: {_some(paths)}", "cpp store gc")
    if report.unknown:
        return warn(
            f"{len(report.unknown)} files that cpp did not make: {_some(report.unknown)}", "move them elsewhere"
        )
    return ok("none")


def check_raw_files(root: Path) -> Answer:
    """Whether raw files are where they were and as they were."""
    exposures = Store.open(root, write=False).exposures()
    states = {one.exposure.path: (one.size, one.mtime_ns) for one in exposures}
    now = {path: _state(path) for path in states}
    gone = [path for path, found in now.items() if found is None]
    changed = [path for path, found in now.items() if found not in (None, states[path])]
    if gone or changed:
        return warn(
            f"of {len(states)} raw files {len(gone)} are gone and {len(changed)} have changed: {_some(gone + changed)}",
            "bring them back, or `cpp ingest` their new place; what was made from them is not touched",
        )
    return ok(f"{len(states)} raw files as they were at ingest")


def _state(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 -- thousands of them
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _looks_like_one(folder: Path) -> bool:
    with storage_errors(folder):
        return is_repository(folder) or all((folder / name).is_dir() for name in ("products", "instruments"))


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:_LISTED]) + (f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else "")
