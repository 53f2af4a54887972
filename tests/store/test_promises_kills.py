"""Promises 1, 7 and 8: what is visible is whole, acts are done wholly or not at all, removals can be taken up again."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from cpp_framework.errors import ConflictError, NotFoundError, StoreError
from cpp_framework.model.identity import new_id
from cpp_framework.store import Store, schema
from cpp_framework.store.removal import tombstones

ROUNDS = 200
WHO = ("cam0", "cam1")

Act = dict[str, Any]


@dataclass(frozen=True)
class State:
    """What is to be seen of the products of one instrument, in a form that can be foretold."""

    products: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Detector and number of inputs, by id."""
    verdicts: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Product and number of checks, by id."""
    valid: frozenset[tuple[str, int, int]] = frozenset()
    tagged: frozenset[str] = frozenset()
    flags: frozenset[str] = frozenset()
    ledger: tuple[tuple[str, str], ...] = ()
    """Action and product, in order; the lines of removed products stay."""
    exposures: frozenset[str] = frozenset()


def seen(store: Store, who: str) -> State:
    """What a reader sees in one transaction."""
    product, verdict, ledger, flag = schema.product.c, schema.verdict.c, schema.ledger.c, schema.exposure_flag.c
    exposure = schema.exposure.c
    with store._database.read() as connection:
        rows = connection.execute(select(product.id, product.detector).where(product.instrument == who)).all()
        n_inputs = Counter(connection.execute(select(schema.product_input.c.product)).scalars())
        verdicts = connection.execute(select(verdict.id, verdict.product)).all()
        n_checks = Counter(connection.execute(select(schema.verdict_check.c.verdict)).scalars())
        valid = connection.execute(select(schema.validity)).all()
        tagged = connection.execute(select(schema.tag_member.c.product)).scalars().all()
        flags = connection.execute(select(flag.because).where(flag.instrument == who)).scalars().all()
        exposures = connection.execute(select(exposure.id).where(exposure.instrument == who)).scalars().all()
        lines = connection.execute(select(ledger.action, ledger.product).where(ledger.who == who).order_by("sequence"))
        ours = {row.id for row in rows}
        return State(
            {row.id: (row.detector, n_inputs[row.id]) for row in rows},
            {row.id: (row.product, n_checks[row.id]) for row in verdicts if row.product in ours},
            frozenset((row.product, row.begin, row.end) for row in valid if row.product in ours),
            frozenset(ours.intersection(tagged)),
            frozenset(flags),
            tuple((row.action, row.product) for row in lines),
            frozenset(exposures),
        )


def after(state: State, act: Act) -> State:
    """What is to be seen when an act of `writer.py` is done: a naive model of the store."""
    match act["act"]:
        case "put":
            return replace(state, products=state.products | {one: (chip, 2) for one, chip in act["products"]})
        case "verdict":
            return replace(state, verdicts=state.verdicts | {act["id"]: (act["product"], 1)})
        case "flag":
            return replace(state, flags=state.flags | {act["because"]})
        case "ingest":
            return replace(state, exposures=state.exposures | {act["id"]})
        case "remove":
            gone = set(act["products"])
            products = {one: row for one, row in state.products.items() if one not in gone}
            verdicts = {one: row for one, row in state.verdicts.items() if row[0] not in gone}
            lines = [("remove", one) for one in act["products"]]
            return replace(state, products=products, verdicts=verdicts, ledger=(*state.ledger, *lines))
        case "gc":
            return state
    for one in act["products"]:
        state = _after_line(state, act, one)
    return state


def _after_line(state: State, act: Act, one: str) -> State:
    """What is to be seen when a product is certified, decertified, tagged or untagged."""
    lines = [(act["act"], one)]
    if act["act"] in ("tag", "untag"):
        tagged = state.tagged | {one} if act["act"] == "tag" else state.tagged - {one}
        return replace(state, tagged=tagged, ledger=(*state.ledger, *lines))
    begin, end = (-(2**63), 2**63 - 1) if act["begin"] is None else (act["begin"], act["end"])
    concerned = [one]
    if act["act"] == "certify":
        rivals = {p for p, (detector, _) in state.products.items() if detector == state.products[one][0]}
        touched = sorted((a, p) for p, a, b in state.valid if p in rivals and a < end and b > begin)
        concerned = list(dict.fromkeys(p for _, p in touched))
        lines = [("decertify", p) for p in concerned] + lines
    valid: set[tuple[str, int, int]] = set()
    for p, a, b in state.valid:
        pieces = [(a, min(b, begin)), (max(a, end), b)] if p in concerned and a < end and b > begin else [(a, b)]
        valid |= {(p, x, y) for x, y in pieces if x < y}
    if act["act"] == "certify":
        valid.add((one, begin, end))
    return replace(state, valid=frozenset(valid), ledger=(*state.ledger, *lines))


def check_files(store: Store) -> int:
    """Check every registered product against its file; return how many there are."""
    records = store.products()
    for record in records:
        content = store.path(record).read_bytes()
        assert len(content) == record.size
        assert hashlib.sha256(content).hexdigest() == record.sha256
    return len(records)


def check_nothing_is_left(store: Store) -> None:
    """Check that the repository holds what its rows name and nothing else, and is sound."""
    report = store.collect_garbage(older=0.0)
    assert (report.unknown, report.lost) == ((), ())
    with store._database.read() as connection:
        assert connection.execute(schema.trash.select()).all() == []
        columns = (schema.product.c.path, schema.verdict.c.path, schema.ledger.c.path)
        named = {path for column in columns for path in connection.execute(select(column)).scalars()}
        n_flags = len(connection.execute(schema.exposure_flag.select()).all())
    folders = [store.root / name for name in ("products", "ledger", "flags", "staging")]
    there = {str(path.relative_to(store.root)) for folder in folders for path in folder.rglob("*") if path.is_file()}
    there -= set(report.acts)  # of commands that were killed just before their commit: kept, and told
    assert {path for path in there if not path.startswith("flags/")} == named
    assert len(there - named) == n_flags
    assert store.audit() == []


@pytest.mark.slow
def test_promise_1_kills_at_random_moments_lose_nothing_and_show_nothing_half_done(
    store: Store, writers, tmp_path: Path, make_exposure, make_raw
) -> None:
    """Two writers at once do every kind of act; what returned is there, what did not is there wholly or not at all."""
    store.ingest([make_raw(make_exposure(id=f"E_{who}", instrument=who)) for who in WHO])
    moment = random.Random(20261123)
    of = dict(zip(WHO, writers, strict=False))
    states = {who: seen(store, who) for who in WHO}
    done: Counter[str] = Counter()
    for i in range(ROUNDS):
        logs = {who: tmp_path / f"{who}_{i}.log" for who in WHO}
        pids = {who: of[who].start("acts", store.root, who, logs[who], 2 * i + n) for n, who in enumerate(WHO)}
        assert [of[who].line() for who in WHO] == ["working"] * 2
        for who in moment.sample(WHO, 2):
            time.sleep(moment.uniform(0.0, 0.08))
            os.kill(pids[who], signal.SIGKILL)
        assert [of[who].line() for who in WHO] == ["gone -9"] * 2
        again = Store.open(store.root)
        for who in WHO:
            states[who] = settled(seen(again, who), states[who], logs[who].read_text().splitlines(), done)
        check_files(again)
    check_nothing_is_left(store)
    print(f"{ROUNDS} rounds: {dict(done)}; {check_files(store)} products are left")
    assert set(done) >= {"put", "verdict", "certify", "decertify", "tag", "untag", "flag", "ingest", "remove"}
    assert done["registered"] >= ROUNDS


def settled(actual: State, state: State, log: Iterable[str], done: Counter[str]) -> State:
    """Check what is seen after a kill against what a writer's log says, and return it."""
    act: Act | None = None
    for line in log:
        if line != "done":
            act = json.loads(line)
        elif act is not None:
            done[act["act"]] += 1
            done["registered"] += len(act["products"]) if act["act"] == "put" else 0
            state, act = after(state, act), None
    done["killed inside"] += act is not None
    assert actual in ([state] if act is None else [state, after(state, act)]), f"killed in {act}"
    return actual


