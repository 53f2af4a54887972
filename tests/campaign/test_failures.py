"""What goes wrong blocks what needs it and nothing else, is named, and decides the exit code."""

from __future__ import annotations

from typing import Any

import pytest

Document = dict[str, Any]
PLAIN = "format: 1\npasses: [{type: base}, {type: rate}, {type: response}]\n"


def found(document: Document) -> dict[tuple[str, int, str], Document]:
    """Units by type, detector and filter."""
    return {
        (unit["type"], unit["detector"], unit["key"].get("filter", "")): unit
        for one in document["passes"]
        for unit in one["units"]
    }


def test_a_failed_unit_blocks_only_what_needs_it(make_world) -> None:
    world = make_world(detectors=2)
    world.write(PLAIN)
    units = found(world.run(code=6, CHAIN_RAISES="rate-1"))
    assert {name: unit["state"] for name, unit in units.items()} == {
        ("base", 0, ""): "made",
        ("base", 1, ""): "made",
        ("rate", 0, ""): "made",
        ("rate", 1, ""): "failed",
        ("response", 0, "r"): "made",
        ("response", 0, "g"): "made",
        ("response", 1, "r"): "blocked",
        ("response", 1, "g"): "blocked",
    }
    reason = "needs rate, detector 1, which failed: ArithmeticError: rate-1 does not add up"
    assert units["response", 1, "r"]["reason"] == reason
    done = world.call("run", world.campaign, code=6, CHAIN_RAISES="rate-1")
    assert f"blocked: response, detector 1, filter g: {reason}" in done.stderr
    again = found(world.run())
    assert [name for name, unit in again.items() if unit["state"] == "made"] == [
        ("rate", 1, ""),
        ("response", 1, "g"),
        ("response", 1, "r"),
    ]


def test_the_first_cause_is_named_through_the_chain(world) -> None:
    world.write(PLAIN)
    units = found(world.run(code=6, CHAIN_RAISES="base-0"))
    assert units["response", 0, "r"]["reason"] == (
        "needs base, detector 0, which failed: ArithmeticError: base-0 does not add up"
    )
    assert [unit["state"] for unit in units.values()] == ["failed", "blocked", "blocked", "blocked"]


def test_a_failed_verification_is_told_and_blocks_nothing_unless_it_must_pass(world) -> None:
    world.write(PLAIN)
    document = world.run(code=4, CHAIN_FAILS="base-0")
    assert [unit["state"] for unit in found(document).values()] == ["made"] * 4
    base = found(document)["base", 0, ""]
    assert (base["verdict"], base["verdict_reason"]) == ("FAIL", "sound")
    assert document["verdicts"] == {"FAIL": 1, "PASS": 3}
    # The verdict is stored: the same products, now told that it must pass, are of no use.
    world.write(PLAIN.replace("{type: base}", "{type: base, verify: required}"))
    document = world.run(code=3)
    assert [unit["state"] for unit in found(document).values()] == ["up to date", "blocked", "blocked", "blocked"]
    reason = "needs base, detector 0, whose verdict is FAIL (sound) and must pass"
    assert found(document)["rate", 0, ""]["reason"] == reason


def test_what_failed_is_not_certified_unless_it_is_waived(world) -> None:
    base = "{{type: base, verify: required, certify: {{begin: 2026-11-01{more}}}}}"
    text = (
        "format: 1\npasses: ["
        + base
        + ", {{type: rate, certify: {{begin: 2026-11-01, waive: {{sound: not needed}}}}}}]\n"
    )
    world.write(text.format(more=""))
    document = world.run(code=3, CHAIN_FAILS="base-0")
    assert not found(document)["base", 0, ""]["certified"]
    assert found(document)["rate", 0, ""]["state"] == "blocked"
    world.write(text.format(more=", waive: {sound: known and harmless, A2: not needed}"))
    document = world.run()
    assert found(document)["base", 0, ""]["certified"]
    assert found(document)["rate", 0, ""]["state"] == "made"
    assert [entry.waived for entry in world.repository().store.ledger()] == [{"sound": "known and harmless"}, {}]


def test_a_verification_that_raises_is_incomplete_with_the_reason(world) -> None:
    world.write(PLAIN)
    document = world.run(code=4, CHAIN_VERIFY_RAISES="rate-0")
    rate = found(document)["rate", 0, ""]
    assert (rate["state"], rate["verdict"]) == ("made", "INCOMPLETE")
    assert rate["verdict_reason"] == "ArithmeticError: rate-0 cannot be judged"
    assert found(world.run())["rate", 0, ""]["verdict"] == "PASS", "the next run verifies what has no verdict"


