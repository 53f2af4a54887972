"""Every part of the conformance suite of stores catches a store that breaks its promise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from cpp_framework.model import Header, Verdict
from cpp_framework.store import ProductRecord, Store, Validity
from cpp_framework.store.leases import Lease
from cpp_framework.store.postgres import PostgresDatabase
from cpp_framework.testing import ContractBrokenError, StoreSuite

Broken = (ContractBrokenError, pytest.fail.Exception)
"""What a rule raises: a sentence, or that the error it waited for did not come."""


class LosesTheTail(Store):
    """Its files are shorter than it says."""

    def put_all(self, staged: Sequence[tuple[Path, Header]]) -> list[ProductRecord]:
        records = super().put_all(staged)
        for record in records:
            self.path(record).write_bytes(b"cut")
        return records


class PutsOneByOne(Store):
    """What was put before the one that fails stays."""

    def put_all(self, staged: Sequence[tuple[Path, Header]]) -> list[ProductRecord]:
        return [super(PutsOneByOne, self).put_all([pair])[0] for pair in staged]


class ForgetsInputs(Store):
    def header(self, record: ProductRecord) -> Header:
        return super().header(record).model_copy(update={"inputs": ()})


class TrustsEverything(Store):
    def _check_certifiable(self, record: ProductRecord, verdict: Verdict) -> None:
        pass


class ClosedAtTheEnd(Store):
    """Takes the end of a range for a part of it."""

    def best(
        self,
        type: str,
        instrument: str,
        detector: int,
        at: int,
        key: Mapping[str, Any] | None = None,
        collection: str = "",
    ) -> Validity | None:
        earlier = super().best(type, instrument, detector, at - 1, key, collection)
        return earlier or super().best(type, instrument, detector, at, key, collection)


class ForgetsTheGuard(Store):
    @classmethod
    def create(cls, root: Path, registry: str = "") -> Store:
        store = super().create(root, registry)
        with store._database.write() as connection:
            connection.execute(text("DROP TRIGGER ledger_no_update"))
        return store


class GivesEveryLease(Store):
    def lease(self, name: str) -> Lease | None:
        path = self.root / "leases" / "free for all"
        return Lease(path, FileIO(path, "a"))


class FlagsNothing(Store):
    def flag(self, exposure_id: str, bad: bool, because: str, instrument: str = "", who: str = "") -> Any:
        return super().flag(exposure_id, False, because, instrument, who)


BROKEN: list[tuple[type[Store], Callable[..., None]]] = [
    (LosesTheTail, StoreSuite.test_what_is_visible_is_whole),
    (LosesTheTail, StoreSuite.test_only_an_intact_product_serves_its_recipe),
    (PutsOneByOne, StoreSuite.test_several_products_become_visible_together_or_not_at_all),
    (PutsOneByOne, StoreSuite.test_an_exception_in_the_middle_leaves_nothing),
    (ForgetsInputs, StoreSuite.test_provenance_is_in_the_index),
    (TrustsEverything, StoreSuite.test_certification_needs_a_good_verdict),
    (TrustsEverything, StoreSuite.test_the_file_must_be_what_was_verified),
    (ClosedAtTheEnd, StoreSuite.test_ranges_are_half_open),
    (ForgetsTheGuard, StoreSuite.test_the_ledger_only_grows),
    (GivesEveryLease, StoreSuite.test_a_lease_has_one_holder),
]


@pytest.mark.parametrize(("store", "rule"), BROKEN, ids=lambda one: one.__name__)
def test_broken_store_is_caught(store: type[Store], rule: Callable[..., None], tmp_path: Path) -> None:
    with pytest.raises(Broken):
        rule(StoreSuite(), store.create(tmp_path / "repository"))


def test_broken_flags_are_caught(tmp_path: Path) -> None:
    with pytest.raises(ContractBrokenError, match="bad after the first flag"):
        StoreSuite().test_the_latest_flag_counts_and_none_is_lost(
            FlagsNothing.create(tmp_path / "repository"), tmp_path
        )


def test_writers_that_do_not_take_turns_are_caught(
    tmp_path: Path, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The races are real: without the lock of the writers two of them certify one range."""

    @contextmanager
    def at_once(self: PostgresDatabase) -> Iterator[Connection]:
        with self._writers.begin() as connection:
            yield connection

    store = Store.create(tmp_path / "repository", registry=postgres)
    monkeypatch.setattr(PostgresDatabase, "_exclusive", at_once)
    with ThreadPoolExecutor(4) as threads, pytest.raises(Exception, match=r"duplicate key|number of winners|overlap"):
        StoreSuite().test_threads_certify_overlapping_ranges(store, threads)
