"""Finding the repository a command works on, and where its index is kept."""

from __future__ import annotations

import json
import os
from pathlib import Path

from cpp_framework.errors import NotFoundError, StoreError
from cpp_framework.model.identity import parse_json

REGISTRY = "registry.sqlite3"
"""The index of a repository that keeps its own."""
ELSEWHERE = "registry.json"
"""Names the database server of a repository whose index is there: ``{"format": 1, "url": …, "schema": …}``."""
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
        if is_repository(folder):
            return folder
    raise NotFoundError(
        f"no repository: {here} and the folders above it have no {REGISTRY}, and ${VARIABLE} is not set",
        hint="`cpp init` makes one here; --repo PATH names another",
    )


def is_repository(folder: Path) -> bool:
    """Whether ``folder`` is the root of a repository."""
    return (folder / REGISTRY).is_file() or (folder / ELSEWHERE).is_file()


def write_elsewhere(url: str, schema: str) -> str:
    """Text of the file that names the database server of a repository."""
    return json.dumps({"format": 1, "url": url, "schema": schema}, indent=1) + "\n"


def read_elsewhere(root: Path) -> tuple[str, str]:
    """URL and schema of the database server that keeps the index of ``root``.

    Raises
    ------
    StoreError
        The file cannot be understood.
    """
    path = root / ELSEWHERE
    try:
        document = parse_json(path.read_text(encoding="utf-8"))
        url, schema = document["url"], document["schema"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} does not name a database: {error}", hint="restore it from a backup") from error
    if document.get("format") != 1 or not isinstance(url, str) or not isinstance(schema, str):
        raise StoreError(f"{path} does not name a database of format 1", hint="restore it from a backup")
    return url, schema


def _here() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise NotFoundError("the current folder is gone", hint="cd to another one") from error


def _checked(root: Path, said_by: str) -> Path:
    root = root.expanduser()
    root = root if root.is_absolute() else _here() / root
    if not is_repository(root):
        raise NotFoundError(
            f"{said_by} names {root}, which is not a repository (it has no {REGISTRY})", hint=f"cpp init {root}"
        )
    return root
