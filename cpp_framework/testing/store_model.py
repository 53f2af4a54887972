"""A naive model of a store, in plain lists and dictionaries: what the real one must agree with after every act.

Time is a row of cells: before the first of a few instants, between two of them, after the last. What is valid when is
a list with one product or None per cell; neither ranges nor splitting nor overlaps appear here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter
from typing import Any

from cpp_framework.errors import ConfigError, ConflictError, CppError, NotFoundError
from cpp_framework.model import Header, Outcome
from cpp_framework.store import ProductRecord
from cpp_framework.testing.store_builders import NIGHT

INSTANTS = [1_795_132_837_000_000_000 + i * NIGHT for i in range(6)]
"""TAI nanoseconds; the first is 2026-11-20T00:00:00 UTC."""
CELLS = len(INSTANTS) + 1

UNITS: list[dict[str, Any]] = [
    {"type": "bias", "detector": 0, "key": {"detector": 0}},
    {"type": "bias", "detector": 1, "key": {"detector": 1}},
    {"type": "flat", "detector": 0, "key": {"detector": 0, "filter": "r"}},
    {"type": "flat", "detector": 0, "key": {"detector": 0, "filter": "g"}},
]
"""What products are of; the model knows a unit by its number."""

FAILED = {Outcome.FAIL: "level", Outcome.INCOMPLETE: "noise"}
"""Outcomes that must be waived, and the check by whose name."""

Edges = tuple[int | None, int | None]
"""Begin and end; None is open."""
Refusal = type[CppError] | None
"""The error a store must raise, if it must."""


@dataclass
class Known:
    """A product as the model knows it."""

    record: ProductRecord
    header: Header
    unit: int
    verdict: Outcome | None = None


@dataclass
class Model:
    """What a store should hold. Acts change it and return None, or return the error the store must raise instead.

    ``products`` are in order of time, members of ``chains`` newest first. ``valid`` is by collection and unit,
    ``ledger`` holds action, collection, product, begin and end, ``bad`` the exposures and their flag.
    """

    products: dict[str, Known] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)
    chains: dict[str, list[str]] = field(default_factory=dict)
    valid: dict[tuple[str, int], list[str | None]] = field(default_factory=dict)
    tags: dict[str, set[str]] = field(default_factory=dict)
    ledger: list[tuple[str, str, str, int | None, int | None]] = field(default_factory=list)
    bad: dict[str, bool] = field(default_factory=dict)

    def copy(self) -> Model:
        """A model that can be changed without changing this one."""
        valid = {line: list(row) for line, row in self.valid.items()}
        tags = {name: set(members) for name, members in self.tags.items()}
        return replace(self, products=dict(self.products), valid=valid, tags=tags, ledger=list(self.ledger))

    def put(self, run: str, wanted: Sequence[int]) -> Refusal:
        """Put products of some units into a run."""
        there = [one.unit for one in self.products.values() if one.record.run == run]
        taken = [*there, *wanted]
        return ConflictError if len(taken) > len(set(taken)) else None

    def certify(self, wanted: Sequence[Known], span: range, collection: str, supersede: bool, waive: bool) -> Refusal:
        """Make products valid in some cells."""
        if not span:
            return ConfigError
        if any(one.verdict is None or (one.verdict in FAILED and not waive) for one in wanted):
            return ConflictError
        for one in wanted:
            row = self.valid.setdefault((collection, one.unit), [None] * CELLS)
            if all(row[cell] == one.record.id for cell in span):
                continue
            others = [row[cell] for cell in span if row[cell] not in (None, one.record.id)]
            if others and (not supersede or any(other.record.id in others for other in wanted)):
                return ConflictError
            for other in dict.fromkeys(others):
                self._take_away(row, span, collection, str(other))
            for cell in span:
                row[cell] = one.record.id
            self._note("certify", collection, one.record.id, span)
        return None

    def decertify(self, wanted: Sequence[Known], span: range, collection: str) -> Refusal:
        """Take some cells away from products."""
        if not span:
            return ConfigError
        for one in wanted:
            row = self.valid.get((collection, one.unit), [None] * CELLS)
            if one.record.id not in [row[cell] for cell in span]:
                return NotFoundError
            self._take_away(row, span, collection, one.record.id)
        return None

    def tag(self, name: str, wanted: Sequence[Known]) -> Refusal:
        """Put products into a tagged collection."""
        for one in wanted:
            if one.record.id not in self.tags.setdefault(name, set()):
                self.tags[name].add(one.record.id)
                self._note("tag", name, one.record.id)
        return None

    def untag(self, name: str, wanted: Sequence[Known]) -> Refusal:
        """Take products out of a tagged collection."""
        for one in wanted:
            if one.record.id not in self.tags.get(name, set()):
                return NotFoundError
            self.tags[name].remove(one.record.id)
            self._note("untag", name, one.record.id)
        return None

    def remove(self, wanted: Sequence[Known]) -> Refusal:
        """Remove products that nothing needs."""
        going = {one.record.id for one in wanted}
        certified = {product for row in self.valid.values() for product in row}
        tagged = set().union(*self.tags.values())
        used = {need.id for one in self.products.values() if one.record.id not in going for need in one.header.needs}
        if going & (certified | tagged | used):
            return ConflictError
        for one in wanted:
            if self.products.pop(one.record.id, None) is not None:  # the same may be named twice
                self._note("remove", one.record.run, one.record.id)
        return None

    def in_force(self) -> list[tuple[str, int, str, int | None, int | None]]:
        """Collection, unit, product, begin and end: neighbouring cells of one product are one range."""
        found = []
        for (collection, unit), row in self.valid.items():
            for product, pairs in groupby(enumerate(row), key=itemgetter(1)):
                cells = [cell for cell, _ in pairs]
                if product is not None:
                    found.append((collection, unit, product, *_edges(range(cells[0], cells[-1] + 1))))
        return sorted(found, key=repr)

    def members(self, name: str) -> list[str]:
        """Products of any collection, newest first."""
        valid = {product for (collection, _), row in self.valid.items() if collection == name for product in row}
        return [
            product
            for product, one in reversed(self.products.items())
            if name in (one.record.run, one.record.run.rpartition("/")[0])
            or product in valid
            or product in self.tags.get(name, ())
        ]

    def _take_away(self, row: list[str | None], span: range, collection: str, product: str) -> None:
        for cell in span:
            row[cell] = None if row[cell] == product else row[cell]
        self._note("decertify", collection, product, span)

    def _note(self, act: str, collection: str, product: str, span: range | None = None) -> None:
        self.ledger.append((act, collection, product, *(_edges(span) if span else (None, None))))


def cells_between(edges: Edges) -> range:
    """The cells between two instants, given by their numbers."""
    begin, end = edges
    return range(0 if begin is None else begin + 1, CELLS if end is None else end + 1)


def _edges(span: range) -> Edges:
    """The instants (TAI nanoseconds) at the ends of some cells."""
    begin = None if span.start == 0 else INSTANTS[span.start - 1]
    return begin, None if span.stop == CELLS else INSTANTS[span.stop - 1]
