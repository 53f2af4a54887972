"""Status and outcome are computed from numbers, and no reason is lost."""

from __future__ import annotations

import math
from typing import Any

import pytest

from cpp_framework.model import Check, Level, Limit, Outcome, Status, Verdict
from cpp_framework.model.check import merge


def check(value: float = 0.0, **more: Any) -> Check:
    return Check(name=more.pop("name", "B1"), level=Level.AMPLIFIER, value=value, detector=0, **more)


def verdict(*checks: Check, **more: Any) -> Verdict:
    return Verdict(id="v", product="p", digest="d", type="t", checks=checks, **more)


LIMITS = {"expected": 0.0, "fail": Limit(low=-1, high=1), "warn": Limit(low=-0.5, high=0.5)}


@pytest.mark.parametrize(
    ("value", "error", "status"),
    [
        (0.3, 0.01, Status.PASS),
        (-0.7, 0.01, Status.WARN),
        (-0.7, 0.25, Status.PASS),  # beyond the warning, but its error explains it
        (1.2, 0.01, Status.FAIL),
        (-1.2, 0.01, Status.FAIL),
        (1.2, 0.3, Status.WARN),  # beyond the limit, by four errors
        (1.2, 1.0, Status.PASS),  # beyond the limit, but its error explains it
        (1.2, None, Status.FAIL),
        (math.nan, 0.01, Status.NOT_FINITE),
        (0.3, math.inf, Status.NOT_FINITE),
    ],
)
def test_status(value: float, error: float | None, status: Status) -> None:
    assert check(value, error=error, **LIMITS).status == status


def test_status_cannot_be_set_by_hand() -> None:
    with pytest.raises(ValueError, match="status"):
        check(5.0, status="PASS", **LIMITS)


def test_margin_is_to_the_nearest_limit() -> None:
    assert check(0.4, **LIMITS).margin == pytest.approx(0.1)
    assert check(-1.5, **LIMITS).margin == pytest.approx(-1.0)
    assert check(0.4).margin is None


def test_one_failure_fails_all_and_is_listed() -> None:
    bad = check(3.0, **LIMITS, amplifier="A7", exposure="e1")
    found = verdict(check(), bad)
    assert found.outcome == Outcome.FAIL
    assert [one.where for one in found.problems()] == ["A7 e1 of detector 0"]


def test_a_promised_check_must_be_made_or_excused() -> None:
    assert verdict(check(), promised=("B1", "B2")).outcome == Outcome.INCOMPLETE
    excused = check(name="B2", skipped="needs an overscan")
    assert excused.status == Status.NOT_RUN
    assert verdict(check(), excused, promised=("B1", "B2")).outcome == Outcome.PASS


def test_dead_amplifiers_warn_up_to_the_limit() -> None:
    dead = check(math.nan, dead=True, amplifier="A1")
    assert verdict(dead, dead_allowed=1).outcome == Outcome.WARN
    assert verdict(dead, dead_allowed=0).outcome == Outcome.FAIL
    other = check(math.nan, dead=True, amplifier="A2")
    assert verdict(dead, other, dead_allowed=1).outcome == Outcome.FAIL


def test_verdict_survives_json() -> None:
    original = verdict(check(math.nan, amplifier="A1"), check(0.7, error=0.1, **LIMITS), promised=("B1",))
    text = original.model_dump_json(exclude={"outcome": True, "checks": {"__all__": {"status"}}})
    again = Verdict.model_validate_json(text)
    assert again.outcome == original.outcome == Outcome.FAIL
    assert math.isnan(again.checks[0].value)
    assert again.checks[1] == original.checks[1]


def test_notebook_shows_what_failed() -> None:
    html = verdict(check(3.0, **LIMITS, amplifier="A<7>"), check())._repr_html_()
    assert "FAIL" in html
    assert "A&lt;7&gt;" in html


def test_merge_takes_the_worst() -> None:
    assert merge([]) == Outcome.PASS
    assert merge([verdict(check()), verdict(check(0.7, **LIMITS))]) == Outcome.WARN
    assert merge([verdict(check(9.0, **LIMITS)), verdict(promised=("B1",))]) == Outcome.FAIL


def test_a_product_of_which_nothing_could_be_checked_is_incomplete() -> None:
    """The core's own checks say nothing of its numbers."""
    own = Check(name="B1", level=Level.DETECTOR, skipped="no exposure has a held-out residual here")
    core = Check(name="A2", level=Level.DETECTOR, value=0.0)
    verdict = Verdict(id="v", product="p", digest="d", type="bias", checks=(core, own), promised=("A2", "B1"))
    assert verdict.outcome is Outcome.INCOMPLETE
    assert verdict.missing == ("B1",)
    assert verdict.waivable == {"B1"}
    judged = verdict.model_copy(update={"checks": (core, own, Check(name="B4", level=Level.DETECTOR, value=1.0))})
    assert judged.outcome is Outcome.PASS
