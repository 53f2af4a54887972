"""What is particular to an index on a PostgreSQL server; what every store promises is in `test_suite_makers.py`."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from cpp_framework.errors import ConfigError, PluginError, StoreError
from cpp_framework.store import Store, schema
from cpp_framework.store.leases import Lease
from cpp_framework.store.postgres import PostgresDatabase, create_postgres

Run = Callable[[str], None]


@pytest.fixture
def far(tmp_path: Path, postgres: str) -> Store:
    """A repository whose index is on the server."""
    return Store.create(tmp_path / "far", registry=postgres)


def take(store: Store, name: str) -> Lease:
    """A lease that must be free."""
    lease = store.lease(name)
    assert lease is not None
    return lease


@pytest.fixture
def admin(far: Store) -> Run:
    """Run a statement as the owner of the repository's schema."""

    def run(statement: str) -> None:
        with far._database.write() as connection:
            connection.execute(text(statement))

    return run


def as_role(url: str, role: str, database: str = "postgres") -> str:
    return url.replace("//postgres@/postgres", f"//{role}@/{database}")


def schema_of(store: Store) -> str:
    return str(json.loads((store.root / "registry.json").read_text())["schema"])


def test_the_folder_names_the_server(far: Store, postgres: str, tmp_path: Path, put) -> None:
    kept = json.loads((far.root / "registry.json").read_text())
    assert kept["url"].startswith("postgresql+psycopg://postgres@/postgres?host=")
    assert re.fullmatch("cpp_[0-9a-f]{12}", kept["schema"])
    assert not (far.root / "registry.sqlite3").exists()
    record = put(far)
    assert Store.open(far.root).products() == [record]
    assert Store.create(tmp_path / "other", registry=kept["url"]).products() == []
    assert far._database.problems() == []
    assert (far._database.dialect, far._database.name) == ("postgresql", f"{postgres} (schema {kept['schema']})")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://me:secret@host/db", "holds a password"),
        ("postgresql://me@host/db?password=secret", "holds a password"),
        ("postgresql://me@host/db?sslpassword=secret", "holds a password"),
        ("mysql://me:secret@host/db", "does not name PostgreSQL"),
        ("postgresql+psycopg2://host/db", "does not name PostgreSQL"),
        ("postgresql://host", "does not name a database"),
        ("postgresql://me:secret@host:port/db", "cannot be understood"),
        ("secret", "cannot be understood"),
    ],
)
def test_urls_that_are_refused(url: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        Store.create(tmp_path, registry=url)
    assert "secret" not in f"{caught.value} {caught.value.hint}"
    assert caught.value.hint
    assert not (tmp_path / "registry.json").exists()


def test_missing_driver_is_named(far: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(PluginError, match="needs psycopg") as caught:
        Store.open(far.root)
    assert caught.value.hint == 'pip install "cpp-framework[postgres]"'


def test_edited_file_cannot_smuggle_in_options(far: Store) -> None:
    path = far.root / "registry.json"
    kept = path.read_text()
    path.write_text(kept.replace(schema_of(far), "public -c session_preload_libraries=x"))
    with pytest.raises(StoreError, match="not the name of a schema"):
        Store.open(far.root)
    path.write_text(kept.replace("//postgres@", "//postgres:secret@"))
    with pytest.raises(ConfigError, match="holds a password") as caught:
        Store.open(far.root)
    assert "secret" not in str(caught.value)


def test_schema_that_is_gone_is_named(far: Store, admin: Run) -> None:
    name = schema_of(far)
    admin(f"DROP SCHEMA {name} CASCADE")
    with pytest.raises(StoreError, match=f'schema "{name}" does not exist') as caught:
        Store.open(far.root)
    assert "pg_restore" in caught.value.hint


def test_database_in_another_encoding_is_refused(far: Store, postgres: str) -> None:
    with (
        PostgresDatabase(postgres, schema_of(far))
        ._writers.execution_options(isolation_level="AUTOCOMMIT")
        .connect() as connection
    ):
        connection.execute(text("CREATE DATABASE bytes ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0"))
    with pytest.raises(ConfigError, match="is SQL_ASCII; UTF8 is needed"):
        create_postgres(as_role(postgres, "postgres", "bytes"))


def test_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be reached") as caught:
        Store.create(tmp_path, registry=f"postgresql://me@/db?host={tmp_path}")
    assert "pg_isready" in caught.value.hint


def test_password_comes_from_outside_and_is_never_shown(
    tmp_path: Path, far: Store, postgres: str, admin: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "none"))
    locked = as_role(postgres, "locked")
    for password in ("", "wrong word"):
        monkeypatch.setenv("PGPASSWORD", password)
        with pytest.raises(StoreError, match=r"refuses this user: .*password") as caught:
            create_postgres(locked)
        assert "pgpass" in caught.value.hint
        assert "wrong word" not in str(caught.value)
    admin("GRANT CREATE ON DATABASE postgres TO locked")
    monkeypatch.setenv("PGPASSWORD", "locked")
    store = Store.create(tmp_path / "locked", registry=locked)
    assert ":locked" not in (store.root / "registry.json").read_text()
    monkeypatch.delenv("PGPASSWORD")
    (tmp_path / "pgpass").write_text("*:*:*:locked:locked\n")
    (tmp_path / "pgpass").chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pgpass"))
    assert store.new_run("bias").startswith("ci_cpp_bias/")


def test_user_without_rights_is_told_which(far: Store, postgres: str, admin: Run, put, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"refuses this user: .*pg_hba"):
        create_postgres(as_role(postgres, "stranger"))
    with pytest.raises(StoreError, match="this user may not do that: permission denied for database"):
        create_postgres(as_role(postgres, "guest"))
    with pytest.raises(StoreError, match='database "nowhere" does not exist'):
        create_postgres(as_role(postgres, "guest", "nowhere"))
    record, name = put(far), schema_of(far)
    path = far.root / "registry.json"
    path.write_text(path.read_text().replace("//postgres@", "//guest@"))
    with pytest.raises(StoreError, match=f"may not do that: permission denied for schema {name}"):
        Store.open(far.root)
    admin(f"GRANT USAGE ON SCHEMA {name} TO guest")
    with pytest.raises(StoreError, match="may not do that: permission denied for table") as caught:
        Store.open(far.root)
    admin(f"GRANT SELECT ON ALL TABLES IN SCHEMA {name} TO guest")
    guest = Store.open(far.root)
    assert guest.products() == [record]
    with pytest.raises(StoreError, match="may not do that: permission denied for table"):
        guest.new_run("bias")
    # What the hint says is enough to write.
    wanted = re.findall(r"GRANT (SELECT, .*?|USAGE) ON ALL (TABLES|SEQUENCES)", caught.value.hint)
    for rights, objects in wanted:
        admin(f"GRANT {rights} ON ALL {objects} IN SCHEMA {name} TO guest")
    assert put(guest) in far.products()


def test_writers_take_turns_and_readers_do_not_wait(far: Store, put) -> None:
    record = put(far)
    waiting = Store.open(far.root, lock_timeout=0.2)
    with far._database.write() as connection:
        connection.execute(schema.verdict.delete())
        assert waiting.products() == [record]
        with pytest.raises(StoreError, match=r"locked: another process has been writing for more than 0\.2 s"):
            waiting.new_run("bias")
    assert waiting.new_run("bias").startswith("ci_cpp_bias/")


def test_a_reader_sees_one_state_and_cannot_write(far: Store, put) -> None:
    put(far)
    other = Store.open(far.root)
    with far._database.read() as connection:
        before = connection.execute(schema.product.select()).all()
        put(other)
        assert connection.execute(schema.product.select()).all() == before
    assert len(far.products()) == 2
    with pytest.raises(StoreError, match="read-only transaction"), far._database.read() as connection:
        connection.execute(schema.product.delete())


def test_connection_lost_in_the_middle_leaves_nothing(far: Store, put) -> None:
    record = put(far)

    def lose() -> None:
        with far._database.write() as connection:
            connection.execute(schema.raw_digest.insert(), {"path": "p", "size": 1, "mtime_ns": 1, "digest": "d"})
            connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    with pytest.raises(StoreError, match="cannot be reached, or has closed the connection"):
        lose()
    with far._database.read() as connection:
        assert connection.execute(schema.raw_digest.select()).all() == []
    assert far.products() == [record]


def test_full_disk_of_the_server_is_named(far: Store) -> None:
    full = "DO $$ BEGIN RAISE disk_full USING MESSAGE = 'could not extend file'; END $$"
    with pytest.raises(StoreError, match="disk is full; nothing was changed"), far._database.write() as connection:
        connection.execute(text(full))


def test_ledger_cannot_even_be_truncated(far: Store) -> None:
    with pytest.raises(IntegrityError, match="append-only"), far._database.write() as connection:
        connection.execute(text("TRUNCATE ledger"))


def test_columns_are_64_bits_or_text_in_byte_order(far: Store) -> None:
    columns = text("""
        SELECT DISTINCT data_type, collation_name FROM information_schema.columns WHERE table_schema = current_schema()
    """)
    with far._database.read() as connection:
        assert sorted(map(tuple, connection.execute(columns))) == [("bigint", None), ("text", "C")]


def test_problems_are_found(far: Store, admin: Run, put) -> None:
    record = put(far)
    admin("ALTER TABLE ledger DISABLE TRIGGER ledger_no_delete")
    admin("ALTER TABLE verdict DROP CONSTRAINT verdict_product_fkey")
    row = {"id": "v", "product": "gone", "digest": "", "outcome": "", "path": "p", "stored": 0, "document": ""}
    with far._database.write() as connection:
        connection.execute(schema.verdict.insert(), row)
        connection.execute(schema.verdict.insert(), row | {"id": "w", "path": "q", "product": record.id})
    assert far._database.problems() == [
        "table ledger: trigger ledger_no_delete is missing or off",
        "table verdict: 1 rows name a product that is not there",
    ]
    admin("DROP TABLE verdict CASCADE")
    assert far._database.problems() == ["table verdict is missing"]
    with pytest.raises(StoreError, match='relation "verdict" does not exist') as caught:
        far.verdicts("v")
    assert "pg_restore" in caught.value.hint


def connections(store: Store) -> int:
    """Connections of this program to the server, but for the one that asks."""
    with store._database.read() as connection:
        asked = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'cpp' AND pid != pg_backend_pid()"
        return int(connection.execute(text(asked)).scalar_one())


def test_leases_exclude_hosts_that_do_not_share_file_locks(far: Store, tmp_path: Path) -> None:
    shutil.copytree(far.root, tmp_path / "as another host sees it")
    other = Store.open(tmp_path / "as another host sees it")
    with take(far, "recipe"):
        assert other.lease("recipe") is None
        take(other, "other recipe").release()
    with take(other, "recipe"):
        assert far.lease("recipe") is None


def test_all_leases_of_a_store_share_one_connection(far: Store) -> None:
    leases = [take(far, f"recipe {i}") for i in range(20)]
    assert connections(far) == 1
    for lease in leases:
        lease.release()
        lease.release()
    assert connections(far) == 0


def test_lease_whose_connection_was_lost_says_so_and_is_free(far: Store, admin: Run) -> None:
    first, second = take(far, "first"), take(far, "second")
    admin("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid != pg_backend_pid()")
    with pytest.raises(StoreError, match="has closed the connection"):
        first.release()
    second.release()
    for name in ("first", "second"):
        take(far, name).release()


def test_lease_survives_a_forked_child_whose_own_end_with_it(far: Store, tmp_path: Path) -> None:
    script = """
import os, sys
from pathlib import Path
from cpp_framework.store import Store
store = Store.open(Path(sys.argv[1]))
lease = store.lease("of the parent")
child = os.fork()
if child == 0:
    of_child = store.lease("of the child")
    os._exit(of_child is None)
assert os.waitpid(child, 0)[1] == 0
print("held", flush=True)
sys.stdin.read()
lease.release()
"""
    command = [sys.executable, "-W", "error", "-c", script, str(far.root)]
    shutil.copytree(far.root, tmp_path / "as another host sees it")
    other = Store.open(tmp_path / "as another host sees it")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "held\n"
        assert other.lease("of the parent") is None
        deadline = time.monotonic() + 10
        while (lease := other.lease("of the child")) is None:  # the server needs a moment to notice
            assert time.monotonic() < deadline
        lease.release()
        parent.communicate()
    assert parent.returncode == 0
    take(other, "of the parent").release()
