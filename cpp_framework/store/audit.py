"""Comparing a repository with its index: every file that a row names is there and holds what was stored."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from sqlalchemy import select

from cpp_framework.model.check import Verdict
from cpp_framework.model.identity import parse_json
from cpp_framework.store import exposures, ledger, products
from cpp_framework.store.database import Database
from cpp_framework.store.files import file_sha256
from cpp_framework.store.ingests import note_path, read_note
from cpp_framework.store.records import FlagRecord, LedgerEntry, ProductRecord, short_of
from cpp_framework.store.schema import exposure, instrument, product, verdict
from cpp_framework.store.verdicts import same_verdict

_PAGE = 200
"""Verdicts read in one transaction: they may be long, and a reader that takes its time keeps writers waiting."""
_DIGITS = 16
_KINDS = {stat.S_IFLNK: "a symbolic link", stat.S_IFDIR: "a folder"}

Difference = tuple[str, str]
"""What was expected, and what was found."""


@dataclass(frozen=True)
class Problem:
    """Something that is not as the index says: what it is about, its file below the repository, and the difference."""

    what: str
    file: str
    expected: str
    found: str


@dataclass(frozen=True)
class _Named:
    """A file that a row names: how it is compared with the row, and the product (its id) without which it may go."""

    what: str
    path: str
    compare: Callable[[Path], Difference | None] | None = None
    product: str = ""


def audit(database: Database, root: Path, threads: int) -> list[Problem]:
    """Compare all files with the index, products with ``threads`` threads, and let the database look at itself."""
    look = partial(_look, root)
    with ThreadPoolExecutor(max(1, threads)) as pool:
        found = [*filter(None, pool.map(look, _products(database)))]
    found += filter(None, map(look, chain(_verdicts(database), _flags(database), _ledger(database))))
    found += filter(None, map(look, chain(_ingests(database), _instruments(database))))
    with database.read() as connection:
        there = set(connection.execute(select(product.c.id)).scalars())
    # What somebody removed while we looked is no problem.
    problems = [problem for of_product, problem in found if not of_product or of_product in there]
    return problems + [Problem("index", database.name, "a sound database", text) for text in database.problems()]


def _look(root: Path, named: _Named) -> tuple[str, Problem] | None:
    path = root / named.path
    try:
        difference = _no_file(path) or (named.compare(path) if named.compare else None)
    except OSError as error:
        difference = ("a file that can be read", error.strerror or str(error))
    if difference is None:
        return None
    return named.product, Problem(named.what, named.path, *difference)


def _no_file(path: Path) -> Difference | None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return "a file", "nothing"
    return None if stat.S_ISREG(mode) else ("a file", _KINDS.get(stat.S_IFMT(mode), "a special file"))


def _products(database: Database) -> Iterator[_Named]:
    with database.read() as connection:
        records = products.find(connection)
    for record in records:
        yield _Named(f"{record.type} {record.short}", record.path, partial(_compare_bytes, record), record.id)


def _compare_bytes(record: ProductRecord, path: Path) -> Difference | None:
    size = path.stat().st_size
    if size != record.size:
        return f"{record.size} bytes", f"{size} bytes"
    digest = file_sha256(path)
    return None if digest == record.sha256 else (f"SHA-256 {record.sha256[:_DIGITS]}…", f"{digest[:_DIGITS]}…")


def _verdicts(database: Database) -> Iterator[_Named]:
    last = 0
    while True:
        query = select(verdict).where(verdict.c.sequence > last).order_by(verdict.c.sequence).limit(_PAGE)
        with database.read() as connection:
            rows = [(row, Verdict.model_validate_json(row.document)) for row in connection.execute(query)]
        for row, stored in rows:
            expected = f"the verdict {stored.outcome} as it was stored"
            compare = partial(_compare_text, expected, partial(same_verdict, stored))
            what = f"verdict {short_of(row.id)} of {stored.type} {short_of(row.product)}"
            yield _Named(what, row.path, compare, row.product)
        if not rows:
            return
        last = rows[-1][0].sequence


def _flags(database: Database) -> Iterator[_Named]:
    with database.read() as connection:
        flags = exposures.all_flags(connection)
    for flag in flags:
        expected = f"the flag {'bad' if flag.bad else 'good'} as it was stored"
        what = f"flag of exposure {flag.exposure} ({flag.instrument})"
        yield _Named(what, exposures.flag_path(flag), partial(_compare_text, expected, partial(_same_flag, flag)))


def _same_flag(stored: FlagRecord, text: str) -> bool:
    return bool(parse_json(text) == asdict(stored))


def _ledger(database: Database) -> Iterator[_Named]:
    with database.read() as connection:
        entries = ledger.entries(connection)
    for entry in entries:
        expected = f"the line {entry.action} {short_of(entry.product)} as it was stored"
        what = f"line {entry.sequence} of the ledger"
        yield _Named(what, entry.path, partial(_compare_text, expected, partial(_same_entry, entry)))


def _same_entry(stored: LedgerEntry, text: str) -> bool:
    return ledger.read_entry(text) == stored


def _ingests(database: Database) -> Iterator[_Named]:
    wanted: dict[str, set[tuple[str, str]]] = {}
    with database.read() as connection:
        for row in connection.execute(select(exposure.c.ingest, exposure.c.instrument, exposure.c.path)):
            wanted.setdefault(row.ingest, set()).add((row.instrument, row.path))
    for ingest, files in wanted.items():
        expected = f"the note of {len(files)} files as it was stored"
        what = f"note of ingest {short_of(ingest)}"
        yield _Named(what, note_path(ingest), partial(_compare_text, expected, partial(_names_all, ingest, files)))


def _names_all(ingest: str, files: set[tuple[str, str]], text: str) -> bool:
    note = read_note(text)
    named = {(instrument, path) for instrument, paths in note.paths.items() for path in paths}
    return note.id == ingest and files <= named


def _compare_text(expected: str, same: Callable[[str], bool], path: Path) -> Difference | None:
    try:
        return None if same(path.read_text(encoding="utf-8")) else (expected, "another text")
    except ValueError as error:
        return expected, f"not that: {str(error).splitlines()[0][:100]}"


def _instruments(database: Database) -> Iterator[_Named]:
    with database.read() as connection:
        rows = connection.execute(select(instrument.c.name, instrument.c.file)).all()
    for row in rows:
        # Users edit these files, so that any content is right.
        yield _Named(f"instrument {row.name}", f"instruments/{row.file}")
