"""Notices when code opens a file, a socket, a database or a process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_FORBIDDEN = {
    "open": "opened",
    "os.mkdir": "made the folder",
    "os.remove": "removed",
    "os.rename": "renamed",
    "os.fork": "forked a process",
    "os.posix_spawn": "started a process",
    "subprocess.Popen": "started a process",
    "socket.connect": "connected a socket",
    "sqlite3.connect": "connected to the database",
}
_SOURCE = (".py", ".pyc")

_watching: list[list[str]] = []
_hooked = False


@contextmanager
def watch_side_effects() -> Iterator[list[str]]:
    """Collect, in plain words, every file, process or connection opened inside the ``with`` block, in any thread.

    Python reading its own source is not counted.
    """
    global _hooked
    if not _hooked:
        # An audit hook cannot be removed again: one is installed, and it is idle outside the blocks.
        sys.addaudithook(_notice)
        _hooked = True
    seen: list[str] = []
    _watching.append(seen)
    try:
        yield seen
    finally:
        _watching.remove(seen)


def _notice(event: str, args: tuple[Any, ...]) -> None:
    if not _watching or event not in _FORBIDDEN:
        return
    target = str(args[0]) if args else ""
    if event == "open" and target.endswith(_SOURCE):
        return
    for seen in _watching:
        seen.append(f"{_FORBIDDEN[event]} {target}".strip())
