"""Campaigns through the real program: planned whole, made pass by pass, and nothing twice."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from cpp_framework.store import CollectionKind

Document = dict[str, Any]
N_UNITS = 1 + 1 + 2 + 1 + 1 + 1 + 2
"""One detector; responses are per filter."""
N_VERIFIED = 5


def units(document: Document, type_name: str = "", label: str | None = None) -> list[Document]:
    """Units of all passes, or of those of one type (and label)."""
    chosen = [one for one in document["passes"] if type_name in ("", one["type"]) and label in (None, one["label"])]
    return [unit for one in chosen for unit in one["units"]]


def states(document: Document, type_name: str = "", label: str | None = None) -> Counter[str]:
    return Counter(unit["state"] for unit in units(document, type_name, label))


def test_a_dry_run_shows_all_passes_and_makes_nothing(world) -> None:
    document = json.loads(world.call("run", world.campaign, "-n", "--json").stdout)
    names = [one["type"] + one["label"].capitalize() for one in document["passes"]]
    assert names == ["baseBootstrap", "rateBootstrap", "responseBootstrap", "spots", "base", "rate", "response"]
    assert len(units(document)) == N_UNITS
    assert all(len(unit["recipe"]) == 64 and not unit["existing"] for unit in units(document))
    (spots,) = units(document, "spots")
    assert {name: need["recipe"] for name, need in spots["needs"].items()} == {
        "rate": units(document, "rate", "bootstrap")[0]["recipe"],
        "response": units(document, "response", "bootstrap")[0]["recipe"],
    }
    table = world.call("run", world.campaign, "--dry-run").stdout
    assert "rate (made earlier in this run)" in table
    assert table.count("to do") == N_UNITS
    assert world.traced() == []
    assert world.repository().products() == []


def test_recipes_are_those_of_the_plan_and_those_found_when_the_products_are_there(world) -> None:
    planned = units(json.loads(world.call("run", world.campaign, "-n", "--json").stdout))
    made = units(world.run())
    assert [one["recipe"] for one in made] == [one["recipe"] for one in planned]
    repository = world.repository()
    for unit in made:
        header = repository.store.header(repository.store.product(unit["product"]))
        assert header.recipe == unit["recipe"]
    # The same product by its own command, its needs named: up to date.
    first = made[-2]
    needs = {one.type: one.id for one in repository.store.header(repository.store.product(first["product"])).needs}
    assert set(needs) == {"base", "rate", "spots"}
    use = [word for name, product in needs.items() for word in ("--use", f"{name}={product}")]
    band = ("--filter", first["key"]["filter"])
    (alone,) = json.loads(world.call("produce", "--type", "response", *band, *use, "--json").stdout)["units"]
    assert (alone["state"], alone["recipe"], alone["product"]) == ("up to date", first["recipe"], first["product"])


def test_each_pass_has_its_collections_and_a_second_run_does_nothing(world) -> None:
    first = world.run()
    assert states(first) == {"made": N_UNITS}
    found = {one.name.partition("/")[0]: one for one in world.repository().store.collections()}
    bootstrap = {f"ci_cpp_{name}Bootstrap" for name in ("base", "rate", "response")}
    final = {f"{kind}_{name}" for kind in ("ci_cpp", "ci_cpv") for name in ("base", "rate", "response", "spots")}
    assert set(found) == bootstrap | final, "bootstrap products are not verified"
    verdicts = found["ci_cpv_response"]
    assert (verdicts.kind, verdicts.n_products, len(verdicts.members)) == (CollectionKind.CHAINED, 2, 1)
    judged = world.repository().products(run="ci_cpv_response")
    assert {one.id for one in judged} == {unit["product"] for unit in units(first, "response", "")}
    calls = world.traced()
    assert Counter(line.split()[0] for line in calls) == {"SOLVE": N_UNITS, "VERIFY": N_VERIFIED}
    second = world.run()
    assert states(second) == {"up to date": N_UNITS}
    assert [unit["product"] for unit in units(second)] == [unit["product"] for unit in units(first)]
    assert [unit["verdict"] for unit in units(second)] == [unit["verdict"] for unit in units(first)]
    assert world.traced() == calls


def test_a_later_pass_uses_the_latest_before_it_or_the_one_it_names(world) -> None:
    world.run()
    by_label = {one.id: one.label for one in world.repository().products()}
    for record in world.repository().products(type="rate", label=""):
        (need,) = world.repository().store.header(record).needs
        assert (by_label[need.id], need.why) == ("", "made earlier in this run")
    spots = world.repository().products(type="spots")[0]
    header = world.repository().store.header(spots)
    assert {by_label[need.id] for need in header.needs} == {"bootstrap"}
    response = next(need for need in header.needs if need.type == "response")
    assert "of 2 that fit the one of most exposures" in response.why
    text = world.campaign.read_text().replace("- type: rate", "- {type: rate, needs: {base: bootstrap}}")
    world.write(text)
    world.run()
    newest = world.repository().products(type="rate", label="")[0]
    assert [by_label[need.id] for need in world.repository().store.header(newest).needs] == ["bootstrap"]


def test_one_more_frame_redoes_only_what_depends_on_it(world) -> None:
    excluded = ("--exclude", world.repository().exposures(["kind=flat", "filter=r"])[0].id)
    world.run(*excluded)
    before = world.digests()
    done = world.run()
    assert states(done, "base") == {"up to date": 2}
    assert states(done, "rate") == {"up to date": 2}
    made = {(unit["label"], unit["key"]["filter"]) for unit in units(done, "response") if unit["state"] == "made"}
    assert {band for label, band in made if label == "bootstrap"} == {"r"}
    assert len(before) == N_UNITS


@pytest.mark.slow
def test_serial_and_parallel_runs_make_the_same(make_world) -> None:
    found = []
    for jobs in (1, 2):
        world = make_world(f"jobs{jobs}", detectors=2)
        done = world.call("run", world.campaign, "--jobs", jobs, "--json")
        assert states(json.loads(done.stdout)) == {"made": 2 * N_UNITS}
        found.append(world.digests())
    assert found[0] == found[1]


def test_time_is_told_per_pass_and_stage(world) -> None:
    document = world.run(CHAIN_SLEEP="0.05")
    for one in document["passes"]:
        stages = one["stages"]
        assert list(stages) == ["correcting", "measuring", "solving", "writing", "verifying"]
        assert stages["solving"] > 0.05 * len(one["units"])
        assert stages["writing"] > 0
        assert (stages["correcting"] > 0) == (one["type"] != "spots")
        assert (stages["verifying"] > 0) == (one["label"] != "bootstrap")
        assert sum(stages.values()) <= one["seconds"], "with one job at a time"
    total = sum(one["stages"]["solving"] for one in document["passes"])
    assert document["stages"]["solving"] == pytest.approx(total, abs=0.01)
    done = world.call("run", world.campaign, "--jobs", 1)
    assert "seconds (stages: of all processes together)" in done.stdout
    assert f"{N_UNITS} up to date; verdicts: {N_VERIFIED} PASS" in done.stderr


def test_certified_by_the_campaign_it_serves_and_is_not_certified_twice(world) -> None:
    world.write(
        "format: 1\npasses:\n  - {type: base, certify: {begin: 2026-11-01, end: 2026-12-01, note: first set}}\n"
    )
    document = world.run()
    assert [unit["certified"] for unit in units(document)] == [True]
    again = world.run()
    assert [(unit["state"], unit["certified"]) for unit in units(again)] == [("up to date", True)]
    repository = world.repository()
    assert [entry.note for entry in repository.store.ledger()] == ["first set"]
    world.write("format: 1\npasses: [{type: rate}]\n")
    document = world.run()
    products = {unit["product"] for unit in units(again)}
    for record in repository.products(type="rate"):
        (need,) = repository.store.header(record).needs
        assert need.id in products
        assert need.why.startswith("certified in tinycam/calib")


def test_a_conflict_of_certification_is_told_and_what_is_certified_stays(world) -> None:
    text = (
        "format: 1\npasses:\n  - {{type: base, settings: {{scale: {scale}}}, certify: {{begin: 2026-11-01{more}}}}}\n"
    )
    world.write(text.format(scale=1.0, more=""))
    world.run()
    before = world.repository().store.validities()
    world.write(text.format(scale=2.0, more=""))
    document = world.run(code=5)
    assert [unit["certified"] for unit in units(document)] == [False]
    assert "cannot be valid" in document["passes"][0]["conflict"]
    assert world.repository().store.validities() == before
    world.write(text.format(scale=2.0, more=", supersede: true"))
    assert [unit["certified"] for unit in units(world.run())] == [True]
