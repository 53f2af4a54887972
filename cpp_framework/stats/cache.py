"""The folder of compiled kernels: chosen and tested before the first kernel is imported."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path

log = logging.getLogger("cpp")


@cache
def prepare_numba_cache() -> Path:
    """Choose a writable folder for compiled kernels and tell numba, once per process.

    Taken is ``$NUMBA_CACHE_DIR`` if set, else ``cpp/numba`` in the user's cache folder (``$XDG_CACHE_HOME`` or
    ``~/.cache``). If that cannot be written (read-only home, cron without one), a private temporary folder is made
    for this run, with one notice in the log, and removed at exit. The choice is left in ``$NUMBA_CACHE_DIR``, so
    that worker processes share it.

    Returns
    -------
    Path
        The folder; it exists and can be written.
    """
    wanted = wanted_folder()
    problem = problem_writing(wanted) if wanted else "this user has no home folder"
    if wanted and not problem:
        folder = wanted
    else:
        folder = _temporary_folder()
        log.warning("compiled kernels go to %s and are lost at the end: %s", folder, problem)
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    if "numba" in sys.modules:  # numba reads its environment only once, when it is first imported
        sys.modules["numba"].config.CACHE_DIR = str(folder)
    return folder


def wanted_folder() -> Path | None:
    """The folder for compiled kernels that the environment asks for; None where the user has no home."""
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME", "")
    if Path(base).is_absolute():  # the XDG specification: a relative path is to be ignored
        return Path(base, "cpp", "numba")
    try:
        return Path.home() / ".cache" / "cpp" / "numba"
    except RuntimeError:
        return None


def problem_writing(folder: Path) -> str:
    """Why the folder cannot be written; empty if it can. Only writing tells: mode bits lie on read-only mounts."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return f"{folder} cannot be written ({error.strerror})"


def _temporary_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="cpp-numba-"))
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # a forked worker must not take the folder from its parent
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder
