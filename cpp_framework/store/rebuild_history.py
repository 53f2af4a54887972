"""Flags and the ledger of an index made anew: what was done is done again, in the order it was done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

from pydantic import TypeAdapter
from sqlalchemy import Connection

from cpp_framework.errors import CppError
from cpp_framework.store import ledger, products, schema
from cpp_framework.store.rebuild_report import RebuildReport
from cpp_framework.store.records import Act, FlagRecord, LedgerEntry, ProductRecord, short_of

_UNREADABLE = (OSError, ValueError, TypeError, AttributeError, RecursionError)


def insert_flags(connection: Connection, root: Path, report: RebuildReport) -> None:
    """Register the flags of exposures, oldest first."""
    found: dict[str, FlagRecord] = {}
    for path in sorted((root / "flags").iterdir()):
        try:
            record = TypeAdapter(FlagRecord).validate_json(path.read_bytes())
        except _UNREADABLE as error:
            report.leave_out(path, f"is no flag: {str(error)[:100]}")
            continue
        if record.id in found:
            report.leave_out(path, f"flag {record.id} is there already: it is a copy")
        found.setdefault(record.id, record)
    for record in sorted(found.values(), key=lambda one: (one.made, one.id)):
        connection.execute(schema.exposure_flag.insert(), asdict(record) | {"bad": int(record.bad)})
    report.counts["flags"] = len(found)


def insert_ledger(connection: Connection, root: Path, report: RebuildReport) -> None:
    """Register the lines of the ledger, and repeat what they did to the products that are there."""
    found: dict[str, LedgerEntry] = {}
    for path in sorted((root / "ledger").iterdir()):
        try:
            entry = ledger.read_entry(path.read_text(encoding="utf-8"))
        except _UNREADABLE as error:
            report.leave_out(path, f"is no line of the ledger: {str(error)[:100]}")
            continue
        if entry.id in found:
            report.leave_out(path, f"line {entry.id} is there already: it is a copy")
        found.setdefault(entry.id, replace(entry, path=path.relative_to(root).as_posix()))
    never_done = ghosts(found.values())
    for entry in sorted(found.values(), key=lambda one: one.sequence):
        if entry.id in never_done:
            report.leave_out(entry.path, "was never done: the command was killed, and its number given to another line")
            continue
        ledger.append(connection, entry)
        report.counts["ledger lines"] += 1
        record = next(iter(products.find(connection, id=entry.product)), None)
        if record is not None:
            _repeat(connection, entry, record, report)


def ghosts(entries: Iterable[LedgerEntry]) -> set[str]:
    """Ids of lines whose file was written and whose transaction was then lost.

    Such a line's number is given again. When that happened, the other lines of its transaction were not there either:
    those with a higher number that were written in between.
    """
    known = list(entries)
    by_number: dict[int, list[LedgerEntry]] = {}
    for entry in known:
        by_number.setdefault(entry.sequence, []).append(entry)
    return {
        other.id
        for same in by_number.values()
        for lost, number_given in _pairs(same)
        for other in known
        if other.sequence >= lost.sequence and lost.made <= other.made < number_given
    }


def _pairs(same: list[LedgerEntry]) -> Iterator[tuple[LedgerEntry, int]]:
    """Each line that lost its number, and when the number was given to the line that kept it."""
    kept = max(same, key=lambda one: (one.made, one.id))
    yield from ((one, kept.made) for one in same if one.id != kept.id)


def _repeat(connection: Connection, entry: LedgerEntry, record: ProductRecord, report: RebuildReport) -> None:
    try:
        with connection.begin_nested():
            if entry.action is Act.CERTIFY:
                _give_way(connection, entry, record, report)
            ledger.replay(connection, entry, record)
    except CppError as error:
        report.leave_out(entry.path, str(error))


def _give_way(connection: Connection, entry: LedgerEntry, record: ProductRecord, report: RebuildReport) -> None:
    """Shorten what is still valid in the range of a certification: the line that did so must be missing."""
    line = ledger.line_of(connection, entry.collection, record)
    in_force = ledger.overlapping(connection, line, entry.begin, entry.end)
    for other in dict.fromkeys(one.product for one in in_force if one.product != entry.product):
        ledger.cut(connection, line, other, entry.begin, entry.end)
        report.leave_out(
            entry.path, f"the line before it, by which {short_of(other)} gave way, is missing; it gave way all the same"
        )
