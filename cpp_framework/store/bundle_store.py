"""What bundles ask of a store: the contents of a collection, and products of elsewhere taken in with their history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError

from cpp_framework.errors import BundleError, ConflictError
from cpp_framework.model.identity import new_id
from cpp_framework.model.timespan import to_iso
from cpp_framework.store import bundle_export, collections, instruments, ledger, products, verdicts
from cpp_framework.store.bundle import Manifest
from cpp_framework.store.bundle_read import Arrival, ArrivingVerdict, Bundle
from cpp_framework.store.files import (
    copy_file,
    file_sha256,
    publish,
    storage_errors,
    sync_file,
    temporary_path,
    unpublish,
)
from cpp_framework.store.ledger_store import LedgerStore
from cpp_framework.store.records import Act, CollectionKind, LedgerEntry, short_of
from cpp_framework.store.schema import product as product_table
from cpp_framework.store.user import user_name


@dataclass
class Adopted:
    """What is not there yet of a bundle, and has to be taken in."""

    arrivals: list[Arrival] = field(default_factory=list)
    verdicts: list[tuple[Arrival, ArrivingVerdict]] = field(default_factory=list)
    lines: list[tuple[Arrival, LedgerEntry]] = field(default_factory=list)
    instruments: list[str] = field(default_factory=list)


class BundleStore(LedgerStore):
    """Giving out and taking in bundles."""

    def contents(self, collection: str) -> bundle_export.Contents:
        """What the index says about a collection, at one instant. Raises as `bundle_export.read_contents`."""
        with self._database.read() as connection:
            return bundle_export.read_contents(connection, collection)

    def adopt(self, bundle: Bundle, supersede: bool = False) -> Adopted:
        """Take in a bundle that was checked: all of it becomes visible at once, or nothing.

        Returns
        -------
        Adopted
            What was new; nothing the second time.

        Raises
        ------
        ConflictError
            A product is there with other bytes, an instrument with another text, or another product is valid in a range
            of the bundle and ``supersede`` is false. Nothing has changed then.
        """
        with self._database.read() as connection:
            wanted = self._missing(connection, bundle, supersede)
        staged = self._stage(self._files(bundle, wanted))
        try:
            # Alone: a file that is there without a row is then a killed import's, and nobody is removing it.
            with self._publishing(alone=True):
                wanted = self._take_in(bundle, staged, supersede)
        finally:
            _forget(staged)
        return wanted

    def _take_in(self, bundle: Bundle, staged: Mapping[Path, Path], supersede: bool) -> Adopted:
        """Publish what is staged, then register what is missing."""
        published: list[Path] = []
        try:
            self._publish_staged(staged, published)
            with self._acting() as (connection, written):
                # Asked again: somebody may have been faster, or have removed what was there.
                wanted = self._missing(connection, bundle, supersede)
                removed = self._files(bundle, wanted).keys() - staged.keys()
                if removed:
                    raise ConflictError(
                        f"{min(removed)} was removed while the bundle was read", hint="repeat the command"
                    )
                written += self._register_all(connection, wanted, supersede)
        except ConflictError:
            unpublish(published)  # nothing was committed for certain
            raise
        return wanted

    def _missing(self, connection: Connection, bundle: Bundle, supersede: bool) -> Adopted:
        found = Adopted()
        for name, text in bundle.instruments.items():
            if not self._has_instrument(connection, name, text):
                found.instruments.append(name)
        for one in bundle.arrivals:
            query = select(product_table.c.sha256).where(product_table.c.id == one.record.id)
            sha256 = connection.execute(query).scalar()
            if sha256 is None:
                _refuse_same_run(connection, one)
                found.arrivals.append(one)
            elif sha256 != one.record.sha256:
                raise ConflictError(
                    f"product {one.record.id} is in this repository already, with other bytes than in {one.file}",
                    hint=f"cpp show {one.record.short} tells what it is; one of the two files was changed",
                )
            there = {each.id: each for _, each in verdicts.with_files(connection, one.record.id)}
            for each in one.verdicts:
                stored = there.get(each.verdict.id)
                if stored is None:
                    found.verdicts.append((one, each))
                elif stored.model_dump_json() != each.verdict.model_dump_json():
                    raise ConflictError(
                        f"verdict {each.verdict.id} is in this repository already, and not as in {each.file}",
                        hint="one of the two was changed: cpp store verify",
                    )
        self._missing_lines(connection, bundle, supersede, found)
        return found

    def _missing_lines(self, connection: Connection, bundle: Bundle, supersede: bool, found: Adopted) -> None:
        """Certifications and tags to repeat; those in force already change nothing."""
        by_id = {one.record.id: one for one in bundle.arrivals}
        name, kind = bundle.manifest.collection, bundle.manifest.kind
        if kind is CollectionKind.TAGGED:
            collections.check_name(connection, name, kind)
            for one in bundle.arrivals:
                if name not in ledger.tagged(connection, one.record.id):
                    found.lines.append((one, _entry(bundle.manifest, Act.TAG, one)))
        if kind is CollectionKind.CALIBRATION:
            collections.check_name(connection, name, kind)
        for piece, certified in bundle.certified:
            one = by_id[piece.product]
            line = ledger.find_line(connection, name, one.record)
            in_force = [] if line is None else ledger.overlapping(connection, line, piece.begin, piece.end)
            if ledger.covers(in_force, piece.product, piece.begin, piece.end):
                continue
            entry = _entry(bundle.manifest, Act.CERTIFY, one, certified)
            if entry.source in _repeated(connection, name, piece.product):
                continue  # brought in before; what became of it since was decided here
            entry = replace(entry, begin=piece.begin, end=piece.end)
            if not supersede:
                ledger.refuse_overlap(entry, in_force)
            found.lines.append((one, entry))

    def _has_instrument(self, connection: Connection, name: str, text: str) -> bool:
        path = instruments.path_of(self.root, name)
        with storage_errors(path):
            if path.exists() and path.read_bytes() != text.encode():
                raise ConflictError(
                    f"instrument {name!r} is another one here than in the bundle: {path} differs",
                    hint="compare the two files; products of the bundle fit only the one they were made with",
                )
            return path.exists() and name in instruments.names(connection)

    def _files(self, bundle: Bundle, wanted: Adopted) -> dict[Path, Arrival | str]:
        """The files to publish by their final names: products, and the texts of verdicts and instruments."""
        files: dict[Path, Arrival | str] = {self.path(one.record): one for one in wanted.arrivals}
        files |= {self.root / each.path: each.text for _, each in wanted.verdicts}
        return files | {instruments.path_of(self.root, name): bundle.instruments[name] for name in wanted.instruments}

    def _stage(self, files: Mapping[Path, Arrival | str]) -> dict[Path, Path]:
        """Copy files into the staging folder; return where they are, by their final names."""
        staged: dict[Path, Path] = {}
        try:
            for final, content in files.items():
                staged[final] = temporary_path(self.root / "staging", final.name)
                if isinstance(content, Arrival):
                    self._copy(content, staged[final])
                else:
                    with storage_errors(staged[final]):
                        staged[final].write_bytes(content.encode())
                sync_file(staged[final])  # here, so that nobody waits for it later
        except BaseException:
            _forget(staged)
            raise
        return staged

    def _copy(self, one: Arrival, staged: Path) -> None:
        """Copy a product, and look again whether these are the bytes that were checked."""
        if copy_file(one.file, staged)[1] != one.record.sha256:
            raise BundleError(f"{one.file} changed while it was imported", hint="repeat when nobody writes to it")

    def _publish_staged(self, staged: Mapping[Path, Path], published: list[Path]) -> None:
        for final, file in staged.items():
            with storage_errors(final):
                # A killed import may have left it: then it is taken as it is, if it is the same.
                if final.exists() and file_sha256(final) == file_sha256(file):
                    continue
            publish(file, final)
            published.append(final)

    def _register_all(self, connection: Connection, wanted: Adopted, supersede: bool) -> list[LedgerEntry]:
        for name in wanted.instruments:
            instruments.register(connection, name, instruments.path_of(self.root, name).name)
        for one in wanted.arrivals:
            collections.ensure_run(connection, one.record.run)
            self._register(one.record, one.header, connection)
        for _, each in wanted.verdicts:
            try:
                verdicts.insert(connection, each.verdict, each.path)
            except IntegrityError as error:
                raise ConflictError(
                    f"verdict {each.verdict.id} of {each.file} is here already, for another product",
                    hint="one of the two files was changed",
                ) from error
        written = []
        for one, entry in wanted.lines:
            if entry.action is Act.CERTIFY:
                line = ledger.line_of(connection, entry.collection, one.record)
                in_force = ledger.overlapping(connection, line, entry.begin, entry.end)
                written += self._give_way(connection, entry, line, in_force, supersede)
            ledger.replay(connection, entry, one.record)
            written.append(entry)
        return written


def _refuse_same_run(connection: Connection, one: Arrival) -> None:
    """Refuse a product whose run is also one of this repository, begun in the same second, with such a product."""
    record = one.record
    same = {name: getattr(record, name) for name in ("run", "type", "label", "instrument", "detector")}
    for other in products.find(connection, record.key, **same):
        if other.key == record.key:
            raise ConflictError(
                f"{one.file} is of run {record.run}; a run of this name was made here in the same second, "
                f"and has such a product too: {other.short}",
                hint="produce one of the two again: its run gets another name",
            )


def _repeated(connection: Connection, collection: str, product: str) -> set[str]:
    """Lines of a product and collection that are in the ledger, or repeated in it, by id."""
    lines = ledger.entries(connection, collection=collection, product=product)
    return {id for one in lines for id in (one.id, one.source) if id}


def _forget(staged: Mapping[Path, Path]) -> None:
    for file in staged.values():
        file.unlink(missing_ok=True)


def _entry(manifest: Manifest, act: Act, one: Arrival, certified: LedgerEntry | None = None) -> LedgerEntry:
    """The line of the ledger that repeats what the bundle says, and tells who did it first."""
    note = f"from a bundle of {manifest.collection} exported {manifest.created} UTC ({short_of(manifest.id)})"
    if certified is None:
        return LedgerEntry(0, new_id(), act, manifest.collection, one.record.id, note=note, who=user_name())
    note += f"; certified by {certified.who} on {to_iso(certified.made)[:19]}Z"
    note += f": {certified.note}" if certified.note else ""
    return LedgerEntry(
        0, new_id(), act, manifest.collection, one.record.id,
        verdict=certified.verdict, waived=certified.waived, note=note, who=user_name(),
        source=certified.source or certified.id,
    )  # fmt: skip
