"""Bad input of every sort: a named error or a stated rejection, and nothing else happens.

Each group of cases is a module ``cases_GROUP.py`` beside this one, run by ``runner.py`` (its own text says how to run
one case by hand). What must hold after every command is written in ``judge.py``. To add cases, add them to a module;
to add a group, add a module. New verbs get the words of ``cases_cli.py`` by themselves.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
GROUPS = sorted(path.stem.removeprefix("cases_") for path in HERE.glob("cases_*.py"))
JOBS = 2
MOST_SHOWN = 10
REFUSALS = (2, 3, 5)
"""Exit codes of what a user can mend; verdicts (4) and units that failed (6) are told by tables."""
LEAST_HINTS = 0.9
"""Share of refusals that must come with a hint (or the usage line of the argument parser)."""


@pytest.fixture(scope="module")
def worlds() -> Iterator[Path]:
    """A folder for the worlds of the cases, shared by the groups; open to other users, as whom some cases run."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # thousands of small files: no disk need see them
    with tempfile.TemporaryDirectory(prefix="cpp-hostile-", dir=memory, ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module of this folder; its neighbours are forgotten again, for their names are everybody's."""
    monkeypatch.syspath_prepend(str(HERE))
    yield import_module("judge")
    for name in ("judge", "case", "world"):
        sys.modules.pop(name, None)


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
    hints = [
        hint
        for result in results
        for code, hint in zip(result["codes"], result["hints"], strict=True)
        if code in REFUSALS
    ]
    assert sum(hints) >= LEAST_HINTS * len(hints), f"only {sum(hints)} of {len(hints)} refusals have a hint"


WORDS = ("find",)


@pytest.mark.parametrize(
    ("code", "stdout", "stderr", "memory", "complaint"),
    [
        (None, "", "", 0, "hung"),
        (-11, "", "", 0, "ended by signal 11"),
        (7, "", "error: x", 0, "exit code 7"),
        (1, "", "Traceback (most recent call last):", 0, "shows a traceback"),
        (1, "", "error: internal error: KeyError: 'x'", 0, "calls it an internal error"),
        (3, "", "nothing to see", 0, "does not say what was wrong"),
        (0, "", "a.py:1: RuntimeWarning: overflow", 0, "shows a warning"),
        (2, "", "error: \x1b[31mred", 0, r"prints '\\x1b' as it came in"),
        (2, "", "error: " + "x" * 50_000, 0, "prints 50007 characters"),
        (0, "", "", 900_000, "900 MB of memory"),
        (2, "", "error: no such file\nhint: look again", 0, ""),
        (0, "fine", "", 1000, ""),
    ],
)
def test_the_judge_sees_what_is_wrong(
    judge: Any, code: int | None, stdout: str, stderr: str, memory: int, complaint: str
) -> None:
    case = judge.Case("example", (WORDS,))
    found = list(judge.judge_outcome(case, judge.Outcome(WORDS, code, stdout, stderr, 1.0, memory)))
    assert bool(found) == bool(complaint), found
    assert re.search(complaint, "; ".join(found))


def test_the_judge_sees_what_was_touched(judge: Any) -> None:
    case = judge.Case("example", (WORDS,), writes=("work/new",))
    before = {"a": ("file", 1), "b": ("file", 2)}
    after = {"a": ("file", 9), "work/new": ("folder",), "work/new/x": ("file", 3), "c": ("file", 4)}
    found = "; ".join(judge.judge_surroundings(case, before, after))
    assert (
        found
        == "changed 'a' outside the repository; deleted 'b' outside the repository; made 'c' outside the repository"
    )
    lost = "; ".join(judge.judge_repository(before, {"a": ("file", 1)}, {("product", "1")}, set()))
    assert lost == "lost 'b' of the repository; lost 1 rows of the index: ('product', '1')"
    assert list(judge.judge_repository(before, before | {"x/CODE_WAS_RUN": ()}, None, None)) == [
        "ran code that was in a file"
    ]


def test_there_are_at_least_500_cases() -> None:
    counts = json.loads(run())
    assert sorted(counts) == GROUPS
    assert sum(counts.values()) >= 500, counts
