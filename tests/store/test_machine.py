"""Random acts on a store, compared after each with the naive model of `cpp_framework.testing.store_model`."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from cpp_framework.model import Header, NeedRecord, Outcome
from cpp_framework.store import RawFile, Store, collections, ledger, products
from cpp_framework.testing.store_builders import build_exposure, build_header, build_verdict, stage, write_raw
from cpp_framework.testing.store_model import (
    CELLS,
    FAILED,
    INSTANTS,
    UNITS,
    Edges,
    Known,
    Model,
    Refusal,
    cells_between,
)

TAGS = ["good", "published/2026"]
CALIBRATIONS = ["cam/calib", "u/somebody/try"]
EXPOSURES = 3

EDGES = [None, *range(len(INSTANTS))]
RANGES = [(begin, end) for begin in EDGES for end in EDGES if begin is None or end is None or begin < end]

ranges = st.sampled_from([*RANGES, (3, 3), (4, 1)])
index = st.integers(0, 1000)
indices = st.lists(index, min_size=1, max_size=2)
calibrations = st.sampled_from(CALIBRATIONS)
units = st.integers(0, len(UNITS) - 1)
outcomes = st.sampled_from([Outcome.PASS, Outcome.PASS, Outcome.WARN, Outcome.FAIL, Outcome.INCOMPLETE])


class StoreMachine(RuleBasedStateMachine):
    """Acts on a store and its model."""

    make_store: Callable[[Path], Store]

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="cpp-machine-"))
        self.store = type(self).make_store(self.folder / "repository")
        self.model = Model()
        self.raw: dict[int, RawFile] = {}

    # -- acts --------------------------------------------------------------------------------------------------------

    @initialize()
    def begin_with_some_products(self) -> None:
        for unit in (0, 0, 2):
            self.put(None, [unit], None)
        for which in range(3):
            self.verify(which, Outcome.PASS)

    @rule(run=st.none() | index, wanted=st.lists(units, min_size=1, max_size=3), need=st.none() | index)
    def put(self, run: int | None, wanted: list[int], need: int | None) -> None:
        name = self.store.new_run("bias") if run is None else self.model.runs[run % len(self.model.runs)]
        if run is None:
            assert name not in self.model.runs
            self.model.runs.append(name)
        needs = () if need is None or not self.model.products else (_need(self.pick([need])[0]),)
        headers = [build_header(name, needs=needs, **UNITS[unit]) for unit in wanted]
        pairs = [stage(self.store, header) for header in headers]
        records = self.act(self.model.put(name, wanted), lambda: self.store.put_all(pairs))
        for record, header, unit in zip(records, headers, wanted, strict=bool(records)):
            self.model.products[record.id] = Known(record, header, unit)
            chain = self.model.chains.setdefault(name.rpartition("/")[0], [])
            if name not in chain:
                chain.insert(0, name)

    @precondition(lambda self: self.model.products)
    @rule(which=index, outcome=outcomes)
    def verify(self, which: int, outcome: Outcome) -> None:
        (one,) = self.pick([which])
        self.store.put_verdict(build_verdict(one.record, outcome))
        one.verdict = outcome

    @precondition(lambda self: self.model.products)
    @rule(which=indices, edges=ranges, collection=calibrations, waive=st.booleans())
    def certify(self, which: list[int], edges: Edges, collection: str, waive: bool, supersede: bool = False) -> None:
        wanted = self.pick(which)
        reasons = {FAILED[one.verdict]: "known" for one in wanted if waive and one.verdict in FAILED}
        options: dict[str, Any] = {"collection": collection, "supersede": supersede, "waive": reasons}
        self.act(
            self.try_model(lambda model: model.certify(wanted, cells_between(edges), collection, supersede, waive)),
            lambda: self.store.certify([one.record.id for one in wanted], *_instants(edges), **options),
        )

    @precondition(lambda self: self.model.products)
    @rule(which=indices, edges=ranges, collection=calibrations, waive=st.booleans())
    def supersede(self, which: list[int], edges: Edges, collection: str, waive: bool) -> None:
        self.certify(which, edges, collection, waive, supersede=True)

    @precondition(lambda self: self.model.in_force())
    @rule(which=indices, edges=ranges, collection=calibrations)
    def decertify(self, which: list[int], edges: Edges, collection: str) -> None:
        wanted = self.pick(which, self.model.members(collection))
        self.act(
            self.try_model(lambda model: model.decertify(wanted, cells_between(edges), collection)),
            lambda: self.store.decertify([one.record.id for one in wanted], *_instants(edges), collection=collection),
        )

    @precondition(lambda self: self.model.products)
    @rule(which=indices, name=st.sampled_from(TAGS))
    def tag(self, which: list[int], name: str) -> None:
        wanted = self.pick(which)
        self.act(
            self.try_model(lambda model: model.tag(name, wanted)),
            lambda: self.store.tag(name, [one.record.id for one in wanted]),
        )

    @precondition(lambda self: any(self.model.tags.values()))
    @rule(which=indices, name=st.sampled_from(TAGS))
    def untag(self, which: list[int], name: str) -> None:
        wanted = self.pick(which, self.model.members(name))
        self.act(
            self.try_model(lambda model: model.untag(name, wanted)),
            lambda: self.store.untag(name, [one.record.id for one in wanted]),
        )

    @precondition(lambda self: self.model.products)
    @rule(which=indices)
    def remove(self, which: list[int]) -> None:
        wanted = self.pick(which)
        self.act(
            self.try_model(lambda model: model.remove(wanted)),
            lambda: self.store.remove_all([one.record.id for one in wanted], because="chance"),
        )

    @rule(number=st.integers(1, EXPOSURES), bad=st.booleans())
    def ingest_and_flag(self, number: int, bad: bool) -> None:
        one = build_exposure(number)
        if number not in self.raw:
            self.raw[number] = write_raw(self.folder / "raw", one)
        self.store.ingest([self.raw[number]])
        self.store.flag(one.id, bad, "chance")
        self.model.bad[one.id] = bad

    # -- looks -------------------------------------------------------------------------------------------------------

    @rule(unit=units, collection=calibrations)
    def look_up_the_best(self, unit: int, collection: str) -> None:
        """At every instant, and a nanosecond before."""
        wanted = self.model.valid.get((collection, unit), [None] * CELLS)
        for i, instant in enumerate(INSTANTS):
            for at, cell in ((instant - 1, i), (instant, i + 1)):
                kind, detector, key = (UNITS[unit][name] for name in ("type", "detector", "key"))
                found = self.store.best(kind, "cam", detector, at, key, collection)
                assert (found and found.product) == wanted[cell]

    @precondition(lambda self: self.model.products)
    @rule(which=index)
    def look_around(self, which: int) -> None:
        """At one product, all collections, and what the garbage collector finds."""
        self.look_at(self.pick([which])[0])
        runs = list(dict.fromkeys(one.record.run for one in self.model.products.values()))
        names = [*runs, *self.model.chains, *TAGS, *CALIBRATIONS]
        sizes = {name: len(members) for name in names if (members := self.model.members(name))}
        found = self.store.collections()
        assert {one.name: one.n_products for one in found} == sizes
        assert all(list(one.members) == self.model.chains[one.name] for one in found if one.members)
        for name in names:
            assert [one.id for one in self.store.products(run=name)] == self.model.members(name)
        report = self.store.collect_garbage(older=0.0)
        assert (report.unknown, report.lost, report.size) == ((), (), 0)

    def look_at(self, one: Known) -> None:
        assert self.store.product(one.record.short) == one.record
        assert self.store.header(one.record) == one.header
        assert self.store.intact(one.record)
        users = [other for other in reversed(self.model.products.values()) if one.record.id in _ids(other.header)]
        assert self.store.made_from(one.record.id) == [other.record for other in users]
        verdicts = [verdict.outcome for verdict in self.store.verdicts(one.record.id)[:1]]
        assert verdicts == ([one.verdict] if one.verdict else [])

    # -- what always holds -------------------------------------------------------------------------------------------

    @invariant()
    def the_same_is_there(self) -> None:
        assert [one.id for one in self.store.products()] == list(reversed(self.model.products))
        assert self.in_force(self.store) == self.model.in_force()
        lines = [(one.action, one.collection, one.product, one.begin, one.end) for one in self.store.ledger()]
        assert lines == self.model.ledger
        assert {one.id: one.bad for one in self.store.exposures()} == self.model.bad

    def teardown(self) -> None:
        try:
            self.ledger_can_be_replayed()
            assert self.store.audit() == []
            assert self.store._database.problems() == []
        finally:
            self.store.close()
            shutil.rmtree(self.folder)

    def ledger_can_be_replayed(self) -> None:
        """The files of the ledger alone tell what is certified and tagged."""
        entries = self.store.ledger()
        read = [ledger.read_entry((self.store.root / one.path).read_text(encoding="utf-8")) for one in entries]
        assert read == entries
        with Store.in_memory() as again:
            with again._database.write() as connection:
                for one in self.model.products.values():
                    collections.ensure_run(connection, one.record.run)
                    products.insert(connection, one.record, one.header)
                for entry in read:
                    if entry.product in self.model.products:  # others were removed, so they are in no collection
                        ledger.replay(connection, entry, self.model.products[entry.product].record)
            assert again.validities() == self.store.validities()
            for name in TAGS:
                assert again.products(run=name) == self.store.products(run=name)

    # -- helpers -----------------------------------------------------------------------------------------------------

    def pick(self, which: Sequence[int], among: Sequence[str] = ()) -> list[Known]:
        """Products by random numbers, of those named, or of all if none is."""
        known = list(among or self.model.products)
        return [self.model.products[known[i % len(known)]] for i in which]

    def try_model(self, act: Callable[[Model], Refusal]) -> Refusal:
        """Change the model, unless the act is refused."""
        changed = self.model.copy()
        refused = act(changed)
        if refused is None:
            self.model = changed
        return refused

    def act(self, refused: Refusal, act: Callable[[], Any]) -> Any:
        """Do it; it must be refused exactly if the model says so."""
        if refused is None:
            return act()
        with pytest.raises(refused):
            act()
        return []

    def in_force(self, store: Store) -> list[tuple[str, int, str, int | None, int | None]]:
        found = [
            (one.collection, self.model.products[one.product].unit, one.product, one.begin, one.end)
            for one in store.validities()
        ]
        return sorted(found, key=repr)


def _instants(edges: Edges) -> Edges:
    begin, end = (None if edge is None else INSTANTS[edge] for edge in edges)
    return begin, end


def _need(one: Known) -> NeedRecord:
    return NeedRecord(type="gain", id=one.record.id, digest=one.record.digest, recipe=one.record.recipe)


def _ids(header: Header) -> list[str]:
    return [need.id for need in header.needs]


def run_machine(make_store: Callable[[Path], Store], examples: int, *more: Phase) -> None:
    machine = type("Machine", (StoreMachine,), {"make_store": staticmethod(make_store)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate, *more],
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )


@pytest.mark.slow
def test_embedded_store_does_as_the_model() -> None:
    run_machine(Store.create, 15)


@pytest.mark.slow
def test_store_in_memory_does_as_the_model() -> None:
    # Looking for the simplest acts that fail takes minutes: here only, as the other stores fail alike.
    run_machine(lambda folder: Store.in_memory(), 40, Phase.shrink)


@pytest.mark.slow
def test_store_on_a_server_does_as_the_model(postgres: str) -> None:
    run_machine(lambda folder: Store.create(folder, registry=postgres), 4)
