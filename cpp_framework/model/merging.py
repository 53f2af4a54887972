"""Verdicts merged to exposures, detectors and the run; every reason of every part goes along."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cpp_framework.model.check import Check, Level, Outcome, Status, Verdict, merge


@dataclass(frozen=True)
class Part:
    """What all checks of one exposure, detector or run together say.

    ``counts`` is how many checks ended in each status; ``reasons`` has one text per check that did not pass, per check
    that was not run, and per check that is missing.
    """

    level: Level
    name: str
    outcome: Outcome
    counts: Mapping[Status, int]
    reasons: tuple[str, ...]


def merged_parts(verdicts: Sequence[Verdict]) -> list[Part]:
    """Merge verdicts: a part per exposure, one per detector, and one for all of them.

    An exposure has the checks that speak of it, a detector those of all its products. The outcome of an exposure
    follows from its checks alone; those of detectors and the run also know of checks that were promised and not made,
    and of dead amplifiers the instrument accepts.
    """
    exposures = dict.fromkeys(check.exposure for one in verdicts for check in one.checks if check.exposure)
    parts = [_exposure(name, verdicts) for name in exposures]
    for detector in sorted({_detector(one) for one in verdicts}):
        inside = [one for one in verdicts if _detector(one) == detector]
        parts.append(_whole(Level.DETECTOR, str(detector), inside))
    return [*parts, _whole(Level.RUN, "all", verdicts)]


def _exposure(name: str, verdicts: Sequence[Verdict]) -> Part:
    own = [one.model_copy(update={"checks": _of(name, one.checks), "promised": ()}) for one in verdicts]
    return _whole(Level.EXPOSURE, name, [one for one in own if one.checks])


def _of(exposure: str, checks: Iterable[Check]) -> tuple[Check, ...]:
    return tuple(check for check in checks if check.exposure == exposure)


def _whole(level: Level, name: str, verdicts: Sequence[Verdict]) -> Part:
    counts = Counter(check.status for one in verdicts for check in one.checks)
    reasons = tuple(dict.fromkeys(reason for one in verdicts for reason in _reasons(one)))
    return Part(level, name, merge(verdicts), dict(counts), reasons)


def _reasons(verdict: Verdict) -> list[str]:
    subject = f"{verdict.type} {verdict.product[-8:]}"
    skipped = [check for check in verdict.checks if check.status is Status.NOT_RUN]
    return [
        *(f"{subject}: {_said(check)}" for check in verdict.problems()),
        *(f"{subject}: {name} MISSING: promised and not made" for name in verdict.missing),
        *(f"{subject}: {check.name} {_place(check)}NOT_RUN: {check.skipped}" for check in skipped),
    ]


def _said(check: Check) -> str:
    value = f"{check.value:.4g} {check.unit}".strip()
    limits = " ".join(f"{kind} {limit}" for kind, limit in (("fail", check.fail), ("warn", check.warn)) if limit)
    why = f": {check.reason}" if check.reason else ""
    return f"{check.name} {_place(check)}{check.status.value} {value} ({limits or 'no limit'}){why}"


def _place(check: Check) -> str:
    return "".join(f"{part} " for part in (check.amplifier, check.exposure) if part)


def _detector(verdict: Verdict) -> int:
    return next((check.detector for check in verdict.checks if check.detector is not None), 0)
