"""Exposure rows: bulk ingest that can be repeated, look-up, and the ledger of flags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, func, select

from cpp_framework.errors import AmbiguousError, NotFoundError
from cpp_framework.model.exposure import Exposure
from cpp_framework.store.files import safe_name
from cpp_framework.store.records import FlagRecord, Ingested, IngestOutcome, RawFile, StoredExposure, short_of
from cpp_framework.store.schema import exposure, exposure_flag

_CHUNK = 500
"""Values per IN list: below the smallest limit any SQLite build has."""

Identity = tuple[str, str, int]
"""Instrument, exposure id, detector."""


@dataclass
class IngestPlan:
    """What an ingest would do, found without writing anything.

    ``doubtful`` are pairs of files (stored, offered) that claim to be the same exposure: only their bytes can tell.
    """

    outcomes: list[Ingested] = field(default_factory=list)
    rows: dict[Identity, dict[str, Any]] = field(default_factory=dict)
    stale: list[Identity] = field(default_factory=list)
    doubtful: list[tuple[str, str]] = field(default_factory=list)


def plan_ingest(
    connection: Connection, files: Sequence[RawFile], same_bytes: Mapping[tuple[str, str], bool], ingest: str
) -> IngestPlan:
    """Compare raw files with what is registered.

    An exposure offered again from the same unchanged file is already there; from a changed file it is updated. From
    another path it is already there if the bytes agree (``same_bytes``), moved if the old file is gone and the sizes
    agree, else in conflict.
    """
    plan = IngestPlan()
    known = _known(connection, files)
    for file in files:
        for one in file.exposures:
            identity = (one.instrument, one.id, one.detector)
            row = _row(one, file, ingest)
            outcome, reason = _judge(known.get(identity), row, same_bytes, plan)
            plan.outcomes.append(Ingested(one, outcome, reason))
            if outcome not in (IngestOutcome.ALREADY, IngestOutcome.CONFLICT):
                known[identity] = plan.rows[identity] = row
    plan.stale = _replaced(connection, files)
    return plan


def apply_ingest(connection: Connection, plan: IngestPlan) -> None:
    """Write what `plan_ingest` found, in a few bulk statements."""
    _delete(connection, [*plan.stale, *plan.rows])
    if plan.rows:
        connection.execute(exposure.insert(), list(plan.rows.values()))


def find(connection: Connection, instrument: str = "", **equal: Any) -> list[StoredExposure]:
    """Exposures whose columns equal the given values, in order of time, then number, then detector."""
    query = _with_flags()
    if instrument:
        query = query.where(exposure.c.instrument == instrument)
    for name, value in equal.items():
        if value is not None:
            query = query.where(exposure.c[name] == value)
    columns = exposure.c
    query = query.order_by(columns.begin.is_not(None), columns.begin, columns.number, columns.id, columns.detector)
    return [_stored(row) for row in connection.execute(query)]


def find_one(connection: Connection, text: str, instrument: str = "") -> list[StoredExposure]:
    """The detectors of the one exposure meant by an id, a number, a file (path or name) or a beginning of an id.

    Raises
    ------
    NotFoundError, AmbiguousError
        No exposure, or several, fit; the message lists them.
    """
    found: list[StoredExposure] = []
    for condition in _readings(text):
        query = _with_flags().where(condition)
        if instrument:
            query = query.where(exposure.c.instrument == instrument)
        found = [_stored(row) for row in connection.execute(query.order_by(exposure.c.id, exposure.c.detector))]
        if found:
            break
    names = sorted({(one.exposure.instrument, one.exposure.id) for one in found})
    if not names:
        raise NotFoundError(
            f"no exposure {text!r}: looked for an id, a number, a file (path or name) and the beginning of an id",
            hint="`cpp find` lists the exposures",
        )
    if len(names) > 1:
        listed = ", ".join(f"{name} ({camera})" for camera, name in names[:8]) + (" …" if len(names) > 8 else "")
        raise AmbiguousError(
            f"{text!r} fits {len(names)} exposures: {listed}", hint="give more of the id, or the path of the file"
        )
    return found


def flags(connection: Connection, instrument: str, exposure_id: str) -> list[FlagRecord]:
    """Every flag an exposure ever got, newest first."""
    query = select(exposure_flag).where(
        exposure_flag.c.instrument == instrument, exposure_flag.c.exposure == exposure_id
    )
    return [_flag(row) for row in connection.execute(query.order_by(exposure_flag.c.sequence.desc()))]


def all_flags(connection: Connection) -> list[FlagRecord]:
    """The whole ledger of flags, oldest first."""
    return [_flag(row) for row in connection.execute(select(exposure_flag).order_by(exposure_flag.c.sequence))]


def flag_path(record: FlagRecord) -> str:
    """Path of a flag's file below the repository."""
    return f"flags/{safe_name(record.instrument)}_{safe_name(record.exposure)}_{short_of(record.id)}.json"


