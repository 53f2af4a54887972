"""Run hostile cases: ``python runner.py FOLDER GROUP [--only TEXT] [--jobs N]``; without arguments, count them.

A group is a module ``cases_GROUP.py`` with a function ``cases() -> Iterable[Case]``. FOLDER keeps the worlds, so that
several groups can share them; it must be readable by everybody, for some cases run as another user. One line of JSON
per case is printed.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import json
import os
import stat
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from case import Case
from execute import run_command
from judge import judge_outcome, judge_repository, judge_surroundings
from world import World, build, kept_files, remove, restore, rows_of, snapshot, warm_up

import cpp_framework
from cpp_framework.stats.cache import prepare_numba_cache


def groups() -> list[str]:
    """Names of all groups of cases."""
    return sorted(path.stem.removeprefix("cases_") for path in Path(__file__).parent.glob("cases_*.py"))


def cases_of(group: str) -> list[Case]:
    """The cases of a group; their names must differ."""
    found: list[Case] = list(import_module(f"cases_{group}").cases())
    names = [case.name for case in found]
    assert len(set(names)) == len(names), sorted({name for name in names if names.count(name) > 1})
    return found


def possible(case: Case) -> bool:
    """Whether a case can be run here: another user must be able to read the program itself."""
    if not case.unprivileged:
        return True
    program = {Path(sys.prefix), Path(cpp_framework.__file__).parent}
    closed = [folder for one in program for folder in [one, *one.parents] if not folder.stat().st_mode & stat.S_IXOTH]
    if closed:
        print(f"left out: {case.name}: other users may not enter {closed[0]}", file=sys.stderr)
    return not closed


def run_case(world: World, case: Case) -> dict[str, Any]:
    """Run a case in a fresh world; what it did, and every complaint about it."""
    restore(world)
    case.prepare(world)
    around, inside, rows = snapshot(world.root, world.repo), kept_files(world.repo), rows_of(world.repo)
    outcomes = [run_command(world, case, command) for command in case.commands]
    complaints = [
        f"`{' '.join(outcome.command)[:200]}` {complaint}"
        for outcome in outcomes
        for complaint in judge_outcome(case, outcome)
    ]
    complaints += judge_surroundings(case, around, snapshot(world.root, world.repo))
    complaints += judge_repository(inside, kept_files(world.repo), rows, rows_of(world.repo))
    return {
        "case": case.name,
        "complaints": complaints,
        "outcomes": [dataclasses.asdict(outcome) for outcome in outcomes] if complaints else [],
        "codes": [outcome.code for outcome in outcomes],
        # With stderr closed there is nowhere to put a hint.
        "hints": [2 in case.closed or "hint: " in one.stderr or "Usage: " in one.stderr for one in outcomes],
        "seconds": round(sum(outcome.seconds for outcome in outcomes), 3),
    }


def world_in(folder: Path) -> World:
    """The world in a folder; built there if it is not."""
    if not folder.with_name(folder.name + ".copy").exists():
        build(folder)
    world = World(folder)
    restore(world)
    warm_up(world)
    assert rows_of(world.repo), "the tables of the index have changed: see _TABLES in world.py"
    return world


def main() -> None:
    """Run what the command line asks for, split between processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("group", nargs="?")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--jobs", type=int, default=1)
    asked = parser.parse_args()
    if asked.folder is None:
        print(json.dumps({group: len(cases_of(group)) for group in groups()}))
        return
    os.environ["NUMBA_CACHE_DIR"] = str(prepare_numba_cache())
    cases = [case for case in cases_of(asked.group) if asked.only in case.name and possible(case)]
    results = os.dup(1)
    os.dup2(2, 1)  # what building the worlds prints is no result
    worlds = [world_in(asked.folder / f"world{i}") for i in range(asked.jobs)]
    gc.collect()
    gc.disable()  # the processes forked from this one would copy every page a collection touches
    children = [_in_child(world, cases[i :: asked.jobs], results) for i, world in enumerate(worlds)]
    sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))


def _in_child(world: World, cases: Sequence[Case], results: int) -> int:
    """Run cases one after the other in a process of their own; return its number."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        for case in cases:
            os.write(results, json.dumps(run_case(world, case)).encode() + b"\n")
        remove(world.root)  # whoever tidies up may not know how to enter folders without permissions
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
