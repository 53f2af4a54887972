"""The repository on disk: a registry and the files it names.

====================  =========================================================================
below the root        content
====================  =========================================================================
registry.sqlite3      the registry: exposures, flags, products, inputs, verdicts, collections
products/             published product files and, beside them, the files of their verdicts
instruments/          one YAML file per camera, for the user to edit
flags/                one small file per flag, so that a registry can be made anew
staging/              files being written; what a crash leaves there is harmless
cache/                measurements; may be deleted at any time
====================  =========================================================================
"""

from __future__ import annotations

import getpass
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from cpp_framework.errors import ConflictError, NotFoundError
from cpp_framework.model.check import Verdict
from cpp_framework.model.header import Header
from cpp_framework.model.identity import new_id
from cpp_framework.store import collections, digests, exposures, instruments, products, schema, verdicts
from cpp_framework.store.clock import now_compact, now_tai_ns
from cpp_framework.store.database import LOCK_TIMEOUT, Database
from cpp_framework.store.files import (
    file_sha256,
    make_folder,
    publish,
    publish_text,
    safe_name,
    storage_errors,
    temporary_path,
)
from cpp_framework.store.locate import REGISTRY
from cpp_framework.store.records import (
    Collection,
    FlagRecord,
    Ingested,
    ProductRecord,
    RawFile,
    StoredExposure,
    short_of,
)

FOLDERS = ("products", "instruments", "flags", "staging", "cache/measurements")


