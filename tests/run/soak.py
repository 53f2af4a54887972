"""Produces many small units, and tells of itself and its workers what must not grow, one line per 100 units."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

from cpp_framework.api import Repository
from cpp_framework.plan import Request
from cpp_framework.run.results import Progress


def anonymous_memory(pid: int) -> int:
    """Memory of a process that is not the content of files [kB]."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1])
    raise ValueError(f"/proc/{pid}/status has no RssAnon")


def children_of(parent: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(status.parent.name))
    return found


def handles(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def frames_of(pid: int) -> int:
    """Folders of corrected frames of a process in the RAM disk, where other tests have theirs."""
    found = 0
    for lease in Path("/dev/shm").glob("cpp-frames-*/in-use.lease"):
        try:
            found += lease.read_text().startswith(f"process {pid} ")
        except FileNotFoundError:
            continue
    return found


def look(repo: Path) -> dict[str, object]:
    workers = sorted(worker for child in children_of(os.getpid()) for worker in children_of(child))
    everybody = [os.getpid(), *workers]
    return {
        "workers": len(workers),
        "memory": [anonymous_memory(pid) for pid in everybody],
        "handles": [handles(pid) for pid in everybody],
        "threads": threading.active_count(),
        "frames": frames_of(os.getpid()),
        "semaphores": len(list(Path("/dev/shm").glob(f"sem.cpp-{os.getpid()}-*"))),
        "leases": len(list((repo / "leases").glob("*.lease"))),
        "staged": len(list((repo / "staging").iterdir())),
    }


def main() -> None:
    repo, made = Path(sys.argv[1]), 0

    def count(step: Progress) -> None:
        nonlocal made
        if step.task.endswith("solved"):
            made += 1
            if made % 100 == 0:
                print(json.dumps(look(repo)), flush=True)

    results = Repository.open(repo).produce(Request("mean"), jobs=2, progress=count)
    print(json.dumps([result.state for result in results]))


if __name__ == "__main__":
    main()
