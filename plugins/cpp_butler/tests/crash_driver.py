"""Kill exports before steps they take on files, look at what is left after each kill, and let the same export finish.

Usage: crash_driver.py REPOSITORY FOLDER. Prints one JSON document. Each export and each look is a process of its own,
forked from this one, which has done nothing but import.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from functools import cache
from pathlib import Path
from typing import Any

from cpp_butler.export import export_repository
from lsst.daf.butler import Butler

from cpp_framework.api import Repository

_STEPS = ("os.rename", "os.link", "os.remove", "os.mkdir", "open")
_LAST = 6


def forked(work: Any) -> tuple[int, Any]:
    """Run something in a child; return the signal that ended it (0 if none) and what it returned."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        with os.fdopen(writing, "w") as pipe:
            pipe.write(json.dumps(work()))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    ended = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    assert ended or os.waitstatus_to_exitcode(status) == 0, "the child failed; its traceback is above"
    return ended, json.loads(text) if text else None


def export(source: Path, target: Path, kill_at: int = 0) -> int:
    """Export, but be killed before the step of that number below the target; return the number of steps."""
    repository = Repository.open(source, write=False)
    steps = 0

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal steps
        if event not in _STEPS or str(target) not in " ".join(map(str, arguments)):
            return
        if event == "open" and arguments[1] in (None, "r", "rb"):
            return
        steps += 1
        if steps == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    export_repository(repository.store, cache(repository.instrument), target)
    return steps


def look(target: Path) -> dict[str, Any]:
    """What a reader finds: ids of datasets, those it cannot read, members of chains, ranges of validity."""
    if not (target / "butler.yaml").exists():
        return {"datasets": [], "unreadable": [], "chain": [], "valid": []}
    butler = Butler.from_config(str(target))
    types = [one.name for one in butler.registry.queryDatasetTypes("*")]
    refs = [
        ref
        for name in types
        for ref in butler.query_datasets(name, collections="*", find_first=False, limit=None, explain=False)
    ]
    unreadable = []
    for ref in set(refs):
        try:
            butler.get(ref)
        except Exception as error:
            unreadable.append(f"{ref}: {error}")
    chains = [one for one in butler.collections.query_info("*") if one.type.name == "CHAINED"]
    found = butler.registry.queryDatasetAssociations("bias", collections="*/calib") if "bias" in types else ()
    return {
        "datasets": sorted({str(ref.id) for ref in refs}),
        "unreadable": unreadable,
        "chain": [list(one.children) for one in chains],
        "valid": sorted([str(one.ref.id), *one.timespan.nsec] for one in found if one.timespan is not None),
    }


def main(source: Path, folder: Path) -> dict[str, Any]:
    """Kill at every fourth step, and at each of the last ones (a product's), each time in a new folder."""
    _, steps = forked(lambda: export(source, folder / "whole"))
    _, whole = forked(lambda: look(folder / "whole"))
    kills, problems, partial = 0, [], set()
    chosen = [*range(1, steps - _LAST, 4), *range(steps - _LAST + 1, steps + 1)]
    for step in chosen:
        target = folder / f"killed_at_{step}"
        ended, _ = forked(lambda at=step, to=target: export(source, to, kill_at=at))
        kills += ended == signal.SIGKILL
        _, left = forked(lambda to=target: look(to))
        partial.add(len(left["datasets"]))
        if left["unreadable"] or (left["chain"] and left["chain"] != whole["chain"]):
            problems.append({"step": step, "left": left})
        forked(lambda to=target: export(source, to))
        _, finished = forked(lambda to=target: look(to))
        remains = sorted(path.name for path in (target / ".cpp_export").iterdir())
        if finished != whole or remains != ["lock"]:
            problems.append({"step": step, "finished": finished, "remains": remains})
    return {"chosen": len(chosen), "kills": kills, "problems": problems, "whole": whole, "partial": sorted(partial)}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]))))
