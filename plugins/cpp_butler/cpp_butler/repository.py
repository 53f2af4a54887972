"""The Butler repository that is written: made whole if it is not there, opened, and locked against a second export."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lsst.daf.butler import Butler, ButlerUserError, Config
from lsst.daf.butler.registry import ConflictingDefinitionError
from sqlalchemy.exc import DBAPIError

from cpp_butler.addresses import FORMATTERS
from cpp_framework.errors import ConfigError, ConflictError, StoreError

CONFIG = "butler.yaml"
WORK = ".cpp_export"
"""Folder inside the repository for the lock and for what is being written; a killed export's remains are removed."""

_URL = "#?%"


@contextmanager
def open_repository(root: Path) -> Iterator[tuple[Butler, Path]]:
    """The Butler, for writing, and a folder on the same disk to write files in; both know absolute paths only.

    Raises
    ------
    ConfigError
        Butler cannot open a folder of this name.
    ConflictError
        Another export is writing there, the folder holds other things, or what is in the repository contradicts ours.
    StoreError
        It cannot be made, opened or written.
    """
    root = root.expanduser().absolute()
    if unusable := [character for character in _URL if character in str(root)]:
        raise ConfigError(
            f"{root}: Butler takes paths for URLs and cannot open one with {' '.join(unusable)} in it",
            hint="name another folder",
        )
    with _named_errors(root):
        _check_folder(root)
        with _lock(root / WORK) as folder:
            if not (root / CONFIG).exists():
                _make(root, folder)
            butler = Butler.from_config(root.as_uri(), writeable=True)
            try:
                yield butler, folder
            finally:
                # Releases before 30 have no close(); there the connections go with the object.
                getattr(butler, "close", lambda: None)()


def _check_folder(root: Path) -> None:
    """Refuse a place that is taken by something else, before anything is written there."""
    ours = (root / CONFIG).exists() or (root / WORK).is_dir()
    if root.exists() and not ours and (not root.is_dir() or any(root.iterdir())):
        raise ConflictError(
            f"{root} is there and is not a Butler repository (it has no {CONFIG})", hint="name a new folder"
        )


@contextmanager
def _lock(folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    # The kernel releases the lock when its holder dies, however it dies.
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConflictError(
                f"another export is writing to {folder.parent}", hint="wait for it to end, then repeat"
            ) from error
        for left_over in folder.glob("*.fits"):
            left_over.unlink()
        yield folder


def _make(root: Path, folder: Path) -> None:
    """Make a repository in the work folder and move it up, its configuration last: nobody opens half a repository."""
    new = folder / "new"
    shutil.rmtree(new, ignore_errors=True)
    Butler.makeRepo(new.as_uri(), config=Config({"datastore": {"formatters": FORMATTERS}}))
    for path in sorted(new.iterdir(), key=lambda one: one.name == CONFIG):
        path.replace(root / path.name)
    new.rmdir()


@contextmanager
def _named_errors(root: Path) -> Iterator[None]:
    try:
        yield
    except (ConflictingDefinitionError, ButlerUserError) as error:
        raise ConflictError(
            f"the Butler repository {root} holds something that contradicts this one: {error}",
            hint="export to another folder",
        ) from error
    except OSError as error:
        raise StoreError(
            f"cannot read or write {error.filename or root}: {error.strerror or error}",
            hint=f"check the permissions of {root} and the free space, then repeat",
        ) from error
    except DBAPIError as error:
        raise StoreError(
            f"the index of the Butler repository {root} cannot be read or written: {error.orig}",
            hint="check its permissions and the free space, then repeat",
        ) from error
