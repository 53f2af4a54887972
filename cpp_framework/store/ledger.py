"""The ledger: an append-only list of acts, and the ranges of validity and tags that follow from it.

Every function works inside the caller's transaction. Instants are TAI nanoseconds, ranges half-open; None is open.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, Row, Select, func, select

from cpp_framework.errors import ConflictError
from cpp_framework.model.identity import parse_json
from cpp_framework.model.timespan import to_iso
from cpp_framework.store.collections import ensure
from cpp_framework.store.keys import agrees, key_text
from cpp_framework.store.records import Act, CollectionKind, LedgerEntry, ProductRecord, Validity, short_of
from cpp_framework.store.schema import BEGINNING, END_OF_TIME, ledger, line, tag_member, validity

MOST_LINES = 10**12
"""Numbers of lines are below: whatever claims a greater one is no line of ours."""
_FILE = re.compile(r"([0-9]{7,12})_")


@dataclass(frozen=True)
class Range:
    """One row of the table `validity`: product, and its range with open ends as the extreme integers."""

    line: int
    product: str
    begin: int
    end: int


def closed(begin: int | None, end: int | None) -> tuple[int, int]:
    """A range with its open ends as the extreme integers."""
    return BEGINNING if begin is None else begin, END_OF_TIME if end is None else end


def opened(begin: int, end: int) -> tuple[int | None, int | None]:
    """The inverse of `closed`."""
    return None if begin == BEGINNING else begin, None if end == END_OF_TIME else end


def range_text(begin: int | None, end: int | None) -> str:
    """A range as people read it (UTC)."""
    return f"{'open' if begin is None else instant_text(begin)} … {'open' if end is None else instant_text(end)}"


def line_of(connection: Connection, collection: str, record: ProductRecord) -> int:
    """The line a product belongs to in a collection; it is made if it is not there."""
    ensure(connection, collection, CollectionKind.CALIBRATION)
    found = find_line(connection, collection, record)
    if found is None:
        row = _line_row(collection, record)
        found = int(connection.execute(line.insert().returning(line.c.sequence), row).scalar_one())
    return found


def find_line(connection: Connection, collection: str, record: ProductRecord) -> int | None:
    """The line a product belongs to in a collection; None if there is none yet."""
    same = [line.c[name] == value for name, value in _line_row(collection, record).items()]
    return connection.execute(select(line.c.sequence).where(*same)).scalar()


def overlapping(connection: Connection, line_id: int, begin: int | None, end: int | None) -> list[Range]:
    """Ranges in force on a line that share an instant with the one given, in order of time."""
    first, last = closed(begin, end)
    query = select(validity).where(validity.c.line == line_id, validity.c.begin < last, validity.c.end > first)
    return [Range(row.line, row.product, row.begin, row.end) for row in connection.execute(query.order_by("begin"))]


def covers(in_force: Sequence[Range], product: str, begin: int | None, end: int | None) -> bool:
    """Whether a product is valid for the whole range already, perhaps in several adjoining pieces."""
    first, last = closed(begin, end)
    for one in in_force:
        if one.product != product or one.begin > first:
            return False
        first = one.end
    return first >= last


GIVE_WAY = "--supersede lets it take their place for that range"


def refuse_overlap(entry: LedgerEntry, in_force: Sequence[Range], hint: str = GIVE_WAY) -> None:
    """Raise `ConflictError` if products other than the entry's are valid in its range."""
    foreign = [one for one in in_force if one.product != entry.product]
    if foreign:
        listed = "; ".join(
            f"{short_of(one.product)} is valid {range_text(*opened(one.begin, one.end))}" for one in foreign
        )
        raise ConflictError(
            f"{short_of(entry.product)} cannot be valid {range_text(entry.begin, entry.end)} "
            f"in {entry.collection}: {listed}",
            hint=hint,
        )


def put_in_force(connection: Connection, line_id: int, product: str, begin: int | None, end: int | None) -> None:
    """Make a product valid for a range no other holds; the caller has looked, in this transaction.

    What it holds already and touches the range becomes one with it, so that a validity without gaps is one row.
    """
    first, last = closed(begin, end)
    own = (validity.c.line == line_id) & (validity.c.product == product)
    touching = own & (validity.c.begin <= last) & (validity.c.end >= first)
    for row in connection.execute(select(validity).where(touching)).all():
        first, last = min(first, row.begin), max(last, row.end)
    connection.execute(validity.delete().where(touching))
    connection.execute(validity.insert(), {"line": line_id, "begin": first, "end": last, "product": product})


def cut(connection: Connection, line_id: int, product: str, begin: int | None, end: int | None) -> list[Range]:
    """Take a range away from a product's validity, splitting what reaches beyond it; return what was touched."""
    first, last = closed(begin, end)
    touched = [one for one in overlapping(connection, line_id, begin, end) if one.product == product]
    for one in touched:
        row = validity.delete().where(validity.c.line == line_id, validity.c.begin == one.begin)
        connection.execute(row)
        rest = [(one.begin, min(one.end, first)), (max(one.begin, last), one.end)]
        rows = [{"line": line_id, "begin": a, "end": b, "product": product} for a, b in rest if a < b]
        if rows:
            connection.execute(validity.insert(), rows)
    return touched


def validities(connection: Connection, **equal: Any) -> list[Validity]:
    """Ranges in force whose columns equal the given values, by collection, line and time."""
    query = _validities()
    for name, value in equal.items():
        column = validity.c.product if name == "product" else line.c[name]
        query = query.where(column == value)
    columns = line.c
    query = query.order_by(columns.collection, columns.type, columns.instrument, columns.detector, columns.key)
    return [_validity(row) for row in connection.execute(query.order_by(validity.c.begin))]


