"""What a run tells: one result per unit, and each step forward."""

from __future__ import annotations

from concurrent.futures import BrokenExecutor
from dataclasses import dataclass

from cpp_framework.errors import CppError
from cpp_framework.plan.unit import Unit


@dataclass(frozen=True)
class UnitResult:
    """What became of one unit, with the reason.

    ``state`` is ``made``, ``up to date``, ``blocked`` (inputs are missing), ``failed``, or ``interrupted`` (stopped
    before it was complete; the same command goes on). ``seconds`` passed from beginning to end; the others are what
    its stages took, of all processes together (reading is part of correcting).
    """

    unit: Unit
    state: str
    product: str = ""
    reason: str = ""
    hint: str = ""
    seconds: float = 0.0
    correct_seconds: float = 0.0
    measure_seconds: float = 0.0
    solve_seconds: float = 0.0
    write_seconds: float = 0.0


@dataclass(frozen=True)
class Progress:
    """One step forward: tasks done of all, and what was done of which unit.

    With ``notice``, ``task`` is no step but a message the user should see: who is waited for, or that a worker died.
    """

    done: int
    total: int
    task: str
    notice: bool = False


def settled(unit: Unit) -> UnitResult:
    """Result of a unit that needs no work, or allows none."""
    if unit.existing:
        return UnitResult(unit, "up to date", unit.existing)
    return UnitResult(unit, "blocked", reason=unit.blocked, hint=unit.hint)


def failed(unit: Unit, error: Exception, jobs: int) -> UnitResult:
    """Result of a unit that met an error while ``jobs`` tasks ran at a time."""
    if isinstance(error, BrokenExecutor):
        error = CppError(
            "a worker process was killed while it worked on this, probably because memory ran out",
            hint=f"try --jobs {max(1, jobs // 2)} or a smaller --memory",
        )
    if isinstance(error, CppError):
        return UnitResult(unit, "failed", reason=str(error), hint=error.hint)
    reason = f"{type(error).__name__}: {error}"
    return UnitResult(unit, "failed", reason=reason, hint="run again with cpp --debug for the traceback")