@dataclass(frozen=True)
class Scene:
    """A repository with something for every act to work on, with garbage, and the acts."""

    store: Store
    acts: dict[str, Act]


@pytest.fixture
def scene(store: Store, writer, make_exposure, make_raw) -> Scene:
    store.ingest([make_raw(make_exposure(id="E_cam0", instrument="cam0"))])
    first, second, third = (store.new_run("bias") for _ in range(3))
    a, b, c, d, e, f, g = (new_id() for _ in range(7))

    def act(name: str, *products: Any, **more: Any) -> Act:
        return {"act": name, "who": "cam0", "products": products, **more}

    for one in (
        act("put", (a, 0), (b, 1), run=first), act("put", (c, 0), (d, 4), run=second),
        *[act("verdict", product=one, id=new_id()) for one in (a, b, c, d, d)],
        act("certify", a, begin=0, end=50), act("tag", b),
    ):  # fmt: skip
        assert writer.run("act", store.root, one, -1) == "gone 0"
    # Garbage: a staged file and an empty folder, and a published file without a row.
    assert writer.run("act", store.root, act("put", (e, 5), run=third), 0) == "gone -9"
    (store.root / "products" / second / "bias_cam0_det009_0123abcd.fits").write_bytes(b"whose row was never committed")
    acts = {
        "put": act("put", (e, 5), run=third),
        "put several": act("put", (e, 5), (f, 6), (g, 7), run=third),
        "verdict": act("verdict", product=a, id=new_id()),
        "certify": act("certify", b, d, begin=0, end=50),
        "supersede": act("certify", c, begin=10, end=20),
        "decertify": act("decertify", a, begin=10, end=20),
        "tag": act("tag", a, c),
        "untag": act("untag", b),
        "flag": act("flag", because=new_id()),
        "ingest": act("ingest", id=new_id()),
        "remove": act("remove", c, d),
        "gc": act("gc"),
    }
    return Scene(store, acts)


