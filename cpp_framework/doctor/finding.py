"""What a check of the doctor finds, and how checks are run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from cpp_framework.errors import CppError


class State(StrEnum):
    """How something is: it works, it works with a drawback, it does not work."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report: what was looked at, how it is, what was found, and what helps."""

    check: str
    state: State
    found: str
    hint: str = ""


Answer = tuple[State, str, str]
"""State, what was found, hint."""
Check = Callable[[], Answer]


def ok(found: str) -> Answer:
    """All is well."""
    return State.OK, found, ""


def warn(found: str, hint: str) -> Answer:
    """It works, with a drawback."""
    return State.WARN, found, hint


def fail(found: str, hint: str) -> Answer:
    """It does not work."""
    return State.FAIL, found, hint


def run_check(name: str, check: Check) -> Finding:
    """Run one check; one that raises is a failure, with the error in words."""
    try:
        return Finding(name, *check())
    except CppError as error:
        return Finding(name, State.FAIL, str(error), error.hint)
    except Exception as error:  # whatever a broken installation brings about is what we are here to tell
        return Finding(
            name, State.FAIL, f"{type(error).__name__}: {error}", "cpp --debug with the command that fails tells more"
        )
