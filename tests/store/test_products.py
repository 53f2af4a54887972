"""Products, collections, provenance and verdicts."""

from __future__ import annotations

import math

import pytest

from cpp_framework.errors import AmbiguousError, ConfigError, ConflictError, NotFoundError
from cpp_framework.model import Check, Level, Limit, Verdict
from cpp_framework.model.identity import new_id
from cpp_framework.store import CollectionKind, Store, collections, verdicts


def test_put_and_find_again(store: Store, put) -> None:
    record = put(store)
    assert store.path(record).read_bytes() == b"content" * 100
    assert record.path == f"products/{record.run}/bias_cam_det000_{record.short}.fits"
    assert record.size == 700
    for text in ("last", record.id, record.id[:13], record.id.upper(), record.digest, record.digest[:4], record.short):
        assert store.product(text) == record
    assert store.by_recipe(record.recipe) == record
    assert store.by_recipe("0" * 64) is None
    assert list((store.root / "staging").iterdir()) == []


def test_provenance_is_in_the_registry(store: Store, put, make_header) -> None:
    run = store.new_run("bias")
    header = make_header(run)
    record = put(store, run, id=header.id)
    assert store.header(record) == header
    assert store.made_from("e1") == [record]
    assert store.made_from("d1") == [record]
    assert store.made_from("g1") == [record]
    assert store.made_from("e2") == []  # considered, but not used


def test_names_cannot_leave_the_repository(store: Store, put) -> None:
    record = put(store, instrument="../../etc", key={"detector": 0, "filter": "/a/../b", "binning": (2, 1)})
    path = store.path(record).resolve()
    assert path.is_relative_to(store.root / "products")
    assert "2x1" in path.name
    assert record.key == {"detector": 0, "filter": "/a/../b", "binning": [2, 1]}


def test_unknown_and_ambiguous_ids(store: Store, put) -> None:
    with pytest.raises(NotFoundError, match="no product yet in ") as caught:
        store.product("last")
    assert str(store.root) in str(caught.value)
    assert caught.value.hint == "cpp produce --type TYPE"
    first, second = put(store), put(store)
    with pytest.raises(AmbiguousError, match=f"{second.short}.*{first.short}"):
        store.product(first.digest)  # the same content twice
    assert store.product("last") == second
    with pytest.raises(NotFoundError, match="no product has"):
        store.product("0000")
    for text in ("abc", "bias", "%%%%", ""):
        with pytest.raises(NotFoundError, match="is no product id"):
            store.product(text)


def test_products_newest_first_and_filtered(store: Store, put) -> None:
    run = store.new_run("bias")
    a = put(store, run, "a", key={"detector": 0, "filter": "r", "binning": (1, 1)})
    b = put(store, run, "b", detector=1, key={"detector": 1, "filter": "g"})
    c = put(store, store.new_run("dark"), "c", type="dark")
    assert store.products() == [c, b, a]
    assert store.products(type="bias") == [b, a]
    assert store.products(type="bias", detector=1, instrument="cam") == [b]
    assert store.products(key={"filter": "r", "binning": (1, 1)}) == [a]
    assert store.products(key={"filter": None}) == []
    assert store.products(run=run) == store.products(run="ci_cpp_bias") == [b, a]
    assert store.products(run="ci_cpp_flat") == []


def test_by_recipe_wants_an_intact_file(store: Store, put) -> None:
    first, second = put(store), put(store)
    assert store.by_recipe(first.recipe) == second
    store.path(second).write_bytes(b"cut")
    assert store.by_recipe(first.recipe) == first
    store.path(first).unlink()
    assert store.by_recipe(first.recipe) is None


def test_runs_and_chains(store: Store, put) -> None:
    runs = [store.new_run("bias") for _ in range(3)]
    assert len(set(runs)) == 3
    assert store.collections() == []  # reserved names are nothing to see
    put(store, runs[0])
    put(store, runs[2])
    put(store, runs[0], detector=1, key={"detector": 1})
    found = {one.name: one for one in store.collections()}
    assert list(found) == [runs[0], runs[2], "ci_cpp_bias"]
    assert found["ci_cpp_bias"].kind is CollectionKind.CHAINED
    assert found["ci_cpp_bias"].members == (runs[2], runs[0])
    assert [one.n_products for one in found.values()] == [2, 1, 3]


def test_names_of_chains() -> None:
    assert collections.chain_name("ptc") == "ci_cpp_ptc"
    assert collections.chain_name("ptc", "first") == "ci_cpp_ptcFirst"
    assert collections.chain_name("cti", "SERIAL_1") == "ci_cpp_ctiSERIAL_1"
    for label in ("a/b", "../x", "1st", " "):
        with pytest.raises(ConfigError, match="label"):
            collections.chain_name("ptc", label)


def test_second_product_of_one_unit_in_a_run_is_a_conflict(store: Store, put) -> None:
    record = put(store)
    with pytest.raises(ConflictError, match=f"run {record.run} has a bias of cam detector 0"):
        put(store, record.run)
    assert len(list(store.path(record).parent.iterdir())) == 1
    with pytest.raises(ConflictError, match="is not a run"):
        put(store, "ci_cpp_bias/20000101T000000Z")
    with pytest.raises(ConflictError, match="is not a run"):
        put(store, "ci_cpp_bias")
    assert store.products() == [record]


def make_verdict(record, value: float = 1.0) -> Verdict:
    check = Check(
        name="level", level=Level.AMPLIFIER, value=value, error=0.1, unit="adu", fail=Limit(low=0.0, high=2.0),
        detector=0, amplifier="C10", reason="because",
    )  # fmt: skip
    skipped = Check(name="gain", level=Level.DETECTOR, skipped="no gain")
    return Verdict(id=new_id(), product=record.id, digest=record.digest, type="bias", checks=(check, skipped))


def test_verdicts_round_trip_newest_first(store: Store, put) -> None:
    record = put(store)
    assert store.verdicts(record.id) == []
    first, second = make_verdict(record), make_verdict(record, 3.0)
    paths = [store.put_verdict(one) for one in (first, second)]
    stored = [one.model_dump_json() for one in store.verdicts(record.id)]
    assert stored == [second.model_dump_json(), first.model_dump_json()]
    assert [path.parent for path in paths] == [store.path(record).parent] * 2
    again = verdicts.read_verdict(paths[1].read_text())
    assert again.model_dump_json() == second.model_dump_json()
    assert '"outcome": "FAIL"' in paths[1].read_text()


def test_verdict_keeps_what_is_not_finite(store: Store, put) -> None:
    record = put(store)
    store.put_verdict(make_verdict(record, math.nan))
    (back,) = store.verdicts(record.id)
    assert math.isnan(back.checks[0].value)
    assert back.outcome == "FAIL"


def test_verdict_is_bound_to_the_content(store: Store, put) -> None:
    record = put(store)
    with pytest.raises(ConflictError, match="about content"):
        store.put_verdict(make_verdict(record).model_copy(update={"digest": "f" * 64}))
    with pytest.raises(NotFoundError):
        store.put_verdict(make_verdict(record).model_copy(update={"product": new_id()}))
    assert store.verdicts(record.id) == []
