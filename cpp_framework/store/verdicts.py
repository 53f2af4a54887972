"""Verdicts: a small file beside the product, and rows to search.

The newest is the one with the greatest id (ids grow with time), also where an older one was brought in later.
"""

from __future__ import annotations

from sqlalchemy import Connection, select

from cpp_framework.model.check import Verdict
from cpp_framework.model.identity import parse_json
from cpp_framework.store import collections
from cpp_framework.store.clock import now_tai_ns
from cpp_framework.store.records import ProductRecord, short_of
from cpp_framework.store.schema import verdict as verdict_table
from cpp_framework.store.schema import verdict_check, verdict_run

_COMPUTED = {"outcome": True, "checks": {"__all__": {"status"}}}
"""Fields a verdict computes: in the file for people, never read back."""


def verdict_path(record: ProductRecord, verdict: Verdict) -> str:
    """Path of a verdict's file below the repository: the product's name, then the verdict's short id."""
    return f"{record.path.removesuffix('.fits')}.verdict_{short_of(verdict.id)}.json"


def verdict_text(verdict: Verdict) -> str:
    """A verdict as the text of its file, with the computed status of every check."""
    return verdict.model_dump_json(indent=1) + "\n"


def read_verdict(text: str) -> Verdict:
    """Rebuild a verdict from the text of its file.

    Raises
    ------
    ValueError
        The text is no verdict.
    """
    document = parse_json(text)
    if isinstance(document, dict):
        document.pop("outcome", None)
        checks = document.get("checks")
        for check in checks if isinstance(checks, list) else ():
            if isinstance(check, dict):
                check.pop("status", None)
    return Verdict.model_validate(document)


def same_verdict(stored: Verdict, text: str) -> bool:
    """Whether the text of a file says what is stored, the outcome and status it only repeats included.

    Raises
    ------
    ValueError
        The text is no verdict.
    """
    document = parse_json(text)
    if read_verdict(text).model_dump_json() != stored.model_dump_json():  # as text: NaN is equal to itself there
        return False
    status = [check.get("status") for check in document.get("checks", ())]
    return document.get("outcome") == stored.outcome.value and status == [one.status.value for one in stored.checks]


def insert(connection: Connection, verdict: Verdict, path: str) -> None:
    """Write the rows of a verdict, and put it into the run it was made in.

    Raises
    ------
    ConflictError
        A collection of another kind has the name of its run.
    """
    row = {
        "id": verdict.id,
        "product": verdict.product,
        "digest": verdict.digest,
        "outcome": verdict.outcome.value,
        "path": path,
        "stored": now_tai_ns(),
        "document": verdict.model_dump_json(exclude=_COMPUTED),  # type: ignore[arg-type]
    }
    connection.execute(verdict_table.insert(), row)
    if verdict.run:
        collections.ensure_run(connection, verdict.run)
        connection.execute(verdict_run.insert(), {"verdict": verdict.id, "run": verdict.run})
        collections.add_to_chain(connection, verdict.run)
    checks = [
        {
            "verdict": verdict.id,
            "position": i,
            "name": check.name,
            "level": check.level.value,
            "status": check.status.value,
            "value": repr(check.value),
            "error": "" if check.error is None else repr(check.error),
            "unit": check.unit,
            "detector": check.detector,
            "amplifier": check.amplifier,
            "exposure": check.exposure,
            "reason": check.reason or check.skipped,
        }
        for i, check in enumerate(verdict.checks)
    ]
    if checks:
        connection.execute(verdict_check.insert(), checks)


def outcomes(connection: Connection) -> dict[str, str]:
    """Outcome of the newest verdict of every product that has one, by the product's id."""
    rows = connection.execute(select(verdict_table.c.product, verdict_table.c.outcome).order_by(verdict_table.c.id))
    return {row.product: row.outcome for row in rows}


def with_files(connection: Connection, product_id: str) -> list[tuple[str, Verdict]]:
    """Verdicts of one product with the paths of their files below the repository, oldest first."""
    query = select(verdict_table.c.path, verdict_table.c.document).where(verdict_table.c.product == product_id)
    rows = connection.execute(query.order_by(verdict_table.c.id))
    return [(row.path, Verdict.model_validate_json(row.document)) for row in rows]


def of_product(connection: Connection, product_id: str) -> list[Verdict]:
    """Verdicts of one product, newest first."""
    query = select(verdict_table.c.document).where(verdict_table.c.product == product_id)
    rows = connection.execute(query.order_by(verdict_table.c.id.desc()))
    return [Verdict.model_validate_json(text) for text in rows.scalars()]
