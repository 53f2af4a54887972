"""Writing a bundle: everything is copied and checked under a temporary name, then the folder gets its own."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from cpp_framework._version import __version__
from cpp_framework.config.suggest import did_you_mean
from cpp_framework.errors import ConflictError, NotFoundError, StoreError
from cpp_framework.model.check import Verdict
from cpp_framework.model.identity import new_id
from cpp_framework.store import bundle, ledger, products, verdicts
from cpp_framework.store.collections import list_collections
from cpp_framework.store.files import (
    copy_file,
    make_folder,
    safe_name,
    storage_errors,
    sync_folder,
    sync_tree,
    temporary_path,
)
from cpp_framework.store.records import Collection, LedgerEntry, ProductRecord, Validity
from cpp_framework.store.staging import writer_lives

if TYPE_CHECKING:
    from cpp_framework.store.store import Store

_OCCUPIED = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)


@dataclass(frozen=True)
class Contents:
    """What one state of the index says about a collection: all a bundle of it is made from."""

    collection: Collection
    products: tuple[ProductRecord, ...]
    verdicts: Mapping[str, list[tuple[str, Verdict]]]
    validities: tuple[Validity, ...]
    ledger: tuple[LedgerEntry, ...]


def read_contents(connection: Connection, name: str) -> Contents:
    """Gather a collection's products, oldest first, with their verdicts, validity and ledger.

    Raises
    ------
    NotFoundError
        There is no such collection, or it is empty.
    """
    known = {one.name: one for one in list_collections(connection)}
    if name not in known:
        near = did_you_mean(name, known)
        raise NotFoundError(
            f"there is no collection {name!r} that holds products",
            hint=near if near.startswith("did") else "cpp store collections lists them",
        )
    records = products.find(connection, collection=name)[::-1]
    ids = {record.id for record in records}
    return Contents(
        collection=known[name],
        products=tuple(records),
        verdicts={record.id: verdicts.with_files(connection, record.id) for record in records},
        validities=tuple(ledger.validities(connection, collection=name)),
        ledger=tuple(one for one in ledger.entries(connection, collection=name) if one.product in ids),
    )


def export_bundle(store: Store, collection: str, target: Path) -> bundle.BundleReport:
    """Write the products of a collection, with all that belongs to them, as a bundle.

    Parameters
    ----------
    store : Store
        Where they are; it is not changed.
    collection : str
        A run, a chain, a tagged or a calibration collection.
    target : Path
        The folder to make; it may be there if it is empty. It appears whole, or not at all.

    Raises
    ------
    NotFoundError
        There is no such collection with products, or a product's instrument is gone.
    ConflictError
        ``target`` is there and not empty.
    StoreError
        A file of the repository is damaged, or the bundle cannot be written.
    """
    target = target.absolute()
    contents = store.contents(collection)
    with storage_errors(target):
        _check_free(target)
        make_folder(target.parent)
        _clear_dead(target)
        part = temporary_path(target.parent, target.name)
        try:
            part.mkdir()
            _fill(part, store, contents)
            sync_tree(part)
            _publish(part, target)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return bundle.BundleReport(
        folder=target,
        collection=contents.collection.name,
        kind=contents.collection.kind,
        products=tuple((record, "written") for record in contents.products),
        verdicts=sum(len(some) for some in contents.verdicts.values()),
        lines=len(contents.ledger),
    )


def _fill(part: Path, store: Store, contents: Contents) -> None:
    records = contents.products
    names = sorted({record.instrument for record in records})
    manifest = bundle.Manifest(
        id=new_id(),
        collection=contents.collection.name,
        kind=contents.collection.kind,
        members=contents.collection.members,
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        software={"cpp-framework": __version__},
        products=tuple(
            _product(part, store.root, record, contents.verdicts[record.id]) for record in contents.products
        ),
        validities=tuple(
            bundle.BundledRange(product=one.product, begin=one.begin, end=one.end) for one in contents.validities
        ),
        ledger=contents.ledger,
        instruments=tuple(_instrument(part, store, name) for name in names),
    )
    (part / bundle.MANIFEST).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")


def _product(
    part: Path, root: Path, record: ProductRecord, its_verdicts: list[tuple[str, Verdict]]
) -> bundle.BundledProduct:
    file = _copy(root / record.path, part, record.path)
    if (file.size, file.sha256) != (record.size, record.sha256):
        raise StoreError(
            f"{root / record.path} is damaged: it is not what was stored",
            hint="restore it from a copy, or produce it again; nothing was exported",
        )
    return bundle.BundledProduct(
        **file.model_dump(),
        id=record.id,
        digest=record.digest,
        run=record.run,
        type=record.type,
        instrument=record.instrument,
        detector=record.detector,
        verdicts=tuple(_verdict(part, root, path, verdict) for path, verdict in its_verdicts),
    )


def _verdict(part: Path, root: Path, path: str, verdict: Verdict) -> bundle.BundledVerdict:
    file = _copy(root / path, part, path)
    try:
        same = verdicts.same_verdict(verdict, (part / path).read_text(encoding="utf-8"))
    except ValueError:
        same = False
    if not same:
        raise StoreError(
            f"{root / path} is damaged: it is not the verdict that was stored",
            hint="restore it from a copy, or `cpp doctor --rebuild` makes an index without it; nothing was exported",
        )
    return bundle.BundledVerdict(**file.model_dump(), id=verdict.id)


def _instrument(part: Path, store: Store, name: str) -> bundle.BundledInstrument:
    path = store.instrument_path(name)
    return bundle.BundledInstrument(**_copy(path, part, f"instruments/{path.name}").model_dump(), name=name)


def _copy(source: Path, part: Path, file: str) -> bundle.BundledFile:
    """Copy a file of the repository into the bundle, and say what was copied."""
    (part / file).parent.mkdir(parents=True, exist_ok=True)
    size, sha256 = copy_file(source, part / file)
    return bundle.BundledFile(file=file, size=size, sha256=sha256)


def _clear_dead(target: Path) -> None:
    """Remove what killed exports to this target left beside it."""
    for path in target.parent.glob(f"{safe_name(target.name)[:64]}.*.part"):
        if writer_lives(path.name) is False:
            shutil.rmtree(path, ignore_errors=True)


def _check_free(target: Path) -> None:
    if target.is_symlink() or (target.exists() and not (target.is_dir() and not any(target.iterdir()))):
        raise _occupied(target)


def _publish(part: Path, target: Path) -> None:
    try:
        part.rename(target)  # takes the place of an empty folder, never of anything else
    except OSError as error:
        if error.errno in _OCCUPIED:
            raise _occupied(target) from error
        raise
    sync_folder(target.parent)


def _occupied(target: Path) -> ConflictError:
    return ConflictError(f"{target} is there already", hint="choose another folder for the bundle")
