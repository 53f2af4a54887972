"""`cpp produce --with-deps`, and several types at once: what is needed is made first."""

from __future__ import annotations

import json
from typing import Any

from cpp_framework.campaign import Verifying, with_dependencies
from cpp_framework.declare import Requires
from cpp_framework.plan import Request
from cpp_framework.plugins import Plugins, discover

Document = dict[str, Any]


def made(document: Document) -> list[tuple[str, str, str]]:
    return [
        (unit["type"] + unit["label"].capitalize(), unit["key"].get("filter", ""), unit["state"])
        for one in document["passes"]
        for unit in one["units"]
    ]


def produce(world: Any, *arguments: object, code: int = 0, **more: str) -> Document:
    found: Document = json.loads(world.call("produce", *arguments, "--json", "--jobs", 1, code=code, **more).stdout)
    return found


def test_what_is_needed_is_made_first_and_options_are_for_the_target(world) -> None:
    flat = ("--type", "response", "--filter", "r", "--label", "mine", "--set", "scale=2", "--with-deps")
    assert made(produce(world, *flat)) == [
        ("base", "", "made"),
        ("rate", "", "made"),
        ("spots", "", "made"),
        ("responseMine", "r", "made"),
    ]
    assert world.traced()[-2:] == ["SOLVE spots-0 rate", "SOLVE response-0 base rate spots"]
    assert not [line for line in world.traced() if line.startswith("VERIFY")], "to produce is not to verify"
    headers = [world.repository().store.header(one) for one in world.repository().products()]
    assert {one.type: one.config["scale"] for one in headers} == {
        "base": 1.0,
        "rate": 1.0,
        "spots": 1.0,
        "response": 2.0,
    }
    assert [state for *_, state in made(produce(world, *flat))] == ["up to date"] * 4


def test_an_optional_need_without_exposures_is_left_out_with_a_note(world) -> None:
    for one in world.repository().exposures(["kind=dark"]):
        world.repository().store.flag(one.id, True, "light leaked in")
    done = produce(world, "--type", "response", "--with-deps")
    assert made(done) == [("base", "", "made"), ("response", "g", "made"), ("response", "r", "made")]
    (note,) = [one for one in done["notes"] if one.startswith("rate is")]
    assert "rate is left out: rate, detector 0: 0 exposures of kind dark, at least 1 are needed" in note


def test_what_is_certified_serves_where_nothing_can_be_made(world) -> None:
    base = produce(world, "--type", "base")["units"][0]["product"]
    world.call("verify", base)
    world.call("certify", base, "--begin", "2026-11-01")
    few = world.repository().exposures(["kind=bias"])[1:]
    for one in few:
        world.repository().store.flag(one.id, True, "light leaked in")
    done = produce(world, "--type", "rate", "--with-deps")
    assert made(done) == [("rate", "", "made")]
    (need,) = world.repository().store.header(world.repository().products(type="rate")[0]).needs
    assert (need.id, need.why[:9]) == (base, "certified")


def test_a_product_named_by_use_comes_before_what_could_be_made(world) -> None:
    (unit,) = produce(world, "--type", "base", "--set", "scale=3")["units"]
    done = produce(world, "--type", "rate", "--with-deps", "--use", f"base={unit['product']}")
    assert made(done) == [("rate", "", "made")]
    without = ("--without", "rate", "--without", "spots")
    done = produce(world, "--type", "response", "--with-deps", *without)
    assert [name for name, *_ in made(done)] == ["base", "response", "response"]


def test_several_types_are_made_in_the_order_in_which_they_need_each_other(world) -> None:
    done = produce(world, "--type", "spots", "--type", "response", "--type", "base", "--type", "rate")
    assert [name for name, *_ in made(done)] == ["base", "rate", "response", "response", "spots"]
    assert {state for *_, state in made(done)} == {"made"}
    wrong = world.call("produce", "--type", "base", "--type", "rate", "--label", "mine", code=2)
    assert "are for one type" in wrong.stderr
    assert "no --type is given" in world.call("produce", code=2).stderr


def test_a_dry_run_makes_nothing(world) -> None:
    done = world.call("produce", "--type", "response", "--with-deps", "-n")
    assert done.stdout.count("to do") == 5
    assert world.traced() == []


def test_requirements_in_a_circle_are_cut_where_one_is_optional(monkeypatch) -> None:
    monkeypatch.setenv("CPP_PLUGINS", "bias")
    types = discover()
    bias = types.type("bias")

    def typed(name: str, *requires: Requires) -> None:
        from dataclasses import replace

        types.types[name] = replace(bias, name=name, requires=requires)

    typed("spots", Requires("light", optional=True), Requires("bias"), Requires("absent", optional=True))
    typed("light", Requires("spots"), Requires("bias"))
    assert order(types, "light") == ["bias", "spots", "light"]
    assert order(types, "spots") == ["bias", "light", "spots"]
    campaign = with_dependencies([Request("light", only=("a",), label="mine")], types, Verifying.YES)
    assert [(one.name, one.optional, one.request.only) for one in campaign.passes] == [
        ("bias", True, ("a",)),
        ("spots", True, ("a",)),
        ("light (mine)", False, ("a",)),
    ]


def order(types: Plugins, *names: str) -> list[str]:
    return [one.request.type for one in with_dependencies([Request(name) for name in names], types).passes]


def test_stored_verdicts_are_told_and_decide_nothing(world) -> None:
    base = produce(world, "--type", "base")["units"][0]["product"]
    world.call("verify", base)
    done = produce(world, "--type", "rate", "--with-deps")
    first, second = (unit for one in done["passes"] for unit in one["units"])
    assert (first["product"], first["state"], first["verdict"]) == (base, "up to date", "PASS")
    assert (second["state"], second["verdict"]) == ("made", "")
    assert "PASS" in world.call("produce", "--type", "rate", "--with-deps", "--jobs", 1).stdout
