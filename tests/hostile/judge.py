"""What must hold after every command of every case; each complaint is one sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from case import Case, Command
from world import CANARY, Rows, Snapshot

TIME_LIMIT = 30.0
"""Seconds a command may take; the slowest needs about three."""
MEMORY_LIMIT = 400_000
"""Kilobytes by which a command's peak memory may exceed that of the process it was forked from."""
LONGEST = 40_000
"""Characters a command may print: a message must not repeat a file to the user."""

_NAMED = re.compile(
    r"^(error: |refused: |problem: |failed: |blocked: |left out)|^ *Usage: |\bError\b|\b[0-9]+ problems|"
    r"\"refused\": \[\s*\{|\"blocked\": \"[^\"]",
    re.MULTILINE,
)
"""How commands say what was wrong: an error, a line per refusal, or a table or JSON list of them."""
_WARNING = re.compile(r"\w*Warning: |: UserWarning|<frozen |sys:1:")


_WORKERS = "tmp/pymp-"
"""Folder of the server of worker processes; a forked command ends without the tidying up that a program does."""


@dataclass(frozen=True)
class Outcome:
    """What one command did. ``code`` is None if it had to be killed, negative if a signal ended it."""

    command: Command
    code: int | None
    stdout: str
    stderr: str
    seconds: float
    memory: int
    """Peak memory above that of the parent, kilobytes; 0 where not measured."""


def judge_outcome(case: Case, outcome: Outcome) -> Iterator[str]:
    """Complaints about exit code, words, time and memory of one command."""
    allowed = case.codes & (case.first if outcome.command is case.commands[0] else case.codes)
    said = outcome.stdout + outcome.stderr
    if outcome.code is None:
        yield f"hung for {outcome.seconds:.0f} s"
    elif outcome.code < 0:
        yield f"was ended by signal {-outcome.code}"
    elif outcome.code not in allowed:
        yield f"exit code {outcome.code}, allowed are {sorted(allowed)}"
    if "Traceback" in said:
        yield "shows a traceback"
    if "error: internal error" in said:
        yield "calls it an internal error"
    told = outcome.code in (None, 0, 4) or 2 in case.closed  # 4 is told by the verdict
    if not told and not _NAMED.search(said):
        yield "does not say what was wrong"
    if found := _WARNING.search(said):
        yield f"shows a warning meant for programmers ({found.group()!r})"
    if len(said) > LONGEST:
        yield f"prints {len(said)} characters"
    if odd := {letter for letter in said if not letter.isprintable()} - {"\n"}:
        yield f"prints {', '.join(ascii(letter) for letter in sorted(odd))} as it came in"
    if outcome.memory > MEMORY_LIMIT:
        yield f"took {outcome.memory / 1000:.0f} MB of memory"


def judge_surroundings(case: Case, before: Snapshot, after: Snapshot) -> Iterator[str]:
    """Complaints about anything made, changed or deleted outside the repository that was not asked for."""
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) == after.get(name) or name.startswith(_WORKERS):
            continue
        if case.vanishes and name == case.folder:
            continue
        if any(name == wanted or name.startswith(wanted + "/") for wanted in case.writes) and name not in before:
            continue
        done = "made" if name not in before else "deleted" if name not in after else "changed"
        yield f"{done} {name!a} outside the repository"


def judge_repository(before: Snapshot, after: Snapshot, rows: Rows, rows_after: Rows) -> Iterator[str]:
    """Complaints about anything lost from the repository."""
    for name, state in before.items():
        if after.get(name) != state:
            yield f"{'changed' if name in after else 'lost'} {name!a} of the repository"
    if any(name.endswith(f"/{CANARY}") for name in after):
        yield "ran code that was in a file"
    if rows is not None and rows_after is None:
        yield "left an index that cannot be read"
    elif rows is not None and rows_after is not None and (lost := rows - rows_after):
        yield f"lost {len(lost)} rows of the index: {sorted(map(str, lost))[0][:200]}"
