"""Promises of a store about products: whole, all or none, one winner, with provenance and verdicts."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from cpp_framework.errors import AmbiguousError, ConflictError, NotFoundError, StoreError
from cpp_framework.model import Check, Level, Outcome, Verdict
from cpp_framework.store import CollectionKind, ProductRecord, Store
from cpp_framework.store.files import file_sha256
from cpp_framework.testing.base import require
from cpp_framework.testing.store_base import StoreSuiteBase, require_same
from cpp_framework.testing.store_builders import build_header, build_verdict, put_product, put_verified, stage


def require_whole(store: Store, record: ProductRecord) -> None:
    """Raise `ContractBrokenError` unless a visible product's file is there as it was stored."""
    path = store.path(record)
    require(path.is_file(), f"{record.short} is visible, and its file {path} is not there")
    require_same(path.stat().st_size, record.size, f"size of the file of {record.short}")
    require_same(file_sha256(path), record.sha256, f"digest of the file of {record.short}")


def product_files(store: Store) -> list[Path]:
    """The files below ``products``, sorted."""
    return sorted(path for path in (store.root / "products").rglob("*") if path.is_file())


class ProductRules(StoreSuiteBase):
    """Putting products and verdicts, and finding them again."""

    def test_a_product_is_found_by_what_people_type(self, store: Store) -> None:
        """``last``, the id, its beginning, the short id and the beginning of the digest all mean the product."""
        record = put_product(store, content="abc")
        for text in ("last", record.id, record.id[:13], record.id.upper(), record.short, record.digest[:6]):
            require_same(store.product(text), record, f"the product {text!r} means")
        require_same(store.by_recipe(record.recipe), record, "the product of the recipe")
        require_same(store.by_recipe("0" * 64), None, "the product of a recipe nobody used")
        with pytest.raises(NotFoundError):
            store.product("0000")

    def test_an_ambiguous_id_names_the_candidates(self, store: Store) -> None:
        """Two products of the same content share their digest."""
        first, second = put_product(store, content="same"), put_product(store, content="same")
        with pytest.raises(AmbiguousError, match=f"{second.short}.*{first.short}"):
            store.product(first.digest)

    def test_what_is_visible_is_whole(self, store: Store) -> None:
        """Every product the store lists has its file, with its size and its digest, and nothing is left over."""
        run = store.new_run("bias")
        pairs = [stage(store, build_header(run, f"c{i}", detector=i, key={"detector": i}), f"c{i}") for i in range(3)]
        records = store.put_all(pairs)
        require_same(store.products(), records[::-1], "the products, newest first")
        for record in store.products():
            require_whole(store, record)
        require_same(product_files(store), sorted(map(store.path, records)), "the files of the products")
        require_same(list((store.root / "staging").iterdir()), [], "what is left in the staging folder")

    def test_one_product_per_unit_of_a_run(self, store: Store) -> None:
        """A second product of one type, label, detector and key in a run is refused; the first stays as it was."""
        record = put_product(store, content="first")
        with pytest.raises(ConflictError, match=record.run):
            put_product(store, record.run, content="second")
        require_same(store.products(), [record], "the products after the refusal")
        require_same(product_files(store), [store.path(record)], "the files after the refusal")
        require_whole(store, record)
        for changes in ({"detector": 1}, {"label": "other"}, {"key": {"detector": 0, "filter": "r"}}):
            put_product(store, record.run, **changes)
        require_same(len(store.products(run=record.run)), 4, "the number of products of four units")

    def test_only_runs_take_products(self, store: Store) -> None:
        """A chain, or a run nobody started, does not."""
        put_product(store)
        for run in ("ci_cpp_bias", "ci_cpp_bias/20000101T000000Z", ""):
            with pytest.raises(ConflictError, match="is not a run"):
                store.put(*stage(store, build_header(run)))
        require_same(len(store.products()), 1, "the number of products")

    def test_several_products_become_visible_together_or_not_at_all(self, store: Store) -> None:
        """A conflict in the middle of `put_all` leaves neither rows nor files of the others."""
        run = store.new_run("bias")
        first = put_product(store, run, detector=1, key={"detector": 1})
        pairs = [stage(store, build_header(run, detector=i, key={"detector": i})) for i in range(3)]
        with pytest.raises(ConflictError):
            store.put_all(pairs)
        require_same(store.products(), [first], "the products after the refusal")
        require_same(product_files(store), [store.path(first)], "the files after the refusal")
        require_same(list((store.root / "staging").iterdir()), [], "what is left in the staging folder")

    def test_an_exception_in_the_middle_leaves_nothing(self, store: Store) -> None:
        """A file that cannot be published lets the whole `put_all` fail, and doing it again succeeds."""
        run = store.new_run("bias")
        headers = [build_header(run, detector=i, key={"detector": i}) for i in range(3)]
        pairs = [stage(store, header) for header in headers]
        pairs[1][0].unlink()
        with pytest.raises(StoreError):
            store.put_all(pairs)
        require_same(store.products(), [], "the products after the failure")
        require_same(product_files(store), [], "the files after the failure")
        records = store.put_all([stage(store, header) for header in headers])
        require_same(store.products(run=run), records[::-1], "the products of the second attempt")

    def test_provenance_is_in_the_index(self, store: Store) -> None:
        """The header comes back equal without the file, and "what was made from this?" is a query."""
        run = store.new_run("bias")
        header = build_header(run, key={"detector": 0, "filter": "r"}, begin=-5, end=2**62)
        record = store.put(*stage(store, header))
        store.path(record).unlink()
        require_same(store.header(record), header, "the header from the index")
        for text in ("e1", "d1", "g1"):
            require_same(store.made_from(text), [record], f"the products made from {text}")
        require_same(store.made_from("e2"), [], "the products made from an exposure that was not used")

    def test_only_an_intact_product_serves_its_recipe(self, store: Store) -> None:
        """A truncated or missing file does not: the next older product of the recipe does."""
        first, second = put_product(store, content="same"), put_product(store, content="same")
        require_same(store.by_recipe(first.recipe), second, "the product of the recipe")
        store.path(second).write_bytes(b"cut")
        require_same(store.by_recipe(first.recipe), first, "the product of the recipe after damage to the newer")
        store.path(first).unlink()
        require_same(store.by_recipe(first.recipe), None, "the product of the recipe after damage to both")

    def test_products_by_property_run_and_chain(self, store: Store) -> None:
        """Filters select, the newest comes first, and a chain holds its runs newest first."""
        runs = [store.new_run("bias"), store.new_run("bias"), store.new_run("bias")]
        require_same(store.collections(), [], "collections before the first product")
        a = put_product(store, runs[0], key={"detector": 0, "filter": "r", "binning": (1, 1)})
        b = put_product(store, runs[2], detector=1, key={"detector": 1, "filter": "g"})
        c = put_product(store, type="dark")
        require_same(store.products(), [c, b, a], "all products")
        require_same(store.products(type="bias", detector=1, instrument="cam"), [b], "the biases of detector 1")
        require_same(store.products(key={"filter": "r", "binning": (1, 1)}), [a], "the products of filter r")
        require_same(store.products(run="ci_cpp_bias"), [b, a], "the products of the chain")
        require_same(store.products(run=runs[0]), [a], "the products of a run")
        found = {one.name: one for one in store.collections()}
        chain = found["ci_cpp_bias"]
        require_same(list(found), [runs[0], runs[2], c.run, "ci_cpp_bias", "ci_cpp_dark"], "names of the collections")
        require_same((chain.kind, chain.members), (CollectionKind.CHAINED, (runs[2], runs[0])), "the chain's runs")
        require_same([one.n_products for one in found.values()], [1, 1, 1, 2, 1], "numbers of products")

    def test_names_stay_below_the_root(self, store: Store) -> None:
        """Whatever a header says, the product's file is below ``products``."""
        record = put_product(store, instrument="../../etc", key={"detector": 0, "filter": "/a/../b"})
        path = store.path(record).resolve()
        require(path.is_relative_to((store.root / "products").resolve()), f"{path} is outside the repository")
        require_same(record.key, {"detector": 0, "filter": "/a/../b"}, "the key")

    def test_verdicts_come_back_newest_first(self, store: Store) -> None:
        """Each with all its numbers, also those that are not finite, and with a file beside the product."""
        record = put_product(store)
        require_same(store.verdicts(record.id), [], "verdicts of a product that was never verified")
        check = Check(name="level", level=Level.DETECTOR, value=math.nan, error=math.inf, unit="adu")
        strange = build_verdict(record).model_copy(update={"checks": (check,)})
        passed = build_verdict(record, Outcome.PASS)
        files = [store.put_verdict(one) for one in (strange, passed)]
        texts = [one.model_dump_json() for one in store.verdicts(record.id)]
        require_same(texts, [one.model_dump_json() for one in (passed, strange)], "the verdicts, newest first")
        require_same([file.parent for file in files], [store.path(record).parent] * 2, "folders of the verdicts")

    def test_a_verdict_is_bound_to_the_content(self, store: Store) -> None:
        """One about other content, or about no product, is refused and leaves no file."""
        record = put_product(store)
        good = build_verdict(record)
        with pytest.raises(ConflictError, match="content"):
            store.put_verdict(good.model_copy(update={"digest": "f" * 64}))
        with pytest.raises(NotFoundError):
            store.put_verdict(Verdict(id="v", product="0" * 8, digest=record.digest, type="bias", checks=()))
        require_same(store.verdicts(record.id), [], "the verdicts after the refusals")
        require_same(product_files(store), [store.path(record)], "the files after the refusals")

    def test_a_read_only_handle_reads_and_refuses_to_write(self, store: Store) -> None:
        """Every act that writes is refused by name, and leaves no file."""
        record = put_verified(store)
        before = sorted(store.root.rglob("*"))
        reader = self.reopen(store, write=False)
        require(not reader.writable, "a handle opened with write=False calls itself writable")
        require_same(reader.product("last"), record, "the product by a read-only handle")
        require_whole(reader, record)
        pair = stage(store, build_header(record.run, detector=1))
        for act in (
            lambda: reader.new_run("bias"),
            lambda: reader.put(*pair),
            lambda: reader.put_verdict(build_verdict(record)),
            lambda: reader.certify([record.id], 0, None),
            lambda: reader.tag("best", [record.id]),
        ):
            with pytest.raises(StoreError, match="reading only"):
                act()
        pair[0].unlink(missing_ok=True)
        require_same(sorted(store.root.rglob("*")), before, "the files after the refusals")
        require_same(store.products(), [record], "the products after the refusals")