def test_a_pass_with_nothing_to_be_made_from_is_blocked_and_so_is_what_needs_it(world) -> None:
    world.write(PLAIN.replace("{type: base}", "{type: base, select: exposure_time>=1e6}"))
    document = world.run(code=3)
    assert "no exposures of kind bias match" in document["passes"][0]["blocked"]
    assert {unit["state"] for unit in found(document).values()} == {"blocked"}
    assert "none is certified in tinycam/calib" in found(document)["rate", 0, ""]["reason"]
    done = world.call("run", world.campaign, "-n", code=3)
    assert "blocked: nothing to make a base from" in done.stdout
    few = [one.id for one in world.repository().exposures(["kind=bias"])][1:]
    world.write(PLAIN.replace("{type: base}", f"{{type: base, exclude: [{', '.join(few)}]}}"))
    reason = found(world.run(code=3))["rate", 0, ""]["reason"]
    assert reason.startswith("needs base, detector 0, which cannot be made: base, detector 0: 1 exposures of kind bias")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("passes: [{type: base}]", "format: is needed and not there"),
        ("format: 2\npasses: [{type: base}]", "chain.yaml:1: format: input should be 1 (found 2)"),
        ("format: 1\npasses: []", "there must be at least one"),
        (
            "format: 1\npasses:\n- {type: base}\n- {typ: rate}",
            "chain.yaml:4: passes[1].typ: unknown key; did you mean 'type'?",
        ),
        (
            "format: 1\npasses: [{type: base, verify: maybe}]",
            "passes[0].verify: input should be 'no', 'yes' or 'required'",
        ),
        ("format: 1\npasses: [{type: base, label: bad-label}]", "label 'bad-label': use letters"),
        ("format: 1\npasses: [{type: bass}]", "no calibration type 'bass'"),
        ("format: 1\npasses: [{type: base, settings: {scal: 2}}]", "base.scal — unknown; did you mean 'scale'?"),
        ("format: 1\npasses: [{type: base, without: [rate]}]", "a base needs no rate"),
        (
            "format: 1\npasses: [{type: rate, needs: {base: first}}]",
            "no earlier pass is of type 'base' with label 'first'",
        ),
        ("format: 1\npasses: [{type: base, verify: no, certify: {begin: 2026-11-01}}]", "only what is verified"),
        ("format: 1\npasses: [{type: base, certify: {begin: soon}}]", "passes[0].certify.begin: 'soon' is not a date"),
        ("format: 1\npasses: [{type: base, certify: {begn: 2026-11-01}}]", "did you mean 'begin'?"),
        ("format: true\npasses: [{type: base}]", "chain.yaml:1: format: expected the number 1 (found True)"),
        (
            "format: 1\npasses:\n- {type: base, label: a}\n- type: rate\n  needs: {base: b}",
            "chain.yaml:5: passes[1].needs.base: no earlier pass is of type 'base' with label 'b'",
        ),
        (
            "format: 1\npasses:\n- {type: base}\n- {type: base, label: b, select: [filter=r]}\n- {type: base}",
            "chain.yaml:5: passes[2]: is of the same type, label and selection as passes[0]",
        ),
        (
            "format: 1\npasses: [{type: rate, label: a}, {type: base, needs: {rate: a}}]",
            "passes[1].needs: base does not need 'rate'",
        ),
        (
            "format: 1\npasses: [{type: base, certify: {begin: 2026-11-02, end: 2026-11-01}}]",
            "chain.yaml:2: passes[0].certify: the range is empty: begin must be before end",
        ),
        (
            "format: 1\npasses: [{type: base, certify: {begin: open, collection: ../calib}}]",
            "passes[0].certify.collection: is no name for a collection",
        ),
        (
            "format: 1\npasses: [{type: base, certify: {begin: open, collection: ci_cpp_mine}}]",
            "passes[0].certify.collection: begins like the runs cpp makes itself",
        ),
        (
            "format: 1\npasses: [{type: base, certify: {begin: open, waive: {sound: ' '}}}]",
            "passes[0].certify.waive: sound: say why the check may fail",
        ),
        (
            "format: 1\npasses: [{type: base, certify: {begin: open, waive: {sand: dusty}}}]",
            "passes[0].certify.waive: base has no check 'sand'",
        ),
        ("- just\n- a list", "not a YAML mapping"),
    ],
)
def test_a_wrong_file_is_refused_before_anything_is_made(world, text: str, words: str) -> None:
    world.write(text)
    done = world.call("run", world.campaign, code=2)
    assert words in done.stderr
    assert "hint:" in done.stderr
    assert world.traced() == []


def test_dates_and_numbers_may_look_like_what_they_are(world) -> None:
    number = world.repository().exposures(["kind=bias"])[0].exposure.number
    world.write(f"format: 1\npasses: [{{type: base, exclude: {number}, settings: {{scale: 1.5}}}}]  # a comment\n")
    (unit,) = found(world.run()).values()
    repository = world.repository()
    header = repository.store.header(repository.store.product(unit["product"]))
    assert [one.number for one in header.inputs if not one.used] == [number]
    assert header.config == {"scale": 1.5}
