"""What killed processes left half-written: temporary files whose process is gone."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from cpp_framework.store.files import host_name

TEMPORARY = re.compile(r"\.(?P<host>[^.]+)\.(?P<process>[0-9]{1,9})\.[0-9a-f]{12}\.part(-journal)?$")
"""End of the name of a temporary file, as `temporary_path` gives it; SQLite adds the journal of an index in making."""
AGE = 600.0
"""Seconds a file must have lain untouched before its process is looked for."""


def clear_dead_staging(folder: Path, *, beginning: str = "", age: float = AGE) -> list[Path]:
    """Remove temporary files of this host's dead processes, and return their paths.

    Containers may share a host's name without seeing each other's processes. Hence the age: a writer that lives
    touches its file more often than that. Who holds the lease of what the files are for may pass 0.

    Parameters
    ----------
    folder : Path
        Where `temporary_path` put them.
    beginning : str
        Only files whose name begins so.
    age : float
        Only files untouched for this long [s].
    """
    removed = []
    for path in folder.glob(f"{beginning}*.part"):
        if writer_lives(path.name) is False and (age <= 0 or _untouched(path) > age):
            path.unlink(missing_ok=True)
            removed.append(path)
    return removed


def writer_lives(name: str) -> bool | None:
    """Whether the process lives that a temporary file is named after; None where this host cannot know."""
    found = TEMPORARY.search(name)
    return _lives(int(found["process"])) if found is not None and found["host"] == host_name() else None


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def _untouched(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
