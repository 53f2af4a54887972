"""Flags and the ledger of an index made anew: what was done is done again, in the order it was done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path

from pydantic import TypeAdapter
from sqlalchemy import Connection

from cpp_framework.store import ledger, products, schema
from cpp_framework.store.rebuild_reading import attempt, read_small
from cpp_framework.store.rebuild_report import RebuildReport
from cpp_framework.store.records import Act, FlagRecord, LedgerEntry, ProductRecord, short_of

_UNREADABLE = (OSError, ValueError, TypeError, AttributeError, RecursionError)


def insert_flags(connection: Connection, root: Path, report: RebuildReport) -> None:
    """Register the flags of exposures, oldest first."""
    found: dict[str, FlagRecord] = {}
    for path in sorted((root / "flags").iterdir()):
        try:
            record = TypeAdapter(FlagRecord).validate_json(read_small(path))
        except _UNREADABLE as error:
            report.leave_out(path, f"is no flag: {str(error)[:100]}")
            continue
        if record.id in found:
            report.leave_out(path, f"flag {record.id} is there already: it is a copy")
        found.setdefault(record.id, record)
    for record in sorted(found.values(), key=lambda one: (one.made, one.id)):
        with attempt(connection, f"flag {record.id}", report):
            connection.execute(schema.exposure_flag.insert(), asdict(record) | {"bad": int(record.bad)})
            report.counts["flags"] += 1


def read_ledger(root: Path, report: RebuildReport) -> list[LedgerEntry]:
    """The lines of the ledger that were really done, in order."""
    found: dict[str, LedgerEntry] = {}
    for path in sorted((root / "ledger").iterdir()):
        try:
            entry = ledger.read_entry(read_small(path))
        except _UNREADABLE as error:
            report.leave_out(path, f"is no line of the ledger: {str(error)[:100]}")
            continue
        if entry.id in found:
            report.leave_out(path, f"line {entry.id} is there already: it is a copy")
        found.setdefault(entry.id, replace(entry, path=path.relative_to(root).as_posix()))
    sound = {entry.id: entry for entry in found.values() if 0 < entry.sequence < ledger.MOST_LINES}
    acts = Counter(entry.act for entry in sound.values())
    for entry in found.values():
        if entry.id not in sound:
            report.leave_out(entry.path, f"is no line of the ledger: {entry.sequence} is no number of one")
        elif acts[entry.act] < entry.lines:
            report.leave_out(
                entry.path, "was never done: the command that wrote it was killed before all its lines were"
            )
            del sound[entry.id]
    return sorted(sound.values(), key=lambda one: one.sequence)


def insert_ledger(connection: Connection, entries: Iterable[LedgerEntry], report: RebuildReport) -> None:
    """Register the lines of the ledger, and repeat what they did to the products that are there."""
    for entry in entries:
        with attempt(connection, entry.path, report):
            ledger.append(connection, entry)
            report.counts["ledger lines"] += 1
            record = next(iter(products.find(connection, id=entry.product)), None)
            if record is not None:
                _repeat(connection, entry, record, report)


def _repeat(connection: Connection, entry: LedgerEntry, record: ProductRecord, report: RebuildReport) -> None:
    with attempt(connection, entry.path, report):
        if entry.action is Act.CERTIFY:
            _give_way(connection, entry, record, report)
        ledger.replay(connection, entry, record)


def _give_way(connection: Connection, entry: LedgerEntry, record: ProductRecord, report: RebuildReport) -> None:
    """Shorten what is still valid in the range of a certification: the line that did so must be missing."""
    line = ledger.line_of(connection, entry.collection, record)
    in_force = ledger.overlapping(connection, line, entry.begin, entry.end)
    for other in dict.fromkeys(one.product for one in in_force if one.product != entry.product):
        ledger.cut(connection, line, other, entry.begin, entry.end)
        report.leave_out(
            entry.path, f"the line before it, by which {short_of(other)} gave way, is missing; it gave way all the same"
        )