ACTS = (
    "put", "put several", "verdict", "certify", "supersede", "decertify", "tag", "untag", "flag", "ingest",
    "remove", "gc",
)  # fmt: skip


def kill_at_every_step(scene: Scene, writer, folder: Path, name: str) -> Iterator[tuple[Store, bool]]:
    """Kill the act at each of its steps, every time in a fresh copy of the repository; the last time it ends.

    Checks that it is done wholly or not at all. Yields the repository as the kill left it, and whether it is done.
    """
    act, before = scene.acts[name], seen(scene.store, "cam0")
    wanted = after(before, act)
    for step in count():
        root = shutil.copytree(scene.store.root, folder / f"{name}{step}")
        end = writer.run("act", root, act, step)
        store = Store.open(root)
        actual = seen(store, "cam0")
        assert actual in ([wanted] if end == "gone 0" else [before, wanted]), f"killed at step {step}: {end}"
        check_files(store)
        yield store, actual == wanted
        if end == "gone 0":
            assert step >= 4
            return
        assert end == "gone -9"


@pytest.mark.parametrize("name", ACTS)
def test_promise_7_killed_at_any_step_an_act_is_done_wholly_or_not_at_all(
    scene: Scene, writer, tmp_path: Path, name: str
) -> None:
    """After any kill what is left over can be cleared, and the same act can be done again."""
    act, wanted = scene.acts[name], after(seen(scene.store, "cam0"), scene.acts[name])
    for store, done in kill_at_every_step(scene, writer, tmp_path, name):
        check_nothing_is_left(store)
        if not done:
            assert writer.run("act", store.root, act, -1) == "gone 0"
        assert seen(store, "cam0") == wanted
        check_nothing_is_left(store)


def test_promise_7_several_puts_with_an_error_among_them_leave_nothing(store: Store, make_header) -> None:
    def staged(run: str, detectors: list[int]):
        for detector in detectors:
            header = make_header(run, str(detector), detector=detector, key={"detector": detector})
            path = store.staging_file(header.recipe)
            path.write_bytes(b"x")
            yield path, header

    run = store.new_run("bias")
    assert len(store.put_all(list(staged(run, [0, 1, 2])))) == 3
    with pytest.raises(ConflictError):
        store.put_all(list(staged(run, [3, 4, 1])))
    assert [one.detector for one in store.products()] == [2, 1, 0]
    assert len(list((store.root / "products" / run).iterdir())) == 3
    assert list((store.root / "staging").iterdir()) == []


def test_promise_8_an_interrupted_removal_shows_nothing_and_is_finished_by_the_next(
    scene: Scene, writer, put, tmp_path: Path
) -> None:
    interrupted = 0
    for store, done in kill_at_every_step(scene, writer, tmp_path, "remove"):
        gone = [one for one in scene.acts["remove"]["products"] if done]
        with store._database.read() as connection:
            stones = tombstones(connection)
        assert {stone.product for stone in stones} in (set(), set(gone))
        for one in gone:
            with pytest.raises(NotFoundError):
                store.product(one)
        if stones:
            interrupted += 1
            store.remove(put(store).id, "another one")
            assert not any((store.root / path).exists() for stone in stones for path in stone.files)
            with store._database.read() as connection:
                assert tombstones(connection) == []
    assert interrupted >= 5  # before each of 5 files went, at least


def test_promise_8_a_product_brought_in_again_survives_the_end_of_its_removal(scene: Scene, writer, tmp_path) -> None:
    """Killed before the tombstone was forgotten, the product then comes back under its id from a copy."""
    one = scene.acts["remove"]["products"][0]
    record = scene.store.product(one)
    left: Store | None = None
    for store, _ in kill_at_every_step(scene, writer, tmp_path, "remove"):
        with store._database.read() as connection:
            stones = tombstones(connection)
        if stones and not any((store.root / path).exists() for stone in stones for path in stone.files):
            left = store
            break
    assert left is not None
    again = {"act": "put", "who": "cam0", "run": record.run, "products": [(one, record.detector)]}
    assert writer.run("act", left.root, again, -1) == "gone 0"
    assert left.product(one).path == record.path
    left.finish_removals()
    assert left.path(record).exists()
    check_nothing_is_left(left)


def test_promise_8_files_that_cannot_be_removed_are_named_and_removed_later(store: Store, put, put_verdict) -> None:
    record = put(store)
    put_verdict(store, record)
    path = store.path(record)
    path.unlink()
    path.mkdir()  # what a user may have done
    with pytest.raises(StoreError, match=r"removed from the index, but not all files are gone: .*fits") as caught:
        store.remove(record.id, "no reason")
    assert "cpp store gc" in caught.value.hint
    assert store.products() == []
    path.rmdir()
    store.collect_garbage(older=0.0)
    check_nothing_is_left(store)
    assert list((store.root / "products").iterdir()) == []
