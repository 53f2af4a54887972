"""Collections, with Butler's four kinds.

A run holds what one invocation made; a chain the runs of one type and label, newest first; a tagged collection what
somebody put there; a calibration collection what is certified, each product for its range of time. Verdicts have runs
and chains of their own, ``ci_cpv_…``; what is in them as products are those the verdicts are about.
"""

from __future__ import annotations

import re

from sqlalchemy import ColumnElement, Connection, func, select

from cpp_framework.errors import ConfigError, ConflictError
from cpp_framework.store.clock import now_tai_ns
from cpp_framework.store.records import Collection, CollectionKind
from cpp_framework.store.schema import (
    chain_member,
    collection,
    line,
    product,
    tag_member,
    validity,
    verdict,
    verdict_run,
)

PRODUCTS, VERDICTS = "ci_cpp", "ci_cpv"
"""How the names of runs and chains begin: of products, and of the verdicts on them."""


def chain_name(type_name: str, label: str = "", content: str = PRODUCTS) -> str:
    """Name of the chain of a type and label: ``ci_cpp_bias``, ``ci_cpp_ptcFirst``; ``ci_cpv_bias`` for verdicts.

    Raises
    ------
    ConfigError
        The label has other characters than letters, digits and ``_``.
    """
    if label and not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", label):
        raise ConfigError(
            f"label {label!r}: use letters, digits and '_', beginning with a letter", hint="--label first"
        )
    return f"{content}_{type_name}{label[:1].upper()}{label[1:]}"


def start_run(connection: Connection, chain: str, instant: str) -> str:
    """Reserve a new run, ``ci_cpp_bias/20261122T101500Z``; ``_1``, ``_2`` … follows if that second has one already."""
    base = f"{chain}/{instant}"
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
    if kind_of(connection, chain) is None:
        _add(connection, chain, CollectionKind.CHAINED)
    members = select(func.max(chain_member.c.position)).where(chain_member.c.chain == chain)
    if connection.execute(members.where(chain_member.c.member == run)).scalar() is None:
        newest = connection.execute(members).scalar() or 0
        connection.execute(chain_member.insert(), {"chain": chain, "member": run, "position": newest + 1})


def check_run(connection: Connection, run: str) -> None:
    """Raise `ConflictError` unless ``run`` is a run of this repository."""
    if kind_of(connection, run) != CollectionKind.RUN:
        raise ConflictError(f"{run!r} is not a run of this repository", hint="Store.new_run() starts one")


def list_collections(connection: Connection) -> list[Collection]:
    """Collections that hold something: runs in order of creation, then chains."""
    counts = connection.execute(select(product.c.run, func.count()).group_by(product.c.run))
    judged = connection.execute(select(verdict_run.c.run, func.count()).group_by(verdict_run.c.run))
    runs: dict[str, int] = {row[0]: row[1] for row in [*counts, *judged]}
    members: dict[str, list[str]] = {}
    for row in connection.execute(select(chain_member).order_by(chain_member.c.position.desc())):
        members.setdefault(row.chain, []).append(row.member)
    counted = {**runs, **_counts_of_chosen(connection)}
    found = []
    for row in connection.execute(select(collection).order_by(collection.c.created, collection.c.name)):
        kind = CollectionKind(row.kind)
        inside = tuple(members.get(row.name, ()))
        chained = kind is CollectionKind.CHAINED
        count = sum(runs.get(run, 0) for run in inside) if chained else counted.get(row.name, 0)
        if count:
            found.append(Collection(row.name, kind, inside, count))
    return sorted(found, key=lambda one: one.kind is not CollectionKind.RUN)


def ensure_run(connection: Connection, name: str) -> None:
    """Make a run that was named elsewhere (in another repository, or in a product's header), unless it is there.

    Raises
    ------
    ConflictError
        A collection of another kind has this name.
    """
    there = kind_of(connection, name)
    if there not in (None, CollectionKind.RUN):
        raise ConflictError(
            f"{name!r} is a collection of kind {there} here; a run of this name is wanted",
            hint="cpp store collections",
        )
    if there is None:
        _add(connection, name, CollectionKind.RUN)


def ensure(connection: Connection, name: str, kind: CollectionKind) -> None:
    """Make a tagged or calibration collection, unless it is there. Raises as `check_name`."""
    if not check_name(connection, name, kind):
        _add(connection, name, kind)


def check_name(connection: Connection, name: str, kind: CollectionKind) -> bool:
    """Whether a tagged or calibration collection is there, if its name may be that of one.

    Raises
    ------
    ConfigError
        The name has characters a collection's name must not have.
    ConflictError
        A collection of another kind has this name, or the name belongs to runs and chains.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_+./-]{0,99}", name) or ".." in name or name.endswith("/"):
        raise ConfigError(f"{name!r} is no name for a collection", hint="letters, digits and '_ + - . /', at most 100")
    there = kind_of(connection, name)
    if there not in (None, kind) or (there is None and name.startswith((f"{PRODUCTS}_", f"{VERDICTS}_"))):
        what = f"is a collection of kind {there} already" if there else "begins like the runs cpp makes itself"
        raise ConflictError(f"{name!r} {what}; kind {kind} is wanted", hint="choose another name")
    return there is not None


def members(connection: Connection, name: str) -> ColumnElement[bool]:
    """The condition that a product is in a collection; for a calibration collection: that it is valid at some time."""
    kind = kind_of(connection, name)
    if kind == CollectionKind.TAGGED:
        return product.c.id.in_(select(tag_member.c.product).where(tag_member.c.collection == name))
    if kind == CollectionKind.CALIBRATION:
        valid = select(validity.c.product).join(line, line.c.sequence == validity.c.line)
        return product.c.id.in_(valid.where(line.c.collection == name))
    chained = select(chain_member.c.member).where(chain_member.c.chain == name)
    judged = select(verdict.c.product).join(verdict_run, verdict_run.c.verdict == verdict.c.id)
    judged = judged.where((verdict_run.c.run == name) | verdict_run.c.run.in_(chained))
    return (product.c.run == name) | product.c.run.in_(chained) | product.c.id.in_(judged)


def _counts_of_chosen(connection: Connection) -> dict[str, int]:
    """Numbers of products in tagged and calibration collections."""
    tagged = select(tag_member.c.collection, func.count()).group_by(tag_member.c.collection)
    products = func.count(validity.c.product.distinct())
    valid = select(line.c.collection, products).join(validity, line.c.sequence == validity.c.line)
    rows = [*connection.execute(tagged), *connection.execute(valid.group_by(line.c.collection))]
    return {row[0]: row[1] for row in rows}


def kind_of(connection: Connection, name: str) -> str | None:
    """Kind of a collection; None if there is none of this name."""
    return connection.execute(select(collection.c.kind).where(collection.c.name == name)).scalar()


def _add(connection: Connection, name: str, kind: CollectionKind) -> None:
    connection.execute(collection.insert(), {"name": name, "kind": kind.value, "created": now_tai_ns()})
