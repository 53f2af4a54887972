"""Reading the small text files people write: settings and instruments."""

from __future__ import annotations

import stat
from pathlib import Path

LARGEST = 4_000_000
"""Bytes; no settings and no camera need that much."""


def read_text(path: Path) -> str:
    """Return the text of a regular file in UTF-8, with or without byte order mark, lines ended by ``\\n``.

    Raises
    ------
    OSError
        It cannot be opened, is no regular file (a pipe would wait for ever), or is too large.
    ValueError
        It is not UTF-8.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("it is not a file")
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise OSError(f"it is larger than {LARGEST / 1e6:g} MB")
    return content.decode("utf-8-sig").replace("\r\n", "\n")