class Store:
    """A repository. Make one with `Store.create` or `Store.open`; it may be used by several threads and processes.

    What is written keeps law 6 of the design: a file is published before a row names it, and all rows of one act are
    one transaction, so that nothing is ever half visible. Every method may raise `StoreError` (lock, full disk,
    permission, damage), with the cause named.
    """

    def __init__(self, root: Path, database: Database) -> None:
        self.root = root
        self._database = database

    @classmethod
    def create(cls, root: Path) -> Self:
        """Make a repository in ``root``, which may exist and hold other things.

        Raises
        ------
        ConflictError
            There is one already, or there are products of one.
        """
        root = root.absolute()
        with storage_errors(root):
            for folder in FOLDERS:
                make_folder(root / folder)
        if (root / REGISTRY).exists():
            raise ConflictError(f"{root} is a repository already", hint="use it, or choose another folder")
        if any((root / "products").iterdir()):
            raise ConflictError(
                f"{root} holds products, but its {REGISTRY} is gone", hint="restore it, or move products/ away"
            )
        # Built under a temporary name and published whole: nobody ever opens a registry without its tables.
        staged = temporary_path(root / "staging", REGISTRY)
        try:
            with storage_errors(root):
                Database(staged).create_tables()
            publish(staged, root / REGISTRY)
        finally:
            staged.unlink(missing_ok=True)
        return cls.open(root)

    @classmethod
    def open(cls, root: Path, write: bool = True, lock_timeout: float = LOCK_TIMEOUT) -> Self:
        """Open a repository; with ``write=False`` no permission to write is needed.

        Raises
        ------
        NotFoundError
            There is none in ``root``.
        FormatVersionError
            A newer version of the framework made it.
        """
        root = root.absolute()
        if not (root / REGISTRY).is_file():
            raise NotFoundError(f"{root} is not a repository: it has no {REGISTRY}", hint=f"cpp init {root}")
        database = Database(root / REGISTRY, write=write, lock_timeout=lock_timeout)
        database.check_version()
        return cls(root, database)

    # -- instruments

    def add_instrument(self, text: str, name: str) -> Path:
        """Keep an instrument's YAML text as a file the user may edit; return its path.

        Raises
        ------
        ConflictError
            There is another text under this name.
        """
        path = instruments.write_file(self.root, name, text)
        with self._database.write() as connection:
            instruments.register(connection, name, path.name)
        return path

    def instruments(self) -> list[str]:
        """Names of the instruments of this repository."""
        with self._database.read() as connection:
            return instruments.names(connection)

    def instrument_path(self, name: str) -> Path:
        """The YAML file of an instrument.

        Raises
        ------
        NotFoundError
            The repository has no such instrument, or its file is gone.
        """
        with self._database.read() as connection:
            return instruments.find_file(connection, self.root, name)

    def instrument_text(self, name: str) -> str:
        """The YAML text of an instrument, as it is on disk now. Raises as `instrument_path`."""
        return self.instrument_path(name).read_text(encoding="utf-8")

    # -- exposures

    def ingest(self, files: Sequence[RawFile]) -> list[Ingested]:
        """Register the exposures of raw files in one transaction; doing it again changes nothing.

        Returns
        -------
        list of Ingested
            One per exposure and detector, in the order given; conflicts are among them, with the reason.
        """
        ingest_id = new_id()
        same_bytes: dict[tuple[str, str], bool] = {}
        while True:
            with self._database.write() as connection:
                plan = exposures.plan_ingest(connection, files, same_bytes, ingest_id)
                if not plan.doubtful:
                    exposures.apply_ingest(connection, plan)
                    return plan.outcomes
            # Reading whole files takes long, so it is done without the lock, and then the comparison again with it.
            for pair in plan.doubtful:
                same_bytes[pair] = self._same_bytes(*pair)

    def exposures(
        self,
        instrument: str = "",
        *,
        kind: str | None = None,
        detector: int | None = None,
        day_obs: int | None = None,
        id: str | None = None,
        ingest: str | None = None,
    ) -> list[StoredExposure]:
        """Exposures with their flags, in order of time, then number, then detector."""
        with self._database.read() as connection:
            return exposures.find(
                connection, instrument, kind=kind, detector=detector, day_obs=day_obs, id=id, ingest=ingest
            )

    def exposure(self, text: str, instrument: str = "") -> list[StoredExposure]:
        """The one exposure meant by an id, number, file (path or name) or beginning of an id: one entry per detector.

        Raises
        ------
        NotFoundError, AmbiguousError
            No exposure, or several, fit.
        """
        with self._database.read() as connection:
            return exposures.find_one(connection, text, instrument)

    def flag(self, exposure_id: str, bad: bool, because: str, instrument: str = "", who: str = "") -> FlagRecord:
        """Flag an exposure (all its detectors) as bad or good; the ledger only grows, and the latest line counts.

        Raises
        ------
        NotFoundError, AmbiguousError
            No exposure, or several, fit.
        """
        one = self.exposure(exposure_id, instrument)[0].exposure
        record = FlagRecord(new_id(), one.instrument, one.id, bad, because, who or _user(), now_tai_ns())
        name = f"{safe_name(one.instrument)}_{safe_name(one.id)}_{short_of(record.id)}.json"
        publish_text(json.dumps(asdict(record), indent=1) + "\n", self.root / "flags" / name, self.root / "staging")
        with self._database.write() as connection:
            connection.execute(schema.exposure_flag.insert(), asdict(record) | {"bad": int(bad)})
        return record

    def flags(self, exposure_id: str, instrument: str = "") -> list[FlagRecord]:
        """Every flag an exposure ever got, newest first. Raises as `exposure`."""
        one = self.exposure(exposure_id, instrument)[0].exposure
        with self._database.read() as connection:
            return exposures.flags(connection, one.instrument, one.id)

    def raw_digests(self, paths: Sequence[Path | str], threads: int = 1) -> dict[str, str]:
        """SHA-256 of raw files by path, read with ``threads`` threads where it is not known yet.

        Raises
        ------
        RawFileError
            A file cannot be read, or changed while it was read.
        """
        states = [digests.state_of(Path(path)) for path in dict.fromkeys(map(str, paths))]
        with self._database.read() as connection:
            found = digests.remembered(connection, states)
        new = [state for state in states if state.path not in found]
        computed = digests.compute(new, threads)
        if computed and self._database.writable:
            with self._database.write() as connection:
                digests.remember(connection, new, computed)
        return found | computed

    def raw_digest(self, path: Path | str) -> str:
        """SHA-256 of one raw file. Raises as `raw_digests`."""
        return self.raw_digests([path])[str(path)]

    # -- products

    def new_run(self, type_name: str, label: str = "") -> str:
        """Reserve the name of a new run, ``ci_cpp_bias/20261122T101500Z``; it is visible with its first product."""
        with self._database.write() as connection:
            return collections.start_run(connection, type_name, label, now_compact())

    def staging_file(self, recipe: str) -> Path:
        """A path to write a product to before `put`; used by nobody else."""
        return temporary_path(self.root / "staging", recipe[:16])

    def put(self, staged: Path, header: Header) -> ProductRecord:
        """Publish one product file and register it. See `put_all`."""
        return self.put_all([(staged, header)])[0]

    def put_all(self, staged: Sequence[tuple[Path, Header]]) -> list[ProductRecord]:
        """Publish product files, then register all of them in one transaction: all become visible, or none.

        Raises
        ------
        ConflictError
            The run has such a product already, or is not a run; nothing is left of the files.
        """
        published: list[tuple[ProductRecord, Header]] = []
        try:
            for file, header in staged:
                published.append((self._publish(file, header), header))
            with self._database.write() as connection:
                for record, header in published:
                    self._register(record, header, connection)
        except ConflictError:
            # Nothing was committed for certain, so the files are nobody's. After any other error the commit may have
            # happened: then they must stay; if not, they are orphans that no row names.
            for record, _ in published:
                self.path(record).unlink(missing_ok=True)
            for file, _ in staged:
                file.unlink(missing_ok=True)
            raise
        return [record for record, _ in published]

    def path(self, record: ProductRecord) -> Path:
        """The file of a product."""
        return self.root / record.path

    def intact(self, record: ProductRecord) -> bool:
        """Whether the product's file is there and has its size."""
        try:
            return self.path(record).stat().st_size == record.size
        except OSError:
            return False

    def product(self, text: str) -> ProductRecord:
        """The product meant by ``last``, a short id, or a unique beginning of an id or digest.

        Raises
        ------
        NotFoundError, AmbiguousError
            No product, or several, fit.
        """
        with self._database.read() as connection:
            return products.find_one(connection, text, self.root)

    def products(
        self,
        *,
        type: str | None = None,
        instrument: str | None = None,
        detector: int | None = None,
        label: str | None = None,
        key: Mapping[str, Any] | None = None,
        run: str = "",
    ) -> list[ProductRecord]:
        """Products, newest first; ``run`` is a run or a chain of runs, ``key`` the fields that must agree."""
        with self._database.read() as connection:
            return products.find(connection, key, run, type=type, instrument=instrument, detector=detector, label=label)

    def by_recipe(self, recipe: str) -> ProductRecord | None:
        """The newest product of a recipe whose file is intact; None if there is none."""
        with self._database.read() as connection:
            found = products.find(connection, recipe=recipe)
        return next((record for record in found if self.intact(record)), None)

    def header(self, record: ProductRecord) -> Header:
        """A product's header with its whole provenance, from the registry alone."""
        with self._database.read() as connection:
            return products.read_header(connection, record)

    def made_from(self, text: str) -> list[ProductRecord]:
        """Products that used an exposure (its id, or the digest of its file) or another product (its id)."""
        with self._database.read() as connection:
            return products.made_from(connection, text)

    def collections(self) -> list[Collection]:
        """Runs and chains that hold something."""
        with self._database.read() as connection:
            return collections.list_collections(connection)

    # -- verdicts

    def put_verdict(self, verdict: Verdict) -> Path:
        """Write a verdict beside its product and register it; return its file.

        Raises
        ------
        NotFoundError
            There is no such product.
        ConflictError
            The verdict speaks of other content than the product has.
        """
        record = self.product(verdict.product)
        if record.digest != verdict.digest:
            raise ConflictError(
                f"the verdict is about content {verdict.digest[:12]}, product {record.short} has {record.digest[:12]}",
                hint=f"cpp verify {record.short}",
            )
        path = verdicts.verdict_path(record, verdict)
        publish_text(verdicts.verdict_text(verdict), self.root / path, self.root / "staging")
        with self._database.write() as connection:
            verdicts.insert(connection, verdict, path)
        return self.root / path

    def verdicts(self, product_id: str) -> list[Verdict]:
        """Verdicts of a product (by its whole id), newest first."""
        with self._database.read() as connection:
            return verdicts.of_product(connection, product_id)

    def _publish(self, staged: Path, header: Header) -> ProductRecord:
        with storage_errors(staged):
            size, sha256 = staged.stat().st_size, file_sha256(staged)
        record = products.make_record(header, products.product_path(header), size, sha256)
        publish(staged, self.path(record))
        return record

    def _register(self, record: ProductRecord, header: Header, connection: Connection) -> None:
        collections.check_run(connection, record.run)
        try:
            products.insert(connection, record, header)
        except IntegrityError as error:
            raise ConflictError(
                f"run {record.run} has a {record.type} of {record.instrument} detector {record.detector} "
                f"{dict(record.key)} already ({error.orig})",
                hint="Store.new_run() starts another run",
            ) from error
        collections.add_to_chain(connection, record.run)

    def _same_bytes(self, stored: str, offered: str) -> bool:
        if not Path(stored).exists():
            return False
        found = self.raw_digests([stored, offered])
        return found[stored] == found[offered]


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no entry in the user database: containers with a bare number
        return "unknown"
