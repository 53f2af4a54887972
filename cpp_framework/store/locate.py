"""Finding the repository a command works on."""

from __future__ import annotations

import os
from pathlib import Path

from cpp_framework.errors import NotFoundError

REGISTRY = "registry.sqlite3"
VARIABLE = "CPP_REPO"


def find_repository(path: Path | str | None = None) -> Path:
    """Root of the repository: ``path`` if given, else ``$CPP_REPO``, else the nearest enclosing one.

    Raises
    ------
    NotFoundError
        There is no repository there; the message says where was looked.
    """
    if path is not None:
        return _checked(Path(path), "--repo")
    if named := os.environ.get(VARIABLE):
        return _checked(Path(named), f"${VARIABLE}")
    here = _here()
    for folder in (here, *here.parents):
        if (folder / REGISTRY).is_file():
            return folder
    raise NotFoundError(
        f"no repository: {here} and the folders above it have no {REGISTRY}, and ${VARIABLE} is not set",
        hint="`cpp init` makes one here; --repo PATH names another",
    )


def _here() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise NotFoundError("the current folder is gone", hint="cd to another one") from error


def _checked(root: Path, said_by: str) -> Path:
    root = root.expanduser()
    root = root if root.is_absolute() else _here() / root
    if not (root / REGISTRY).is_file():
        raise NotFoundError(
            f"{said_by} names {root}, which is not a repository (it has no {REGISTRY})", hint=f"cpp init {root}"
        )
    return root
