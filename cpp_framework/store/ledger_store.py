"""Certifying products for ranges of time, tagging them, and looking up the one that is valid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from cpp_framework.config.suggest import did_you_mean
from cpp_framework.errors import AmbiguousError, ConfigError, ConflictError, NotFoundError
from cpp_framework.model.check import Outcome, Verdict
from cpp_framework.model.identity import new_id
from cpp_framework.store import ledger, products
from cpp_framework.store.clock import now_tai_ns
from cpp_framework.store.collections import ensure, kind_of
from cpp_framework.store.files import file_sha256, publish_text, safe_name, storage_errors
from cpp_framework.store.ledger import Range
from cpp_framework.store.product_store import ProductStore
from cpp_framework.store.records import Act, CollectionKind, LedgerEntry, ProductRecord, Validity, short_of
from cpp_framework.store.schema import BEGINNING, END_OF_TIME
from cpp_framework.store.user import user_name


def default_collection(instrument: str) -> str:
    """Name of the calibration collection of an instrument, unless the user names another: ``LATISS/calib``."""
    return f"{instrument}/calib"


class LedgerStore(ProductStore):
    """Certification, tags, and their append-only ledger."""

    def certify(
        self,
        wanted: Sequence[str],
        begin: int | None,
        end: int | None,
        *,
        collection: str = "",
        supersede: bool = False,
        waive: Mapping[str, str] | None = None,
        note: str = "",
        who: str = "",
    ) -> list[LedgerEntry]:
        """Make products valid from ``begin`` to ``end`` (TAI nanoseconds, half-open; None is open): all, or none.

        Parameters
        ----------
        wanted : sequence of str
            Products, as `product` takes them.
        collection : str
            Calibration collection; by default the instrument's (`default_collection`).
        supersede : bool
            Whether products that are valid now give way for the range.
        waive : mapping of str to str
            Failed or missing checks that shall not count, each with the reason.

        Returns
        -------
        list of LedgerEntry
            What was written; nothing for products that are valid for the whole range already.

        Raises
        ------
        ConflictError
            A product has no verdict on its present content, or not a good one; or another one is valid in the range.
        StoreError
            A product's file is not what was stored.
        """
        _check_range(begin, end)
        records = [self.product(one) for one in wanted]
        verdicts = [self._verdict_of(record) for record in records]
        _check_waivers(waive or {}, verdicts)
        for record, verdict in zip(records, verdicts, strict=True):
            self._check_certifiable(record, verdict.waiving(waive or {}))
        together = {record.id for record in records}
        with self._publishing(), self._acting() as (connection, written):
            for record, verdict in zip(records, verdicts, strict=True):
                products.check_there(connection, record)
                name = collection or default_collection(record.instrument)
                line = ledger.line_of(connection, name, record)
                in_force = ledger.overlapping(connection, line, begin, end)
                if ledger.covers(in_force, record.id, begin, end):
                    continue
                entry = LedgerEntry(
                    0, new_id(), Act.CERTIFY, name, record.id, begin, end,
                    verdict.id, _waived(verdict, waive or {}), note, who or user_name(),
                )  # fmt: skip
                rivals = [one for one in in_force if one.product in together]
                ledger.refuse_overlap(entry, rivals, "certify one of the two for that range")
                written += self._give_way(connection, entry, line, in_force, supersede)
                ledger.put_in_force(connection, line, record.id, begin, end)
                written.append(entry)
        return written

    def decertify(
        self,
        wanted: Sequence[str],
        begin: int | None = None,
        end: int | None = None,
        *,
        collection: str = "",
        note: str = "",
        who: str = "",
    ) -> list[LedgerEntry]:
        """Take the validity of products away for a range, splitting what reaches beyond it: all, or none.

        Raises
        ------
        NotFoundError
            A product is not valid in the range.
        """
        _check_range(begin, end)
        records = [self.product(one) for one in wanted]
        with self._publishing(), self._acting() as (connection, written):
            for record in records:
                name = collection or default_collection(record.instrument)
                lines = ledger.lines_of(connection, record.id, name)
                touched = [one for line in lines for one in ledger.cut(connection, line, record.id, begin, end)]
                if not touched:
                    raise NotFoundError(
                        f"{record.type} {record.short} is not certified in {name} "
                        f"for any time in {ledger.range_text(begin, end)}",
                        hint=f"cpp show {record.short} tells its validity",
                    )
                entry = LedgerEntry(
                    0, new_id(), Act.DECERTIFY, name, record.id, begin, end, note=note, who=who or user_name()
                )
                written.append(entry)
        return written

    def tag(self, name: str, wanted: Sequence[str], note: str = "", who: str = "") -> list[LedgerEntry]:
        """Put products into the tagged collection ``name``; those that are in it already change nothing."""
        return self._tag(Act.TAG, name, wanted, note, who)

    def untag(self, name: str, wanted: Sequence[str], note: str = "", who: str = "") -> list[LedgerEntry]:
        """Take products out of a tagged collection.

        Raises
        ------
        NotFoundError
            There is no such collection, or a product is not in it.
        """
        return self._tag(Act.UNTAG, name, wanted, note, who)

    def tags(self, product_id: str) -> list[str]:
        """The tagged collections a product (by its whole id) is in."""
        with self._database.read() as connection:
            return ledger.tagged(connection, product_id)

    def validities(self, collection: str = "", *, product: str = "", type: str = "") -> list[Validity]:
        """Ranges in force, by collection, type, detector, key and time; ``product`` is a whole id."""
        equal = {"collection": collection, "product": product, "type": type}
        with self._database.read() as connection:
            return ledger.validities(connection, **{name: value for name, value in equal.items() if value})

    def ledger(self, *, product: str = "", collection: str = "") -> list[LedgerEntry]:
        """Lines of the ledger, oldest first; ``product`` is a whole id."""
        equal = {"product": product, "collection": collection}
        with self._database.read() as connection:
            return ledger.entries(connection, **{name: value for name, value in equal.items() if value})

    def best(
        self,
        type: str,
        instrument: str,
        detector: int,
        at: int,
        key: Mapping[str, Any] | None = None,
        collection: str = "",
    ) -> Validity | None:
        """The certified product to use for an exposure that began at ``at`` (TAI nanoseconds); None if there is none.

        ``key`` holds the exposure's filter, binning …; a product fits if the fields both have are equal.

        Raises
        ------
        AmbiguousError
            Products of several keys fit.
        """
        name = collection or default_collection(instrument)
        same = {"collection": name, "type": type, "instrument": instrument, "detector": detector}
        with self._database.read() as connection:
            found = ledger.valid_at(connection, at, key or {}, **same)
        if len(found) > 1:
            listed = ", ".join(f"{short_of(one.product)} ({dict(one.key)})" for one in found)
            raise AmbiguousError(
                f"several certified {type} of {instrument} detector {detector} fit: {listed}",
                hint="tell the filter (or another field of the key)",
            )
        return found[0] if found else None

    def _verdict_of(self, record: ProductRecord) -> Verdict:
        """The newest verdict of a product, which speaks of its present content."""
        found = self.verdicts(record.id)
        if not found or found[0].digest != record.digest:
            raise ConflictError(
                f"{record.type} {record.short} has no verdict: it was never verified", hint=f"cpp verify {record.short}"
            )
        return found[0]

    def _check_certifiable(self, record: ProductRecord, verdict: Verdict) -> None:
        """Refuse a product whose verdict (without what is waived) is not good, or whose file is not what was stored."""
        named = f"{record.type} {record.short}"
        if verdict.outcome not in (Outcome.PASS, Outcome.WARN):
            why = ", ".join(sorted(verdict.waivable))
            raise ConflictError(
                f"{named} has the verdict {verdict.outcome} because of {why}; only PASS and WARN are certified",
                hint=f'cpp verify {record.short} shows why; to certify all the same: --waive CHECK --because "REASON"',
            )
        with storage_errors(self.path(record)):
            digest = file_sha256(self.path(record))
        if digest != record.sha256:
            raise ConflictError(
                f"{named}: its file {self.path(record)} is not what was stored and verified",
                hint="restore it from a copy, or produce and verify it again",
            )

    def _give_way(
        self, connection: Connection, entry: LedgerEntry, line: int, in_force: Sequence[Range], supersede: bool
    ) -> list[LedgerEntry]:
        """Shorten what is valid in the range of ``entry``, or refuse."""
        if not supersede:
            ledger.refuse_overlap(entry, in_force, f"{ledger.GIVE_WAY}; or give another --begin and --end")
        written = []
        for other in dict.fromkeys(one.product for one in in_force if one.product != entry.product):
            ledger.cut(connection, line, other, entry.begin, entry.end)
            gone = LedgerEntry(
                0, new_id(), Act.DECERTIFY, entry.collection, other, entry.begin, entry.end,
                note=f"superseded by {short_of(entry.product)}", who=entry.who,
            )  # fmt: skip
            written.append(gone)
        return written

    def _tag(self, act: Act, name: str, wanted: Sequence[str], note: str, who: str) -> list[LedgerEntry]:
        records = [self.product(one) for one in wanted]
        with self._publishing(), self._acting() as (connection, written):
            if act is Act.TAG:
                ensure(connection, name, CollectionKind.TAGGED)
            elif kind_of(connection, name) != CollectionKind.TAGGED:
                raise NotFoundError(f"there is no tagged collection {name!r}", hint="cpp store collections")
            for record in records:
                products.check_there(connection, record)
                changed = ledger.set_tag(connection, name, record.id, on=act is Act.TAG)
                if changed:
                    entry = LedgerEntry(0, new_id(), act, name, record.id, note=note, who=who or user_name())
                    written.append(entry)
                elif act is Act.UNTAG:
                    raise NotFoundError(f"{record.type} {record.short} is not in {name}", hint="cpp find --products")
        return written

    @contextmanager
    def _acting(self) -> Iterator[tuple[Connection, list[LedgerEntry]]]:
        """A transaction, and the lines of the ledger it shall write: numbered, and published just before the commit."""
        written: list[LedgerEntry] = []
        files: list[Path] = []
        with self._withdrawing(files) as commit_begins, self._database.write() as connection:
            yield connection, written
            written[:] = self._numbered(connection, written)
            for entry in written:
                ledger.append(connection, entry)
                files.append(self.root / entry.path)
                publish_text(ledger.entry_text(entry), files[-1], self.root / "staging")
            commit_begins()

    def _numbered(self, connection: Connection, entries: Sequence[LedgerEntry]) -> list[LedgerEntry]:
        """Give lines their numbers: certain, as writers take turns, and never one a file has already."""
        act, made = new_id(), now_tai_ns()
        first = max(ledger.newest_sequence(connection), ledger.newest_file(self.root / "ledger")) + 1
        numbered = []
        for sequence, entry in enumerate(entries, first):
            name = f"{sequence:07d}_{safe_name(entry.collection)}_{entry.action}_{short_of(entry.id)}.json"
            numbered.append(
                replace(entry, sequence=sequence, made=made, path=f"ledger/{name}", act=act, lines=len(entries))
            )
        return numbered


def _check_range(begin: int | None, end: int | None) -> None:
    for instant in (begin, end):
        if instant is not None and not BEGINNING < instant < END_OF_TIME:
            raise ConfigError(
                f"an instant of {instant} ns is not in the years 1678 to 2262", hint="leave that end of the range open"
            )
    if begin is not None and end is not None and begin >= end:
        raise ConfigError(f"the range {ledger.range_text(begin, end)} is empty", hint="give --begin before --end")


def _check_waivers(waive: Mapping[str, str], verdicts: Sequence[Verdict]) -> None:
    """Refuse a waiver of a check that none of the products fails or misses: the name is a slip."""
    waivable = {name for verdict in verdicts for name in verdict.waivable}
    for name in waive:
        if name not in waivable:
            raise ConfigError(
                f"check {name!r} did not fail and is not missing, so there is nothing to waive",
                hint=did_you_mean(name, waivable),
            )


def _waived(verdict: Verdict, waive: Mapping[str, str]) -> dict[str, str]:
    """The waivers that this verdict needed."""
    return {name: because for name, because in waive.items() if name in verdict.waivable}
