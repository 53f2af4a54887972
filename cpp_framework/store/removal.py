"""Removing products: rows give way to a tombstone, then the files go, then the tombstone.

A crash after any of these steps leaves nothing visible of the product, and the tombstone tells what is left to do.
The ledger keeps its lines: it only grows. Every function works inside the caller's transaction.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from cpp_framework.errors import ConflictError
from cpp_framework.model.identity import parse_json
from cpp_framework.store import ledger, products
from cpp_framework.store.clock import now_tai_ns
from cpp_framework.store.records import ProductRecord
from cpp_framework.store.schema import product, product_input, product_need, trash, verdict, verdict_check, verdict_run


@dataclass(frozen=True)
class Tombstone:
    """A removed product (its id), and its files below the repository that may still be there."""

    product: str
    files: tuple[str, ...]


def refuse_if_wanted(connection: Connection, records: Sequence[ProductRecord]) -> None:
    """Refuse to remove products that are certified, tagged, or were used by products that stay.

    Raises
    ------
    NotFoundError
        A product is not there any more.
    ConflictError
        A product is wanted; the message says by whom.
    """
    going = {record.id for record in records}
    for record in records:
        products.check_there(connection, record)
        named = f"{record.type} {record.short}"
        certified = {one.collection for one in ledger.validities(connection, product=record.id)}
        if certified:
            raise ConflictError(
                f"{named} is certified in {', '.join(sorted(certified))}",
                hint=f"cpp decertify {record.short} --collection {min(certified)}",
            )
        tagged = ledger.tagged(connection, record.id)
        if tagged:
            raise ConflictError(
                f"{named} is in the tagged collection {', '.join(tagged)}",
                hint=f"cpp store untag {tagged[0]} {record.short}",
            )
        users = [one for one in products.made_from(connection, record.id) if one.id not in going]
        if users:
            listed = ", ".join(f"{one.type} {one.short}" for one in users)
            raise ConflictError(
                f"{named} was used to make {listed}",
                hint=f"remove those first, or together: cpp store remove {record.short} "
                f"{' '.join(one.short for one in users)} --because REASON",
            )


def bury(connection: Connection, record: ProductRecord) -> Tombstone:
    """Replace the rows of a product and of its verdicts by a tombstone."""
    its_verdicts = verdict.c.product == record.id
    paths = connection.execute(select(verdict.c.path).where(its_verdicts).order_by(verdict.c.sequence)).scalars()
    stone = Tombstone(record.id, (record.path, *paths))
    for table, condition in (
        (verdict_check, verdict_check.c.verdict.in_(select(verdict.c.id).where(its_verdicts))),
        (verdict_run, verdict_run.c.verdict.in_(select(verdict.c.id).where(its_verdicts))),
        (verdict, its_verdicts),
        (product_input, product_input.c.product == record.id),
        (product_need, product_need.c.product == record.id),
        (product, product.c.id == record.id),
    ):
        connection.execute(table.delete().where(condition))
    set_up(connection, stone)
    return stone


def set_up(connection: Connection, stone: Tombstone) -> None:
    """Write a tombstone."""
    row = {"product": stone.product, "files": json.dumps(stone.files), "made": now_tai_ns()}
    connection.execute(trash.insert(), row)


def tombstones(connection: Connection) -> list[Tombstone]:
    """Removals that were not finished, oldest first."""
    rows = connection.execute(select(trash).order_by(trash.c.made, trash.c.product))
    return [Tombstone(row.product, tuple(parse_json(row.files))) for row in rows]


def leftovers(connection: Connection, stones: Iterable[Tombstone]) -> list[str]:
    """The files of tombstones that no row names: a removed product may have been brought in again from a copy."""
    left: list[str] = []
    for stone in stones:
        again = connection.execute(select(product.c.id).where(product.c.id == stone.product)).first() is not None
        if not again:
            left += stone.files
    return left


def forget(connection: Connection, stones: Iterable[Tombstone]) -> None:
    """Delete tombstones: their files are gone."""
    for stone in stones:
        connection.execute(trash.delete().where(trash.c.product == stone.product))
