"""Products and verdicts of an index made anew."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from cpp_framework.errors import CppError, StoreError
from cpp_framework.model.check import Verdict
from cpp_framework.model.header import Header
from cpp_framework.model.timespan import to_tai_ns
from cpp_framework.plugins import Plugins
from cpp_framework.store import collections, products, verdicts
from cpp_framework.store.content import Proof, check_product
from cpp_framework.store.files import file_sha256
from cpp_framework.store.rebuild_report import RebuildReport
from cpp_framework.store.records import ProductRecord

_VERDICT = re.compile(r"\.verdict_[0-9a-f]+\.json$")


@dataclass(frozen=True)
class _Found:
    """A product file that is what it says."""

    path: Path
    header: Header
    proof: Proof


def insert_products(
    connection: Connection, root: Path, plugins: Plugins, report: RebuildReport, progress: Callable[[str], None]
) -> None:
    """Register every sound product file, run after run in order of time, with the verdicts beside it."""
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
        for one in sorted(found, key=lambda one: one.header.id):
            _insert(connection, root, one, report)
        _insert_verdicts(connection, root, judgements, report)


def _second(path: Path) -> str:
    """The second in which the run of a file began, from the name of its folder."""
    return path.parent.name.partition("_")[0]


def _read(path: Path, plugins: Plugins, report: RebuildReport) -> list[_Found]:
    if path.is_symlink():
        report.leave_out(path, "is a link, not a file")
        return []
    try:
        return [_Found(path, *check_product(path, plugins))]
    except StoreError as error:
        report.leave_out(path, str(error).removeprefix(f"{path}: "))
        return []


def _insert(connection: Connection, root: Path, one: _Found, report: RebuildReport) -> None:
    state = one.path.stat()
    stored = datetime.fromtimestamp(state.st_mtime, UTC).replace(tzinfo=None).isoformat()
    path = one.path.relative_to(root).as_posix()
    record = products.make_record(one.header, path, state.st_size, file_sha256(one.path))
    try:
        with connection.begin_nested():
            collections.ensure_run(connection, record.run)
            products.insert(connection, replace(record, stored=to_tai_ns(stored)), one.header)
            collections.add_to_chain(connection, record.run)
    except IntegrityError:
        report.leave_out(one.path, f"there is such a product of run {record.run} already: it is a copy")
    except CppError as error:
        report.leave_out(one.path, str(error))
    else:
        report.counts["products"] += 1
        report.by_sums += one.proof is Proof.SUMS


def _insert_verdicts(connection: Connection, root: Path, paths: list[Path], report: RebuildReport) -> None:
    found: list[tuple[Path, Verdict]] = []
    for path in paths:
        try:
            found.append((path, verdicts.read_verdict(path.read_text(encoding="utf-8"))))
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            report.leave_out(path, f"is no verdict: {str(error)[:100]}")
    for path, verdict in sorted(found, key=lambda one: one[1].id):
        record = _product_of(connection, verdict)
        if record is None or record.digest != verdict.digest:
            report.leave_out(path, f"speaks of product {verdict.product}, which is not there with that content")
            continue
        try:
            with connection.begin_nested():
                verdicts.insert(connection, verdict, path.relative_to(root).as_posix())
        except IntegrityError:
            report.leave_out(path, f"verdict {verdict.id} is there already: it is a copy")
        else:
            report.counts["verdicts"] += 1


def _product_of(connection: Connection, verdict: Verdict) -> ProductRecord | None:
    return next(iter(products.find(connection, id=verdict.product)), None)
