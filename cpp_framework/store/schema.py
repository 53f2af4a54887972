"""The tables of the registry. Only integers and text: exact, and the same in every database.

Times are TAI nanoseconds. Whatever has more structure (an exposure, a verdict) is one JSON text beside the columns
that are searched. A change of meaning here needs a new `FORMAT_VERSION` and a step in `upgrade`.
"""

from __future__ import annotations

from sqlalchemy import (
    DDL,
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
    event,
)
from sqlalchemy.schema import SchemaItem

FORMAT_VERSION = 3

_INTEGER = BigInteger().with_variant(Integer, "sqlite")
"""64 bits everywhere: in SQLite every INTEGER is, in PostgreSQL only BIGINT is."""

_TEXT = Text().with_variant(Text(collation="C"), "postgresql")
"""Compared byte by byte everywhere: a site's locale would order ids otherwise."""

metadata = MetaData()


def _table(name: str, *columns: SchemaItem) -> Table:
    # STRICT makes SQLite refuse "a7" in an integer column.
    table: Table = Table(name, metadata, *columns, sqlite_strict=True)
    return table


def _text(name: str, *more: SchemaItem, primary_key: bool = False, unique: bool = False) -> Column[str]:
    return Column(name, _TEXT, *more, nullable=False, primary_key=primary_key, unique=unique)


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

verdict_run = _table(
    "verdict_run",
    _text("verdict", ForeignKey("verdict.id"), primary_key=True),
    _text("run", ForeignKey("collection.name")),
    Index("verdict_run_by_run", "run"),
)
"""The run a verdict was made in, ``ci_cpv_bias/20261122T101500Z``; verdicts of format 2 and before are in none."""

line = _table(
    "line",
    Column("sequence", _INTEGER, primary_key=True),
    _text("collection", ForeignKey("collection.name")),
    _text("type"),
    _text("instrument"),
    _integer("detector"),
    _text("key"),
    UniqueConstraint("collection", "type", "instrument", "detector", "key"),
)
"""What can be valid at one time only once: products of one type and key, in one collection of kind CALIBRATION."""

validity = _table(
    "validity",
    _integer("line", ForeignKey("line.sequence"), primary_key=True),
    _integer("begin", primary_key=True),
    _integer("end"),
    _text("product", ForeignKey("product.id")),
    CheckConstraint('"begin" < "end"'),
    Index("validity_by_product", "product"),
)
"""The ranges in force; half-open, ends that are open are `BEGINNING` and `END_OF_TIME`."""

BEGINNING, END_OF_TIME = -(2**63), 2**63 - 1

tag_member = _table(
    "tag_member",
    _text("collection", ForeignKey("collection.name"), primary_key=True),
    _text("product", ForeignKey("product.id"), primary_key=True),
)

ledger = _table(
    "ledger",
    _integer("sequence", primary_key=True),
    _text("id", unique=True),
    _text("action"),
    _text("collection"),
    _text("product"),
    Column("begin", _INTEGER),
    Column("end", _INTEGER),
    _text("verdict"),
    _text("waived"),
    _text("note"),
    _text("who"),
    _integer("made"),
    _text("path", unique=True),
    _text("act"),
    _integer("lines"),
    _text("source"),
    CheckConstraint("action IN ('certify', 'decertify', 'tag', 'untag', 'remove')"),
    Index("ledger_by_product", "product"),
    Index("ledger_by_collection", "collection"),
)
"""Every act on a product after its making, in order; `line`, `validity` and `tag_member` follow from it."""

trash = _table(
    "trash",
    _text("product", primary_key=True),
    _text("files"),
    _integer("made"),
)
"""Products that were removed and whose files may still be there: deletion is finished from here after a crash."""

_APPEND_ONLY_SQLITE = """
CREATE TRIGGER {table}_no_{act} BEFORE {act} ON {table}
BEGIN SELECT RAISE(ABORT, 'the {table} is append-only'); END
"""
_APPEND_ONLY_POSTGRESQL = """
CREATE FUNCTION refuse_{act}_of_{table}() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE integrity_constraint_violation USING MESSAGE = 'the {table} is append-only'; END $$;
CREATE TRIGGER {table}_no_{act} BEFORE {act} ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION refuse_{act}_of_{table}()
"""
_ACTS = {"sqlite": ("UPDATE", "DELETE"), "postgresql": ("UPDATE", "DELETE", "TRUNCATE")}
for _dialect, _text_of in (("sqlite", _APPEND_ONLY_SQLITE), ("postgresql", _APPEND_ONLY_POSTGRESQL)):
    for _act in _ACTS[_dialect]:
        _statement = DDL(_text_of.format(table="ledger", act=_act).strip())  # type: ignore[no-untyped-call]
        event.listen(ledger, "after_create", _statement.execute_if(dialect=_dialect))
