"""Merging verdicts keeps every reason (verification traps: reasons lost at exposure and run level)."""

from __future__ import annotations

from cpp_framework.model import Check, Level, Limit, Outcome, Status, Verdict
from cpp_framework.model.merging import Part, merged_parts


def check(name: str, value: float, *, detector: int = 0, exposure: str = "", **fields: object) -> Check:
    level = Level.EXPOSURE if exposure else Level.AMPLIFIER
    return Check(
        name=name, level=level, value=value, unit="electron", fail=Limit(high=1.0), detector=detector, amplifier="C10",
        exposure=exposure, **fields,
    )  # fmt: skip


def verdict(product: str, *checks: Check, **fields: object) -> Verdict:
    return Verdict(id=f"v-{product}", product=product, digest="d", type="bias", checks=checks, **fields)


def by_name(parts: list[Part]) -> dict[tuple[Level, str], Part]:
    return {(part.level, part.name): part for part in parts}


def test_each_level_has_the_worst_outcome_and_every_reason_below_it() -> None:
    first = verdict("one", check("B1", 0.5, exposure="e1"), check("B1", 3.0, exposure="e2", reason="light leak"))
    second = verdict("two", check("B4", 2.0, detector=1), check("B4", float("nan"), detector=1))
    parts = by_name(merged_parts([first, second]))
    assert {key: part.outcome for key, part in parts.items()} == {
        (Level.EXPOSURE, "e1"): Outcome.PASS,
        (Level.EXPOSURE, "e2"): Outcome.FAIL,
        (Level.DETECTOR, "0"): Outcome.FAIL,
        (Level.DETECTOR, "1"): Outcome.FAIL,
        (Level.RUN, "all"): Outcome.FAIL,
    }
    assert parts[Level.EXPOSURE, "e2"].reasons == ("bias one: B1 C10 e2 FAIL 3 electron (fail ≤ 1): light leak",)
    run = parts[Level.RUN, "all"]
    assert set(parts[Level.DETECTOR, "0"].reasons) | set(parts[Level.DETECTOR, "1"].reasons) == set(run.reasons)
    assert len(run.reasons) == 3
    assert run.counts == {Status.PASS: 1, Status.FAIL: 2, Status.NOT_FINITE: 1}


def test_what_was_not_run_or_is_missing_is_told_at_every_level() -> None:
    skipped = Check(name="B5", level=Level.DETECTOR, detector=0, skipped="needs four exposures")
    parts = by_name(merged_parts([verdict("one", check("B1", 0.1), skipped, promised=("B1", "B5", "B9"))]))
    for key in [(Level.DETECTOR, "0"), (Level.RUN, "all")]:
        assert parts[key].outcome == Outcome.INCOMPLETE
        assert parts[key].reasons == (
            "bias one: B9 MISSING: promised and not made",
            "bias one: B5 NOT_RUN: needs four exposures",
        )


def test_an_accepted_dead_amplifier_stays_a_warning_at_every_level() -> None:
    dead = check("B1", float("nan"), dead=True, reason="dead: every pixel has the same value")
    parts = by_name(merged_parts([verdict("one", dead, dead_allowed=1)]))
    assert {part.outcome for part in parts.values()} == {Outcome.WARN}
    assert all("dead" in reason for part in parts.values() for reason in part.reasons)


def test_one_exposure_in_two_products_has_the_checks_of_both() -> None:
    same = [verdict(name, check("B1", value, exposure="e1")) for name, value in (("one", 0.0), ("two", 2.0))]
    part = by_name(merged_parts(same))[Level.EXPOSURE, "e1"]
    assert part.outcome == Outcome.FAIL
    assert sum(part.counts.values()) == 2
