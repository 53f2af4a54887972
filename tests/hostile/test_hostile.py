"""Bad input of every sort: a named error or a stated rejection, and nothing else happens.

Each group of cases is a module ``cases_GROUP.py`` beside this one, run by ``runner.py`` (its own text says how to run
one case by hand). What must hold after every command is written in ``judge.py``. To add cases, add them to a module;
to add a group, add a module. New verbs get the words of ``cases_cli.py`` by themselves.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
GROUPS = sorted(path.stem.removeprefix("cases_") for path in HERE.glob("cases_*.py"))
JOBS = 2
MOST_SHOWN = 10
LEAST_HINTS = 0.9
"""Share of refusals that must come with a hint (or the usage line of the argument parser)."""


@pytest.fixture(scope="module")
def worlds() -> Iterator[Path]:
    """A folder for the worlds of the cases, shared by the groups; open to other users, as whom some cases run."""
    with tempfile.TemporaryDirectory(prefix="cpp-hostile-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def run(*arguments: object) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CPP_")}
    command = [sys.executable, HERE / "runner.py", *arguments]
    done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def described(result: dict[str, Any]) -> str:
    """A failed case in words: what it was, what is wrong, and the end of what was said."""
    lines = [f"{result['group']}: {result['case']}", *(f"    {complaint[:500]}" for complaint in result["complaints"])]
    lines += [f"    said: {outcome['stderr'][-300:]!r}" for outcome in result["outcomes"]]
    return "\n".join(lines[:12])


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS)
def test_bad_input_is_refused_by_name_and_harms_nothing(group: str, worlds: Path) -> None:
    results = [json.loads(line) | {"group": group} for line in run(worlds, group, "--jobs", JOBS).splitlines()]
    failed = [result for result in results if result["complaints"]]
    shown = "\n".join(map(described, failed[:MOST_SHOWN]))
    assert not failed, f"{len(failed)} of {len(results)} cases\n{shown}"
    hints = [hint for result in results for code, hint in zip(result["codes"], result["hints"], strict=True) if code]
    assert sum(hints) >= LEAST_HINTS * len(hints), f"only {sum(hints)} of {len(hints)} refusals have a hint"


def test_there_are_at_least_500_cases() -> None:
    counts = json.loads(run())
    assert sorted(counts) == GROUPS
    assert sum(counts.values()) >= 500, counts
