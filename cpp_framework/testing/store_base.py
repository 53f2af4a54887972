"""What all parts of the conformance suite of stores share: how a store is made and opened, and what it promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, ClassVar

import pytest

from cpp_framework.store import Store, Validity
from cpp_framework.testing.base import ContractBrokenError, require


class StoreSuiteBase:
    """Override the fixture `make_store`, and the capabilities and `opener` where the defaults do not fit."""

    shared_between_processes: ClassVar[bool] = True
    """Whether the same store can be opened again, in this process and in others."""

    sql_index: ClassVar[bool] = True
    """Whether the index is a SQL database that can be written behind the store's back (with ``_database.write()``)."""

    @pytest.fixture
    def make_store(self) -> Callable[[], Store]:
        """Return a function that makes a new, empty store at every call, open for writing."""
        raise ContractBrokenError(f"{type(self).__name__}: override the fixture make_store to return a function")

    @pytest.fixture
    def store(self, make_store: Callable[[], Store]) -> Iterator[Store]:
        """A new store, closed at the end of the test."""
        with make_store() as store:
            yield store

    def opener(self, store: Store, write: bool = True) -> Callable[[], Store]:
        """Return a function that opens the same store again; it must survive pickling, as other processes call it."""
        return partial(type(store).open, store.root, write=write)

    def reopen(self, store: Store, write: bool = True) -> Store:
        """The same store by another handle; skips the test where there is no such thing."""
        self.needs("shared_between_processes")
        return self.opener(store, write)()

    def needs(self, capability: str) -> None:
        """Skip the test, by name, where the store does not promise a capability."""
        if not getattr(self, capability):
            pytest.skip(f"{type(self).__name__} declares {capability} = False")


def require_same(found: Any, wanted: Any, what: str) -> None:
    """Raise `ContractBrokenError` unless two things are equal; ``what`` says what they are."""
    require(found == wanted, f"{what}: found {found!r}, expected {wanted!r}")


def require_no_overlap(validities: list[Validity]) -> None:
    """Raise `ContractBrokenError` if two products of one type and key are valid at one time in a collection."""
    lines: dict[str, list[Validity]] = {}
    for one in validities:
        line = repr((one.collection, one.type, one.instrument, one.detector, sorted(one.key.items())))
        lines.setdefault(line, []).append(one)
    for line, ranges in lines.items():
        for i, first in enumerate(ranges):
            for second in ranges[i + 1 :]:
                apart = _before(first, second) or _before(second, first)
                require(apart, f"two ranges of {line} overlap: {first} and {second}")


def _before(first: Validity, second: Validity) -> bool:
    return first.end is not None and second.begin is not None and first.end <= second.begin
