"""Products and verdicts of an index made anew."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from cpp_framework.errors import ConflictError, StoreError
from cpp_framework.model.check import Verdict
from cpp_framework.model.header import Header
from cpp_framework.model.timespan import to_tai_ns
from cpp_framework.plugins import Plugins
from cpp_framework.store import collections, products, removal, verdicts
from cpp_framework.store.content import Proof, check_product
from cpp_framework.store.files import file_sha256
from cpp_framework.store.rebuild_reading import attempt, read_small
from cpp_framework.store.rebuild_report import RebuildReport
from cpp_framework.store.records import ProductRecord
from cpp_framework.store.schema import BEGINNING

_VERDICT = re.compile(r"\.verdict_[0-9a-f]+\.json$")


@dataclass(frozen=True)
class _Found:
    """A product file that is what it says."""

    path: Path
    header: Header
    proof: Proof


def insert_products(
    connection: Connection,
    root: Path,
    plugins: Plugins,
    removed: Mapping[str, int],
    report: RebuildReport,
    progress: Callable[[str], None],
) -> None:
    """Register every sound product file, run after run in order of time, with the verdicts beside it.

    ``removed`` tells which products were removed (by id) and when: a file that is older gets a tombstone.
    """
    files = [Path(folder, name) for folder, _, names in os.walk(root / "products") for name in sorted(names)]
    # Runs of one second are taken together: only the identifiers of their products tell the order.
    for _, together in groupby(sorted(files, key=_second), _second):
        found, judgements = [], []
        for path in together:
            if path.suffix == ".fits":
                found += _read(path, plugins, report)
                progress(str(path.relative_to(root)))
            elif _VERDICT.search(path.name):
                judgements.append(path)
            else:
                report.leave_out(path, "is neither a product nor a verdict")
        # Identifiers grow with time, and so do those of verdicts.
        for one in sorted(found, key=lambda one: (one.header.id, _misplaced(one, root))):
            if _written(one.path) <= removed.get(one.header.id, BEGINNING):
                judgements = _bury(connection, root, one, judgements, report)
            else:
                _insert(connection, root, one, report)
        _insert_verdicts(connection, root, judgements, report)


def _second(path: Path) -> str:
    """The second in which the run of a file began, from the name of its folder."""
    return path.parent.name.partition("_")[0]


def _read(path: Path, plugins: Plugins, report: RebuildReport) -> list[_Found]:
    if path.is_symlink() or not path.is_file():
        report.leave_out(path, "is no regular file")
        return []
    try:
        return [_Found(path, *check_product(path, plugins))]
    except StoreError as error:
        report.leave_out(path, str(error).removeprefix(f"{path}: "))
        return []


def _misplaced(one: _Found, root: Path) -> bool:
    """Whether a file is not where its product belongs: of two copies the one in its place counts."""
    return one.path != root / products.product_path(one.header)


def _written(path: Path) -> int:
    """When a file was written (TAI nanoseconds)."""
    return to_tai_ns(datetime.fromtimestamp(path.stat().st_mtime, UTC).replace(tzinfo=None).isoformat())


def _bury(connection: Connection, root: Path, one: _Found, judgements: list[Path], report: RebuildReport) -> list[Path]:
    """Set a tombstone for a product whose removal was interrupted; return the verdicts that are not of it."""
    its_own = [path for path in judgements if path.name.startswith(f"{one.path.stem}.verdict_")]
    files = tuple(path.relative_to(root).as_posix() for path in (one.path, *its_own))
    removal.set_up(connection, removal.Tombstone(one.header.id, files))
    report.leave_out(one.path, "was removed; cpp store gc finishes that")
    return [path for path in judgements if path not in its_own]


def _insert(connection: Connection, root: Path, one: _Found, report: RebuildReport) -> None:
    path = one.path.relative_to(root).as_posix()
    record = products.make_record(one.header, path, one.path.stat().st_size, file_sha256(one.path))
    with attempt(connection, one.path, report):
        collections.ensure_run(connection, record.run)
        try:
            products.insert(connection, replace(record, stored=_written(one.path)), one.header)
        except IntegrityError as error:
            raise ConflictError(f"there is such a product of run {record.run} already: it is a copy") from error
        collections.add_to_chain(connection, record.run)
        report.counts["products"] += 1
        report.by_sums += one.proof is Proof.SUMS


def _insert_verdicts(connection: Connection, root: Path, paths: list[Path], report: RebuildReport) -> None:
    found: list[tuple[Path, Verdict]] = []
    for path in paths:
        try:
            found.append((path, verdicts.read_verdict(read_small(path))))
        except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
            report.leave_out(path, f"is no verdict: {str(error)[:100]}")
    for path, verdict in sorted(found, key=lambda one: one[1].id):
        record = _product_of(connection, verdict)
        if record is None or record.digest != verdict.digest:
            report.leave_out(path, f"speaks of product {verdict.product}, which is not there with that content")
            continue
        with attempt(connection, path, report):
            verdicts.insert(connection, verdict, path.relative_to(root).as_posix())
            report.counts["verdicts"] += 1


def _product_of(connection: Connection, verdict: Verdict) -> ProductRecord | None:
    return next(iter(products.find(connection, id=verdict.product)), None)