def valid_at(connection: Connection, at: int, key: Mapping[str, Any], **equal: Any) -> list[Validity]:
    """Ranges that hold an instant, on the lines whose columns equal the given values and whose key agrees."""
    same = [line.c[name] == value for name, value in equal.items()]
    lines = connection.execute(select(line.c.sequence, line.c.key).where(*same)).all()
    found = []
    for one in lines:
        if not agrees(parse_json(one.key), key):
            continue
        # Ranges of a line do not overlap, so only the last that begins before the instant can hold it.
        query = _validities().where(validity.c.line == one.sequence, validity.c.begin <= at)
        row = connection.execute(query.order_by(validity.c.begin.desc()).limit(1)).first()
        if row is not None and at < row.end:
            found.append(_validity(row))
    return found


def lines_of(connection: Connection, product: str, collection: str = "") -> list[int]:
    """The lines on which a product is valid at some time."""
    query = select(validity.c.line).join(line, line.c.sequence == validity.c.line).where(validity.c.product == product)
    if collection:
        query = query.where(line.c.collection == collection)
    return sorted(set(connection.execute(query).scalars()))


def newest_sequence(connection: Connection) -> int:
    """Number of the newest line the index knows; 0 if there is none."""
    return int(connection.execute(select(func.max(ledger.c.sequence))).scalar() or 0)


def newest_file(folder: Path) -> int:
    """Number of the newest file of a line; 0 if there is none.

    It is above the index's newest one when a command was killed, or the index was restored from an older copy.
    """
    numbers = (int(match[1]) for path in folder.iterdir() if (match := _FILE.match(path.name)))
    return max(numbers, default=0)


def append(connection: Connection, entry: LedgerEntry) -> None:
    """Write the row of one entry."""
    connection.execute(ledger.insert(), asdict(entry) | {"waived": json.dumps(dict(entry.waived))})


def entries(connection: Connection, **equal: Any) -> list[LedgerEntry]:
    """Lines of the ledger whose columns equal the given values, oldest first."""
    query = select(ledger).order_by(ledger.c.sequence)
    for name, value in equal.items():
        query = query.where(ledger.c[name] == value)
    return [_entry(row) for row in connection.execute(query)]


def tagged(connection: Connection, product: str) -> list[str]:
    """The tagged collections a product is in."""
    return sorted(connection.execute(select(tag_member.c.collection).where(tag_member.c.product == product)).scalars())


def set_tag(connection: Connection, collection: str, product: str, on: bool) -> bool:
    """Put a product into a tagged collection or take it out; return whether that changed anything."""
    row = {"collection": collection, "product": product}
    here = (tag_member.c.collection == collection) & (tag_member.c.product == product)
    there = connection.execute(select(tag_member).where(here)).first() is not None
    if there == on:
        return False
    connection.execute(tag_member.insert().values(row) if on else tag_member.delete().where(here))
    return True


def replay(connection: Connection, entry: LedgerEntry, record: ProductRecord) -> None:
    """Do again what a line of the ledger did: for an index made anew, or a bundle brought in."""
    if entry.action is Act.REMOVE:  # a product that is there was brought in again since
        return
    if entry.action in (Act.TAG, Act.UNTAG):
        ensure(connection, entry.collection, CollectionKind.TAGGED)
        set_tag(connection, entry.collection, entry.product, on=entry.action is Act.TAG)
        return
    line_id = line_of(connection, entry.collection, record)
    if entry.action is Act.CERTIFY:
        put_in_force(connection, line_id, entry.product, entry.begin, entry.end)
    else:
        cut(connection, line_id, entry.product, entry.begin, entry.end)


def entry_text(entry: LedgerEntry) -> str:
    """A line of the ledger as the text of its file."""
    return json.dumps({"format": 1, **asdict(entry)}, indent=1) + "\n"


def read_entry(text: str) -> LedgerEntry:
    """Rebuild a line of the ledger from the text of its file.

    Raises
    ------
    ValueError
        The text is no such line.
    """
    document = parse_json(text)
    if not isinstance(document, dict) or document.pop("format", None) != 1:
        raise ValueError("not a line of a ledger of format 1")
    return TypeAdapter(LedgerEntry).validate_python(document)


def _line_row(collection: str, record: ProductRecord) -> dict[str, Any]:
    return {
        "collection": collection,
        "type": record.type,
        "instrument": record.instrument,
        "detector": record.detector,
        "key": key_text(record.key),
    }


def instant_text(tai_ns: int) -> str:
    """An instant as people read it (UTC)."""
    return to_iso(tai_ns).removesuffix(".000") + "Z"


def _validities() -> Select[Any]:
    columns = line.c
    of_line = (columns.collection, columns.type, columns.instrument, columns.detector, columns.key)
    joined = validity.join(line, columns.sequence == validity.c.line)
    return select(*of_line, validity.c.product, validity.c.begin, validity.c.end).select_from(joined)


def _validity(row: Row[Any]) -> Validity:
    begin, end = opened(row.begin, row.end)
    key = parse_json(row.key)
    return Validity(row.collection, row.product, row.type, row.instrument, row.detector, key, begin, end)


def _entry(row: Row[Any]) -> LedgerEntry:
    fields = dict(row._mapping)
    return LedgerEntry(**fields | {"action": Act(row.action), "waived": parse_json(row.waived)})
