"""A process for the kill tests: for every line ``[VERB, STEP, PATH …]`` on stdin it forks a child that does the work.

The child is killed when it comes to its durable step number STEP (from 0): a flush, a rename, a link or the removal of
a file. Printed is ``ended`` if it had fewer steps, else ``killed``.
"""

from __future__ import annotations

import json
import os
import pathlib
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cpp_framework.doctor.rebuild import rebuild_repository
from cpp_framework.plugins import installed
from cpp_framework.store import Store
from cpp_framework.store.bundle_export import export_bundle
from cpp_framework.store.bundle_import import import_bundle
from cpp_framework.store.clock import now_tai_ns


def export(root: str, target: str) -> None:
    export_bundle(Store.open(Path(root), write=False), "cam/calib", Path(target))


def bring(root: str, source: str) -> None:
    import_bundle(Store.open(Path(root)), Path(source), plugins=installed())


def rebuild(root: str) -> None:
    rebuild_repository(Path(root), installed())


VERBS: dict[str, Callable[..., None]] = {"export": export, "import": bring, "rebuild": rebuild}


def die_at(step: int) -> None:
    """Let this process be killed at its durable step of this number."""
    left = step

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **keywords: Any) -> Any:
            nonlocal left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            return function(*args, **keywords)

        return call

    for module, name in (
        (os, "fsync"),
        (os, "link"),
        (os, "rename"),
        (pathlib.Path, "rename"),
        (pathlib.Path, "unlink"),
    ):
        setattr(module, name, counted(getattr(module, name)))


def main() -> None:
    now_tai_ns()  # imports astropy.time here, once, and not in every child
    installed()
    for line in sys.stdin:
        verb, step, *paths = json.loads(line)
        pid = os.fork()
        if pid == 0:
            die_at(step)
            VERBS[verb](*paths)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        print("killed" if os.WIFSIGNALED(status) else "ended" if status == 0 else f"failed: {status}", flush=True)


if __name__ == "__main__":
    main()
