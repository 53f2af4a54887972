"""Checks with value, error, limits and unit; their status and the verdict over them are computed, never set."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, computed_field

SIGNIFICANT = 5.0
"""A value beyond its limit is a failure only if it deviates from the expectation by more than this many errors."""

SUSPICIOUS = 3.0
"""The same for a warning, so that small amplifiers do not warn by chance."""


class Status(StrEnum):
    """Outcome of one check."""

    PASS = "PASS"
    WARN = "WARN"
    FAIL = "FAIL"
    NOT_RUN = "NOT_RUN"
    NOT_FINITE = "NOT_FINITE"


class Outcome(StrEnum):
    """Outcome of a whole verification."""

    PASS = "PASS"
    WARN = "WARN"
    FAIL = "FAIL"
    INCOMPLETE = "INCOMPLETE"


class Level(StrEnum):
    """What a check speaks of."""

    AMPLIFIER = "amplifier"
    DETECTOR = "detector"
    EXPOSURE = "exposure"
    RUN = "run"


class Limit(BaseModel):
    """An allowed closed range; None leaves a side open."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float | None = None
    high: float | None = None

    def margin(self, value: float) -> float:
        """Distance to the nearer limit; negative outside."""
        low = math.inf if self.low is None else value - self.low
        high = math.inf if self.high is None else self.high - value
        return min(low, high)

    def __str__(self) -> str:
        if self.low is not None and self.high is not None:
            return f"{self.low:g} … {self.high:g}"
        return f"≥ {self.low:g}" if self.low is not None else f"≤ {self.high:g}"


class Check(BaseModel):
    """One check of one thing.

    ``fail`` and ``warn`` are the allowed ranges. A value outside ``fail`` is FAIL if it deviates from ``expected`` by
    more than `SIGNIFICANT` errors; outside either it is WARN beyond `SUSPICIOUS` errors; else its error explains it
    and it is PASS. ``skipped`` gives the reason of a NOT_RUN.
    ``dead`` marks a failure that only says an amplifier is dead.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    name: str
    level: Level
    value: float = math.nan
    error: float | None = None
    unit: str = ""
    expected: float | None = None
    fail: Limit | None = None
    warn: Limit | None = None
    detector: int | None = None
    amplifier: str = ""
    exposure: str = ""
    reason: str = ""
    skipped: str = ""
    dead: bool = False

    @computed_field  # type: ignore[prop-decorator]
    @property
    def status(self) -> Status:
        """PASS, WARN, FAIL, NOT_RUN or NOT_FINITE, from the numbers."""
        if self.skipped:
            return Status.NOT_RUN
        if not math.isfinite(self.value) or (self.error is not None and not math.isfinite(self.error)):
            return Status.NOT_FINITE
        beyond_fail = self.fail is not None and self.fail.margin(self.value) < 0
        if beyond_fail and self._deviates(SIGNIFICANT):
            return Status.FAIL
        beyond_warn = self.warn is not None and self.warn.margin(self.value) < 0
        return Status.WARN if (beyond_fail or beyond_warn) and self._deviates(SUSPICIOUS) else Status.PASS

    def _deviates(self, errors: float) -> bool:
        """Whether the value is further from the expectation than its error explains; always where there is none."""
        return self.z is None or abs(self.z) > errors

    @property
    def z(self) -> float | None:
        """(value − expected)/error; None without an error or expectation."""
        if self.expected is None or not self.error:
            return None
        return (self.value - self.expected) / self.error

    @property
    def margin(self) -> float | None:
        """Distance to the nearest limit that matters, in the check's unit; negative outside."""
        margins = [limit.margin(self.value) for limit in (self.fail, self.warn) if limit is not None]
        return min(margins) if margins and math.isfinite(self.value) else None

    @property
    def where(self) -> str:
        """Text naming detector, amplifier and exposure."""
        parts = [part for part in (self.amplifier, self.exposure) if part]
        return " ".join([*parts, *([] if self.detector is None else [f"of detector {self.detector}"])])


_COMMON = re.compile(r"A\d")
"""Names of the checks the core makes of every product: they tell nothing of its numbers."""


