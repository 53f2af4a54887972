"""What a store knows of products: files, rows, runs and verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from cpp_framework.errors import ConflictError
from cpp_framework.model.check import Verdict
from cpp_framework.model.header import Header
from cpp_framework.store import collections, products, verdicts
from cpp_framework.store.base import StoreBase
from cpp_framework.store.clock import now_compact
from cpp_framework.store.files import file_sha256, publish, publish_text, storage_errors
from cpp_framework.store.records import Collection, ProductRecord


class ProductStore(StoreBase):
    """Products, the runs and chains they are in, and their verdicts."""

    def new_run(self, type_name: str, label: str = "") -> str:
        """Reserve the name of a new run, ``ci_cpp_bias/20261122T101500Z``; it is visible with its first product."""
        with self._database.write() as connection:
            return collections.start_run(connection, collections.chain_name(type_name, label), now_compact())

    def new_verdict_run(self, type_name: str, label: str = "") -> str:
        """Reserve the name of a new run of verdicts, ``ci_cpv_bias/20261122T101500Z``; visible with its first one."""
        chain = collections.chain_name(type_name, label, collections.VERDICTS)
        with self._database.write() as connection:
            return collections.start_run(connection, chain, now_compact())

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
        files = [file for file, _ in staged]
        with self._publishing(), self._withdrawing(files) as commit_begins:
            for file, header in staged:
                published.append((self._publish(file, header), header))
                files.append(self.path(published[-1][0]))
            with self._database.write() as connection:
                for record, header in published:
                    self._register(record, header, connection)
                commit_begins()
        return [record for record, _ in published]

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
        """Products, newest first; ``run`` is a run or any other collection, ``key`` the fields that must agree."""
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
        with self._publishing():
            publish_text(verdicts.verdict_text(verdict), self.root / path, self.root / "staging")
            with self._withdrawing([self.root / path]) as commit_begins, self._database.write() as connection:
                products.check_there(connection, record)
                verdicts.insert(connection, verdict, path)
                commit_begins()
        return self.root / path

    def outcomes(self) -> dict[str, str]:
        """Outcome of the newest verdict of every product that has one, by the product's id."""
        with self._database.read() as connection:
            return verdicts.outcomes(connection)

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
