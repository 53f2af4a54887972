"""The tables of the registry. Only integers and text: exact, and the same in every database.

Times are TAI nanoseconds. Whatever has more structure (an exposure, a verdict) is one JSON text beside the columns
that are searched. A change of meaning here needs a new `SCHEMA_VERSION` and a migration.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.schema import SchemaItem

SCHEMA_VERSION = 1

_INTEGER = BigInteger().with_variant(Integer, "sqlite")
"""64 bits everywhere: in SQLite every INTEGER is, in PostgreSQL only BIGINT is."""

metadata = MetaData()


def _table(name: str, *columns: SchemaItem) -> Table:
    # STRICT makes SQLite refuse "a7" in an integer column.
    table: Table = Table(name, metadata, *columns, sqlite_strict=True)
    return table


def _text(name: str, *more: SchemaItem, primary_key: bool = False, unique: bool = False) -> Column[str]:
    return Column(name, Text, *more, nullable=False, primary_key=primary_key, unique=unique)


def _integer(name: str, *more: SchemaItem, primary_key: bool = False) -> Column[int]:
    return Column(name, _INTEGER, *more, nullable=False, primary_key=primary_key)


schema_version = _table("schema_version", _integer("version"), _text("software"), _integer("created"))

instrument = _table("instrument", _text("name", primary_key=True), _text("file"), _integer("added"))

exposure = _table(
    "exposure",
    _text("instrument", primary_key=True),
    _text("id", primary_key=True),
    _integer("detector", primary_key=True),
    _integer("number"),
    _text("kind"),
    Column("day_obs", _INTEGER),
    Column("begin", _INTEGER),
    _text("path"),
    _integer("size"),
    _integer("mtime_ns"),
    _text("document"),
    _text("ingest"),
    Index("exposure_by_kind", "instrument", "kind", "day_obs"),
    Index("exposure_by_number", "number"),
    Index("exposure_by_path", "path"),
)

exposure_flag = _table(
    "exposure_flag",
    Column("sequence", _INTEGER, primary_key=True),
    _text("id", unique=True),
    _text("instrument"),
    _text("exposure"),
    _integer("bad"),
    _text("because"),
    _text("who"),
    _integer("made"),
    CheckConstraint("bad IN (0, 1)"),
    Index("exposure_flag_by_exposure", "instrument", "exposure", "sequence"),
)

raw_digest = _table(
    "raw_digest", _text("path", primary_key=True), _integer("size"), _integer("mtime_ns"), _text("digest")
)

collection = _table(
    "collection",
    _text("name", primary_key=True),
    _text("kind"),
    _integer("created"),
    CheckConstraint("kind IN ('RUN', 'CHAINED', 'TAGGED', 'CALIBRATION')"),
)

chain_member = _table(
    "chain_member",
    _text("chain", ForeignKey("collection.name"), primary_key=True),
    _text("member", ForeignKey("collection.name"), primary_key=True),
    _integer("position"),
)

product = _table(
    "product",
    Column("sequence", _INTEGER, primary_key=True),
    _text("id", unique=True),
    _text("short"),
    _text("digest"),
    _text("recipe"),
    _text("type"),
    _text("label"),
    _integer("revision"),
    _text("instrument"),
    _integer("detector"),
    _text("detector_name"),
    _text("key"),
    Column("begin", _INTEGER),
    Column("end", _INTEGER),
    _text("run", ForeignKey("collection.name")),
    _text("path", unique=True),
    _integer("size"),
    _text("sha256"),
    _integer("stored"),
    _text("provenance"),
    UniqueConstraint("run", "type", "label", "instrument", "detector", "key"),
    Index("product_by_short", "short"),
    Index("product_by_digest", "digest"),
    Index("product_by_recipe", "recipe"),
    Index("product_by_type", "type", "instrument", "detector"),
)

product_input = _table(
    "product_input",
    _text("product", ForeignKey("product.id"), primary_key=True),
    _integer("position", primary_key=True),
    _text("selection"),
    _text("exposure"),
    _integer("number"),
    _text("digest"),
    _text("file"),
    Column("begin", _INTEGER),
    _text("exposure_time"),
    _integer("used"),
    _text("reason"),
    CheckConstraint("used IN (0, 1)"),
    Index("product_input_by_exposure", "exposure"),
    Index("product_input_by_digest", "digest"),
)

product_need = _table(
    "product_need",
    _text("product", ForeignKey("product.id"), primary_key=True),
    _text("type", primary_key=True),
    _text("id"),
    _text("digest"),
    _text("recipe"),
    _text("why"),
    Index("product_need_by_id", "id"),
)

verdict = _table(
    "verdict",
    Column("sequence", _INTEGER, primary_key=True),
    _text("id", unique=True),
    _text("product", ForeignKey("product.id")),
    _text("digest"),
    _text("outcome"),
    _text("path", unique=True),
    _integer("stored"),
    _text("document"),
    Index("verdict_by_product", "product"),
)

verdict_check = _table(
    "verdict_check",
    _text("verdict", primary_key=True),
    _integer("position", primary_key=True),
    _text("name"),
    _text("level"),
    _text("status"),
    _text("value"),
    _text("error"),
    _text("unit"),
    Column("detector", _INTEGER),
    _text("amplifier"),
    _text("exposure"),
    _text("reason"),
    ForeignKeyConstraint(["verdict"], ["verdict.id"]),
    Index("verdict_check_by_name", "name"),
)