class Verdict(BaseModel):
    """All checks of one product, and the outcome computed from them.

    ``promised`` are the checks the type declares; one that is neither present nor excused by a NOT_RUN makes the
    verdict INCOMPLETE, and so does a product of which none of them could be made. ``dead_allowed`` is how many dead
    amplifiers the instrument accepts. ``run`` is the collection of the verdicts made together,
    ``ci_cpv_bias/20261122T101500Z``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    id: str
    product: str
    digest: str
    type: str
    checks: tuple[Check, ...]
    promised: tuple[str, ...] = ()
    dead_allowed: int = 0
    residuals: str = Field(default="", description="how held-out residuals were made")
    created: str = ""
    software: dict[str, str] = Field(default_factory=dict)
    run: str = Field(default="", pattern=r"^(ci_cpv_[A-Za-z0-9_]+/[0-9A-Z_]+)?$")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def outcome(self) -> Outcome:
        """PASS, WARN, FAIL or INCOMPLETE."""
        if any(self._fails(check) for check in self.checks) or len(self.dead_amplifiers) > self.dead_allowed:
            return Outcome.FAIL
        if self.missing:
            return Outcome.INCOMPLETE
        soft = any(check.status in (Status.WARN, Status.FAIL, Status.NOT_FINITE) for check in self.checks)
        return Outcome.WARN if soft else Outcome.PASS

    @property
    def missing(self) -> tuple[str, ...]:
        """Promised checks that were possible and not made; those of the type, if none of them could be made."""
        made = {check.name for check in self.checks}
        own = [check for check in self.checks if not _COMMON.fullmatch(check.name)]
        if own and all(check.status is Status.NOT_RUN for check in own):
            made = {name for name in made if _COMMON.fullmatch(name)}
        return tuple(name for name in self.promised if name not in made)

    @property
    def dead_amplifiers(self) -> set[tuple[int | None, str]]:
        """Amplifiers that some check calls dead."""
        return {(check.detector, check.amplifier) for check in self.checks if check.dead}

    @property
    def counts(self) -> dict[str, Counter[Status]]:
        """How many checks of each name ended in each status."""
        counts: dict[str, Counter[Status]] = {}
        for check in self.checks:
            counts.setdefault(check.name, Counter())[check.status] += 1
        return counts

    def problems(self) -> list[Check]:
        """Checks that are neither PASS nor NOT_RUN: failures first, then warnings, each by margin."""
        bad = [check for check in self.checks if check.status not in (Status.PASS, Status.NOT_RUN)]
        return sorted(bad, key=lambda one: (one.status == Status.WARN, one.margin is not None, one.margin or 0.0))

    def waiving(self, names: Collection[str]) -> Verdict:
        """The verdict as it would be without the checks of these names; the outcome follows from the others."""
        checks = tuple(check for check in self.checks if check.name not in names)
        promised = tuple(name for name in self.promised if name not in names)
        return self.model_copy(update={"checks": checks, "promised": promised})

    @property
    def waivable(self) -> set[str]:
        """Names of checks that keep the product from being certified: failed, not finite, or missing."""
        failed = {check.name for check in self.problems() if check.status is not Status.WARN}
        return failed | {check.name for check in self.checks if check.dead} | set(self.missing)

    def _repr_html_(self) -> str:
        from cpp_framework.model.describe import verdict_html

        return verdict_html(self)

    def _fails(self, check: Check) -> bool:
        return check.status in (Status.FAIL, Status.NOT_FINITE) and not check.dead


@dataclass(frozen=True)
class CheckExample:
    """One example that passes and one that fails a check, as functions returning ``(product, ctx)`` for `verify`."""

    passing: Callable[[], tuple[Any, Any]]
    failing: Callable[[], tuple[Any, Any]]


def merge(verdicts: Sequence[Verdict]) -> Outcome:
    """Outcome of several verdicts together: the worst of them."""
    order = [Outcome.FAIL, Outcome.INCOMPLETE, Outcome.WARN, Outcome.PASS]
    return min((verdict.outcome for verdict in verdicts), key=order.index, default=Outcome.PASS)