def _judge(
    stored: Mapping[str, Any] | None,
    offered: Mapping[str, Any],
    same_bytes: Mapping[tuple[str, str], bool],
    plan: IngestPlan,
) -> tuple[IngestOutcome, str]:
    if stored is None:
        return IngestOutcome.ADDED, ""
    if stored["path"] == offered["path"]:
        same = all(stored[name] == offered[name] for name in ("size", "mtime_ns", "document"))
        return (IngestOutcome.ALREADY, "") if same else (IngestOutcome.UPDATED, "file or header map has changed")
    pair = (stored["path"], offered["path"])
    if not Path(stored["path"]).exists() and stored["size"] == offered["size"]:
        return IngestOutcome.MOVED, f"was {stored['path']}, which is gone"
    if pair not in same_bytes:
        plan.doubtful.append(pair)
        return IngestOutcome.CONFLICT, ""
    if same_bytes[pair]:
        return IngestOutcome.ALREADY, f"same bytes as {stored['path']}"
    return (
        IngestOutcome.CONFLICT,
        f"{offered['id']} detector {offered['detector']} is registered from {stored['path']}, with other bytes",
    )


def _known(connection: Connection, files: Sequence[RawFile]) -> dict[Identity, Mapping[str, Any]]:
    """Registered rows that share an exposure id with the files."""
    ids = sorted({one.id for file in files for one in file.exposures})
    known: dict[Identity, Mapping[str, Any]] = {}
    for chunk in _chunks(ids):
        for row in connection.execute(select(exposure).where(exposure.c.id.in_(chunk))):
            known[row.instrument, row.id, row.detector] = dict(row._mapping)
    return known


def _replaced(connection: Connection, files: Sequence[RawFile]) -> list[Identity]:
    """Identities registered from these paths that the files no longer hold: the files were overwritten."""
    held = {str(file.path): {(one.instrument, one.id, one.detector) for one in file.exposures} for file in files}
    columns = exposure.c
    stale: list[Identity] = []
    for chunk in _chunks(sorted(held)):
        query = select(columns.instrument, columns.id, columns.detector, columns.path).where(columns.path.in_(chunk))
        for row in connection.execute(query):
            identity = (row.instrument, row.id, row.detector)
            if identity not in held[row.path]:
                stale.append(identity)
    return stale


def _delete(connection: Connection, identities: Sequence[Identity]) -> None:
    if not identities:
        return
    columns = exposure.c
    statement = exposure.delete().where(
        columns.instrument == bindparam("at"), columns.id == bindparam("named"), columns.detector == bindparam("chip")
    )
    connection.execute(statement, [{"at": at, "named": named, "chip": chip} for at, named, chip in identities])


def _row(one: Exposure, file: RawFile, ingest: str) -> dict[str, Any]:
    return {
        "instrument": one.instrument,
        "id": one.id,
        "detector": one.detector,
        "number": one.number,
        "kind": one.kind,
        "day_obs": one.day_obs,
        "begin": one.begin,
        "path": str(file.path),
        "size": file.size,
        "mtime_ns": file.mtime_ns,
        "document": one.model_copy(update={"path": str(file.path)}).model_dump_json(),
        "ingest": ingest,
    }


def _with_flags() -> Select[Any]:
    newest = select(func.max(exposure_flag.c.sequence)).group_by(exposure_flag.c.instrument, exposure_flag.c.exposure)
    latest = select(exposure_flag).where(exposure_flag.c.sequence.in_(newest)).subquery()
    joined = exposure.outerjoin(
        latest, (latest.c.instrument == exposure.c.instrument) & (latest.c.exposure == exposure.c.id)
    )
    columns = exposure.c
    of_file = (columns.document, columns.ingest, columns.size, columns.mtime_ns)
    return select(*of_file, latest.c.bad, latest.c.because).select_from(joined)


def _flag(row: Row[Any]) -> FlagRecord:
    return FlagRecord(row.id, row.instrument, row.exposure, bool(row.bad), row.because, row.who, row.made)


def _stored(row: Row[Any]) -> StoredExposure:
    one = Exposure.model_validate_json(row.document)
    return StoredExposure(one, bool(row.bad), row.because if row.bad else "", row.ingest, row.size, row.mtime_ns)


def _readings(text: str) -> Iterator[Any]:
    """What a text may mean, the most exact first."""
    columns = exposure.c
    yield columns.id == text
    if text.isascii() and text.isdigit() and len(text) < 19:
        yield columns.number == int(text)
    if "/" in text or Path(text).suffix:
        yield columns.path == str(Path(text).resolve())
    if "/" not in text and Path(text).suffix:
        # LIKE would take b.fits for B.fits; a negative start means the end of the text in SQLite only.
        yield func.substr(columns.path, func.length(columns.path) - len(text)) == f"/{text}"
    if len(text) >= 4:
        yield columns.id.startswith(text, autoescape=True)


def _chunks(values: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]
