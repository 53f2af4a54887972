"""The registry in PostgreSQL: a schema of its own in a database of a site's server.

Writers take one advisory lock at the beginning of their transaction, so they take turns exactly as with SQLite, and
what is checked in a transaction (that no range of validity overlaps, say) still holds when it is committed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

from sqlalchemy import URL, Connection, Engine, create_engine, func, inspect, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateSchema

from cpp_framework.errors import ConfigError, PluginError, StoreError
from cpp_framework.store import schema as tables
from cpp_framework.store.advisory import AdvisoryLocks, PostgresLease
from cpp_framework.store.database import LOCK_TIMEOUT, Database
from cpp_framework.store.leases import Lease, try_lease

_DRIVER = "postgresql+psycopg"
_SECRETS = ("password", "sslpassword")
_CONNECT_TIMEOUT = 10
"""Seconds to wait for the server to answer."""
_SERVER_SETTINGS = {
    # A client that lost its power holds its locks until the server asks whether it is still there: here, a minute.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
_TRIGGERS = """
SELECT tgname FROM pg_trigger WHERE tgrelid = to_regclass('ledger') AND tgname LIKE 'ledger_no_%' AND tgenabled = 'O'
"""


def create_postgres(url: str) -> tuple[str, str]:
    """Make the tables of a new registry in a new schema; return the URL as it is kept, and the schema's name.

    Raises
    ------
    ConfigError
        The URL is not one of PostgreSQL, holds a password, or names a database that is not in UTF-8.
    StoreError
        The server cannot be reached, or does not let this user make a schema.
    """
    checked = _checked(url)
    name = f"cpp_{uuid4().hex[:12]}"
    PostgresDatabase(url, name).create_tables()
    return checked.render_as_string(hide_password=False), name


class PostgresDatabase(Database):
    """Transactions on one schema. It holds no connection between them, but one while this process has leases.

    Parameters
    ----------
    url : str
        ``postgresql://user@host/database``, as for every PostgreSQL program; without a password.
    schema : str
        The schema that holds the tables.
    write : bool
        Whether writing is wanted. False needs the right to SELECT only.
    lock_timeout : float
        Seconds to wait for another writer.
    """

    restore_hint = "restore the server's own backup (pg_dump, pg_restore)"

    def __init__(self, url: str, schema: str, write: bool = True, lock_timeout: float = LOCK_TIMEOUT) -> None:
        if not re.fullmatch(r"cpp_[0-9a-f]{12}", schema):  # it becomes a part of the options of the connection
            raise StoreError(f"{schema!r} is not the name of a schema cpp made", hint="restore registry.json")
        checked = _checked(url)
        self._schema = schema
        self._timeout = lock_timeout
        self._writers = _engine(checked, schema)
        readers = self._writers.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._locks = AdvisoryLocks(self._writers)
        super().__init__(readers, f"{_shown(checked)} (schema {schema})", write)

    def create_tables(self) -> None:
        """Make the schema and its tables, in one transaction."""
        with self.write() as connection:
            encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
            if encoding != "UTF8":
                raise ConfigError(
                    f"{self.name}: the encoding of this database is {encoding}; UTF8 is needed",
                    hint="createdb --encoding=UTF8 --template=template0 NAME",
                )
            connection.execute(CreateSchema(self._schema))
            self._fill(connection)

    def format_version(self, connection: Connection) -> tuple[int, str]:
        """Version of the format of the tables, and of the software; raises as `Database.format_version`."""
        # To whom may not use the schema, it looks empty.
        if not connection.execute(select(func.has_schema_privilege(self._schema, "USAGE"))).scalar_one():
            raise self._forbidden(f"permission denied for schema {self._schema}")
        return super().format_version(connection)

    def lease(self, folder: Path, name: str) -> Lease | None:
        """Take the lease ``name`` of this folder and, as hosts may not see each other's file locks, of the server."""
        on_this_host = try_lease(folder, name)
        if on_this_host is None:
            return None
        number = _number(f"{self._schema} {name}")
        taken = False
        try:
            with self._translated():
                taken = self._locks.take(number)
        finally:
            if not taken:
                on_this_host.release()
        return PostgresLease(on_this_host, partial(self._give_back, number)) if taken else None

    def problems(self) -> list[str]:
        """Tables, triggers and rows that are missing: a careless restore from a dump leaves such."""
        with self.read() as connection:
            there = set(inspect(connection).get_table_names(self._schema))
            missing = [f"table {name} is missing" for name in tables.metadata.tables if name not in there]
            if missing:
                return missing
            guards = set(connection.execute(text(_TRIGGERS)).scalars())
            unguarded = sorted({f"ledger_no_{act}" for act in ("update", "delete", "truncate")} - guards)
            return [f"table ledger: trigger {name} is missing or off" for name in unguarded] + _dangling(connection)

    def _give_back(self, number: int) -> None:
        with self._translated():
            self._locks.give_back(number)

    @contextmanager
    def _exclusive(self) -> Iterator[Connection]:
        with self._writers.begin() as connection:
            milliseconds = max(1, round(self._timeout * 1000))  # 0 would be "for ever"
            connection.execute(text(f"SET LOCAL lock_timeout = {milliseconds}"))
            connection.execute(select(func.pg_advisory_xact_lock(_number(self._schema))))
            yield connection

    def _named(self, error: DBAPIError) -> StoreError:
        where = f"index {self.name}"
        said = _first_line(error)
        state = getattr(error.orig, "sqlstate", None) or ""
        if state == "55P03":
            return StoreError(
                f"{where} is locked: another process has been writing for more than {self._timeout:g} s",
                hint="wait for the other cpp to end, or find it in the server's pg_stat_activity",
            )
        if state == "53100":
            return StoreError(f"{where}: the server's disk is full; nothing was changed", hint="free space and repeat")
        if state == "42501":
            return self._forbidden(said)
        if state == "25006":
            return StoreError(
                f"{where}: the server is read-only (a standby?): {said}",
                hint="name the primary server in registry.json",
            )
        gone = isinstance(error, OperationalError) and (not state or state.startswith(("08", "57P")))
        if gone or error.connection_invalidated:
            return self._unreachable(where, said)
        damaged = state.startswith(("3F", "42", "XX"))  # no such schema, table or column; corrupted data
        return StoreError(f"{where}: {said}", hint=self.restore_hint if damaged else "the log of the server tells more")

    def _forbidden(self, said: str) -> StoreError:
        return StoreError(
            f"index {self.name}: this user may not do that: {said}",
            hint="GRANT CREATE ON DATABASE … makes a repository; to use one: GRANT USAGE ON SCHEMA, "
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES and GRANT USAGE ON ALL SEQUENCES IN SCHEMA "
            f"{self._schema} TO this user",
        )

    def _unreachable(self, where: str, said: str) -> StoreError:
        if re.search("password|authentication|pg_hba|role ", said):
            return StoreError(
                f"{where}: the server refuses this user: {said}",
                hint="put the password into ~/.pgpass (or $PGPASSWORD); the user's name is in the URL or $PGUSER",
            )
        return StoreError(
            f"{where}: the server cannot be reached, or has closed the connection: {said}",
            hint="pg_isready -d URL tells whether it runs; if it has moved, edit registry.json",
        )


