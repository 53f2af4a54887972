"""Product rows: what a product is, what it was made from, and how people find it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, or_, select

from cpp_framework.errors import AmbiguousError, NotFoundError
from cpp_framework.model.header import Header, InputRecord, NeedRecord
from cpp_framework.model.identity import looks_like_prefix, parse_json
from cpp_framework.store.clock import now_tai_ns
from cpp_framework.store.collections import members
from cpp_framework.store.files import safe_name
from cpp_framework.store.keys import key_text, plain_key, readable
from cpp_framework.store.records import ProductRecord, short_of
from cpp_framework.store.schema import product, product_input, product_need

_ELSEWHERE = {"inputs", "needs"}
"""Parts of a header that have tables of their own."""


def product_path(header: Header) -> str:
    """Path of a product below the repository: run, readable name, short id."""
    run = "/".join(safe_name(part) for part in header.run.split("/"))
    extra = [readable(value) for field, value in sorted(header.key.items()) if field != "detector"]
    parts = [header.type, header.label, header.instrument, f"det{header.detector:03d}", *extra]
    name = safe_name("_".join(part for part in parts if part))
    return f"products/{run}/{name}_{short_of(header.id)}.fits"


def make_record(header: Header, path: str, size: int, sha256: str) -> ProductRecord:
    """Record of a product that is about to be registered."""
    return ProductRecord(
        id=header.id,
        digest=header.digest,
        recipe=header.recipe,
        type=header.type,
        label=header.label,
        revision=header.revision,
        instrument=header.instrument,
        detector=header.detector,
        detector_name=header.detector_name,
        run=header.run,
        path=path,
        size=size,
        sha256=sha256,
        stored=now_tai_ns(),
        begin=header.begin,
        end=header.end,
        key=plain_key(header.key),
    )


def insert(connection: Connection, record: ProductRecord, header: Header) -> None:
    """Write all rows of one product."""
    row = asdict(record) | {
        "short": record.short,
        "key": key_text(record.key),
        "provenance": header.model_dump_json(exclude=_ELSEWHERE),
    }
    connection.execute(product.insert(), row)
    inputs = [
        one.model_dump()
        | {"product": record.id, "position": i, "used": int(one.used), "exposure_time": repr(one.exposure_time)}
        for i, one in enumerate(header.inputs)
    ]
    if inputs:
        connection.execute(product_input.insert(), inputs)
    if header.needs:
        connection.execute(product_need.insert(), [need.model_dump() | {"product": record.id} for need in header.needs])


def find(
    connection: Connection, key: Mapping[str, Any] | None = None, collection: str = "", **equal: Any
) -> list[ProductRecord]:
    """Products, newest first, whose columns equal the given values; ``key`` fields must be in theirs and equal."""
    query = select(product).order_by(product.c.sequence.desc())
    for name, value in equal.items():
        if value is not None:
            query = query.where(product.c[name] == value)
    if collection:
        query = query.where(members(connection, collection))
    wanted = plain_key(key or {})
    records = [_record(row) for row in connection.execute(query)]
    return [one for one in records if all(name in one.key and one.key[name] == wanted[name] for name in wanted)]


def find_one(connection: Connection, text: str, root: Path) -> ProductRecord:
    """The product meant by ``last``, a short id, or a unique beginning of an id or digest; ``root`` is for messages.

    Raises
    ------
    NotFoundError, AmbiguousError
        Nothing, or several products, fit; the message lists them.
    """
    newest = select(product).order_by(product.c.sequence.desc())
    if text == "last":
        row = connection.execute(newest.limit(1)).first()
        if row is None:
            raise NotFoundError(f"no product yet in {root}", hint="cpp produce --type TYPE")
        return _record(row)
    prefix = text.strip().lower()
    if not looks_like_prefix(prefix):
        raise NotFoundError(
            f"{text!r} is no product id: at least four of the characters 0-9 a-f",
            hint="`cpp find --products` lists the products; 'last' is the newest",
        )
    condition = or_(product.c.short == prefix, _begins(product.c.id, prefix), _begins(product.c.digest, prefix))
    rows = connection.execute(newest.where(condition).limit(9)).all()
    if not rows:
        raise NotFoundError(f"no product has an id or digest beginning {text!r}", hint="cpp find --products")
    if len(rows) > 1:
        listed = ", ".join(f"{row.short} ({row.type} {row.instrument} detector {row.detector})" for row in rows[:8])
        more = " …" if len(rows) > 8 else ""
        raise AmbiguousError(f"{text!r} fits several products: {listed}{more}", hint="give more of the id")
    return _record(rows[0])


def check_there(connection: Connection, record: ProductRecord) -> None:
    """Raise `NotFoundError` if a product was removed since it was looked up."""
    if connection.execute(select(product.c.id).where(product.c.id == record.id)).first() is None:
        raise NotFoundError(
            f"{record.type} {record.short} was removed a moment ago", hint="cpp find --products lists what is there"
        )


def read_header(connection: Connection, record: ProductRecord) -> Header:
    """The product's header, from the registry alone."""
    text = connection.execute(select(product.c.provenance).where(product.c.id == record.id)).scalar_one()
    inputs = select(product_input).where(product_input.c.product == record.id).order_by(product_input.c.position)
    needs = select(product_need).where(product_need.c.product == record.id).order_by(product_need.c.type)
    return Header.model_validate_json(text).model_copy(
        update={
            "inputs": tuple(_input(row) for row in connection.execute(inputs)),
            "needs": tuple(
                NeedRecord(type=row.type, id=row.id, digest=row.digest, recipe=row.recipe, why=row.why)
                for row in connection.execute(needs)
            ),
        }
    )


def made_from(connection: Connection, text: str) -> list[ProductRecord]:
    """Products that used an exposure (by id or by the digest of its file) or a product (by id), newest first."""
    inputs = select(product_input.c.product).where(
        or_(product_input.c.exposure == text, product_input.c.digest == text), product_input.c.used == 1
    )
    needs = select(product_need.c.product).where(product_need.c.id == text)
    query = select(product).where(or_(product.c.id.in_(inputs), product.c.id.in_(needs)))
    return [_record(row) for row in connection.execute(query.order_by(product.c.sequence.desc()))]


def _input(row: Row[Any]) -> InputRecord:
    fields = {name: getattr(row, name) for name in InputRecord.model_fields}
    return InputRecord(**fields | {"used": bool(row.used), "exposure_time": float(row.exposure_time)})


def _record(row: Row[Any]) -> ProductRecord:
    names = ProductRecord.__dataclass_fields__
    return ProductRecord(**{name: getattr(row, name) for name in names if name != "key"}, key=parse_json(row.key))


def _begins(column: ColumnElement[str], prefix: str) -> ColumnElement[bool]:
    # A range, unlike LIKE, can use the index; 'g' follows every hexadecimal digit.
    return (column >= prefix) & (column < prefix + "g")
