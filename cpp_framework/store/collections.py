"""Collections: runs (what one invocation made) and chains (runs of one type and label, newest first)."""

from __future__ import annotations

import re

from sqlalchemy import Connection, func, select

from cpp_framework.errors import ConfigError, ConflictError
from cpp_framework.store.clock import now_tai_ns
from cpp_framework.store.records import Collection, CollectionKind
from cpp_framework.store.schema import chain_member, collection, product


def chain_name(type_name: str, label: str = "") -> str:
    """Name of the chain of a type and label: ``ci_cpp_bias``, ``ci_cpp_ptcFirst``.

    Raises
    ------
    ConfigError
        The label has other characters than letters, digits and ``_``.
    """
    if label and not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", label):
        raise ConfigError(
            f"label {label!r}: use letters, digits and '_', beginning with a letter", hint="--label first"
        )
    return f"ci_cpp_{type_name}{label[:1].upper()}{label[1:]}"


def start_run(connection: Connection, type_name: str, label: str, instant: str) -> str:
    """Reserve a new run, ``ci_cpp_bias/20261122T101500Z``; ``_1``, ``_2`` … follows if that second has one already."""
    base = f"{chain_name(type_name, label)}/{instant}"
    query = select(collection.c.name).where(collection.c.name.startswith(base, autoescape=True))
    taken = set(connection.execute(query).scalars())
    name, i = base, 0
    while name in taken:
        i += 1
        name = f"{base}_{i}"
    _add(connection, name, CollectionKind.RUN)
    return name


def add_to_chain(connection: Connection, run: str) -> None:
    """Put a run at the front of the chain it is named after, unless it is in it."""
    chain = run.rpartition("/")[0]
    if _kind(connection, chain) is None:
        _add(connection, chain, CollectionKind.CHAINED)
    members = select(func.max(chain_member.c.position)).where(chain_member.c.chain == chain)
    if connection.execute(members.where(chain_member.c.member == run)).scalar() is None:
        newest = connection.execute(members).scalar() or 0
        connection.execute(chain_member.insert(), {"chain": chain, "member": run, "position": newest + 1})


def check_run(connection: Connection, run: str) -> None:
    """Raise `ConflictError` unless ``run`` is a run of this repository."""
    if _kind(connection, run) != CollectionKind.RUN:
        raise ConflictError(f"{run!r} is not a run of this repository", hint="Store.new_run() starts one")


def list_collections(connection: Connection) -> list[Collection]:
    """Collections that hold something: runs in order of creation, then chains."""
    counts = connection.execute(select(product.c.run, func.count()).group_by(product.c.run))
    runs: dict[str, int] = {row[0]: row[1] for row in counts}
    members: dict[str, list[str]] = {}
    for row in connection.execute(select(chain_member).order_by(chain_member.c.position.desc())):
        members.setdefault(row.chain, []).append(row.member)
    found = []
    for row in connection.execute(select(collection).order_by(collection.c.created, collection.c.name)):
        kind = CollectionKind(row.kind)
        inside = tuple(members.get(row.name, ()))
        count = runs.get(row.name, 0) if kind is CollectionKind.RUN else sum(runs.get(run, 0) for run in inside)
        if count:
            found.append(Collection(row.name, kind, inside, count))
    return sorted(found, key=lambda one: one.kind is not CollectionKind.RUN)


def runs_of(connection: Connection, name: str) -> list[str]:
    """The runs a collection name stands for: itself if it is a run, else the members of the chain."""
    if _kind(connection, name) == CollectionKind.RUN:
        return [name]
    query = select(chain_member.c.member).where(chain_member.c.chain == name)
    return list(connection.execute(query.order_by(chain_member.c.position.desc())).scalars())


def _kind(connection: Connection, name: str) -> str | None:
    return connection.execute(select(collection.c.kind).where(collection.c.name == name)).scalar()


def _add(connection: Connection, name: str, kind: CollectionKind) -> None:
    connection.execute(collection.insert(), {"name": name, "kind": kind.value, "created": now_tai_ns()})