def _checked(url: str) -> URL:
    """The URL with the driver named."""
    example = "postgresql://USER@HOST/DATABASE"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:  # the text is not repeated: it may hold a password
        raise ConfigError("the URL of the index cannot be understood", hint=example) from error
    if parsed.drivername not in ("postgresql", _DRIVER) or not parsed.database:
        wanted = "a database" if parsed.drivername in ("postgresql", _DRIVER) else "PostgreSQL"
        raise ConfigError(f"the URL {_shown(parsed)} of the index does not name {wanted}", hint=example)
    if parsed.password or set(parsed.query) & set(_SECRETS):
        raise ConfigError(
            f"the URL {_shown(parsed)} holds a password, and it would be written to registry.json",
            hint="leave it out, and set PGPASSWORD or add a line to ~/.pgpass",
        )
    return parsed.set(drivername=_DRIVER)


def _shown(url: URL) -> str:
    """The URL as messages show it: without a password or options."""
    socket = {name: value for name, value in url.query.items() if name in ("host", "port")}
    shown = url.set(drivername=url.drivername.partition("+")[0], query=socket)
    return unquote(shown.render_as_string(hide_password=True))


def _engine(url: URL, schema: str) -> Engine:
    settings = {**_SERVER_SETTINGS, "search_path": schema}
    options = [str(url.query.get("options", "")), *(f"-c {name}={value}" for name, value in settings.items())]
    arguments: dict[str, Any] = {
        "connect_timeout": _CONNECT_TIMEOUT,
        "application_name": "cpp",
        **url.query,
        "client_encoding": "utf8",
        "options": " ".join(options).strip(),
    }
    try:
        # READ COMMITTED, so that after waiting for its turn a writer sees what the one before it has written.
        return create_engine(url, poolclass=NullPool, connect_args=arguments, isolation_level="READ COMMITTED")
    except ImportError as error:
        raise PluginError(
            f"an index in PostgreSQL needs psycopg, which cannot be imported: {error}",
            hint='pip install "cpp-framework[postgres]"',
        ) from error


def _number(name: str) -> int:
    """The 64 bits an advisory lock is known by."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


def _first_line(error: DBAPIError) -> str:
    lines = str(error.orig).strip().splitlines() or [type(error.orig).__name__]
    return lines[0][:300]


def _dangling(connection: Connection) -> list[str]:
    """Rows that name a row that is not there."""
    found = []
    for table in tables.metadata.sorted_tables:
        for key in sorted(table.foreign_keys, key=lambda one: one.parent.name):
            named = key.column.table.alias()
            column = named.c[key.column.name]
            lost = select(func.count()).select_from(table.outerjoin(named, key.parent == column))
            count = connection.execute(lost.where(column.is_(None), key.parent.is_not(None))).scalar_one()
            if count:
                found.append(f"table {table.name}: {count} rows name a {key.column.table.name} that is not there")
    return found
