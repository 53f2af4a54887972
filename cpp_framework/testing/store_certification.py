"""Promises of a store about certification: verdicts, half-open ranges that never overlap, tags, and the ledger."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from cpp_framework.errors import AmbiguousError, ConfigError, ConflictError, NotFoundError
from cpp_framework.model import Outcome
from cpp_framework.store import CollectionKind, LedgerEntry, ProductRecord, Store
from cpp_framework.testing.base import require
from cpp_framework.testing.store_base import StoreSuiteBase, require_same
from cpp_framework.testing.store_builders import NIGHT, build_verdict, put_product, put_verified

FIRST, SECOND, THIRD, FOURTH = (1_795_219_237_000_000_000 + n * NIGHT for n in range(4))
"""Instants, a night apart (TAI nanoseconds); the first is 2026-11-21T00:00:00 UTC."""

Ranges = list[tuple[str, int | None, int | None]]


def ranges(store: Store, collection: str = "cam/calib") -> Ranges:
    """Product, begin and end of what is in force."""
    return [(one.product, one.begin, one.end) for one in store.validities(collection)]


def best(store: Store, at: int) -> str | None:
    """Id of the bias for an exposure at an instant."""
    found = store.best("bias", "cam", 0, at)
    return None if found is None else found.product


def ledger_files(store: Store) -> list[Path]:
    """The files of the lines of the ledger, in order of their names."""
    return sorted((store.root / "ledger").iterdir())


class CertificationRules(StoreSuiteBase):
    """Certifying, superseding, decertifying, looking up, tagging."""

    def test_certification_needs_a_good_verdict(self, store: Store) -> None:
        """None, FAIL and INCOMPLETE are refused with the reason; PASS and WARN do."""
        with pytest.raises(ConflictError, match="no verdict"):
            store.certify([put_product(store).id], FIRST, SECOND)
        with pytest.raises(ConflictError, match=r"FAIL because of level"):
            store.certify([put_verified(store, Outcome.FAIL).id], FIRST, SECOND)
        with pytest.raises(ConflictError, match="INCOMPLETE because of noise"):
            store.certify([put_verified(store, Outcome.INCOMPLETE).id], FIRST, SECOND)
        require_same((ranges(store), store.ledger(), ledger_files(store)), ([], [], []), "what the refusals left")
        store.certify([put_verified(store, Outcome.PASS).id], FIRST, SECOND)
        store.certify([put_verified(store, Outcome.WARN).id], SECOND, THIRD)
        require_same(len(ranges(store)), 2, "the number of ranges in force")

    def test_the_newest_verdict_counts(self, store: Store) -> None:
        """A product that passed and then failed is not certified."""
        record = put_verified(store, Outcome.PASS)
        store.put_verdict(build_verdict(record, Outcome.FAIL))
        with pytest.raises(ConflictError, match="FAIL"):
            store.certify([record.id], FIRST, SECOND)

    def test_a_waiver_is_kept_with_its_reason(self, store: Store) -> None:
        """It lets a failed or missing check pass, and the ledger tells; waiving what did not fail is a slip."""
        failed, incomplete = put_verified(store, Outcome.FAIL), put_verified(store, Outcome.INCOMPLETE)
        with pytest.raises(ConfigError, match="nothing to waive"):
            store.certify([failed.id], FIRST, SECOND, waive={"level": "known", "lavel": "a slip"})
        (entry,) = store.certify([failed.id], FIRST, SECOND, waive={"level": "known"}, note="n", who="w")
        require_same(entry.waived, {"level": "known"}, "the waiver")
        require_same((entry.note, entry.who), ("n", "w"), "note and author")
        require_same(entry.verdict, store.verdicts(failed.id)[0].id, "the verdict the certification rests on")
        store.certify([incomplete.id], SECOND, THIRD, waive={"noise": "no overscan"})
        require_same([one.waived for one in store.ledger()], [{"level": "known"}, {"noise": "no overscan"}], "waivers")

    def test_the_file_must_be_what_was_verified(self, store: Store) -> None:
        """A flipped byte is found before a product is certified."""
        record = put_verified(store)
        content = bytearray(store.path(record).read_bytes())
        content[7] ^= 1
        store.path(record).write_bytes(content)
        with pytest.raises(ConflictError, match="not what was stored"):
            store.certify([record.id], FIRST, SECOND)

    def test_ranges_are_half_open(self, store: Store) -> None:
        """The beginning belongs to a range, its end to the next one; adjoining ranges do not overlap."""
        a, b = put_verified(store), put_verified(store)
        store.certify([a.id], FIRST, SECOND)
        store.certify([b.id], SECOND, THIRD)
        wanted = {FIRST - 1: None, FIRST: a.id, SECOND - 1: a.id, SECOND: b.id, THIRD - 1: b.id, THIRD: None}
        require_same({at: best(store, at) for at in wanted}, wanted, "the best bias by instant")

    def test_open_ends(self, store: Store) -> None:
        """None is the beginning or the end of time."""
        a, b = put_verified(store), put_verified(store)
        store.certify([a.id], None, SECOND)
        store.certify([b.id], SECOND, None)
        require_same(ranges(store), [(a.id, None, SECOND), (b.id, SECOND, None)], "the ranges in force")
        found = [best(store, at) for at in (-(2**62), SECOND - 1, SECOND, 2**62)]
        require_same(found, [a.id, a.id, b.id, b.id], "the best bias at far and near instants")

    def test_ranges_that_are_none_are_refused(self, store: Store) -> None:
        """Empty and reversed ones, and instants beyond 64 bits, when certifying and when decertifying."""
        record = put_verified(store)
        store.certify([record.id], FIRST, FOURTH)
        for begin, end in ((SECOND, SECOND), (THIRD, SECOND)):
            for act in (store.certify, store.decertify):
                with pytest.raises(ConfigError, match="is empty"):
                    act([record.id], begin, end)
        for instant in (2**63, -(2**63), 2**70):
            for act in (store.certify, store.decertify):
                with pytest.raises(ConfigError, match="years 1678 to 2262"):
                    act([record.id], None, instant)
        require_same(ranges(store), [(record.id, FIRST, FOURTH)], "the ranges in force")

    def test_of_two_products_of_one_key_only_one_is_certified(self, store: Store) -> None:
        """Two in one call contradict each other, also if they may supersede what is there."""
        a, b = put_verified(store), put_verified(store)
        for supersede in (False, True):
            with pytest.raises(ConflictError, match=f"{b.short} cannot be valid .*{a.short} is valid "):
                store.certify([a.id, b.id], FIRST, None, supersede=supersede)
        require_same((ranges(store), store.ledger()), ([], []), "what the refusals left")

    def test_an_overlap_is_refused_with_both_ranges_named(self, store: Store) -> None:
        """By one nanosecond, from inside and from outside; nothing is changed."""
        a, b = put_verified(store), put_verified(store)
        store.certify([a.id], FIRST, THIRD)
        before = store.ledger()
        for begin, end in ((THIRD - 1, None), (None, FIRST + 1), (SECOND, SECOND + 1), (None, None), (FIRST, THIRD)):
            with pytest.raises(ConflictError, match=f"{b.short} cannot be valid .*{a.short} is valid ") as caught:
                store.certify([b.id], begin, end)
            for date in ("2026-11-21T00:00:00", "2026-11-23T00:00:00"):
                require(date in str(caught.value), f"the message does not name {date}: {caught.value}")
        require_same(ranges(store), [(a.id, FIRST, THIRD)], "the ranges in force")
        require_same(store.ledger(), before, "the ledger after the refusals")

    def test_supersede_takes_the_place_for_the_range_only(self, store: Store) -> None:
        """What is older stays valid before and after; a second old product inside the range goes altogether."""
        a, b, c = (put_verified(store) for _ in range(3))
        store.certify([a.id], FIRST, None)
        store.certify([b.id], SECOND, THIRD, supersede=True)
        require_same(
            ranges(store), [(a.id, FIRST, SECOND), (b.id, SECOND, THIRD), (a.id, THIRD, None)], "ranges in force"
        )
        written = store.certify([c.id], SECOND - 1, FOURTH, supersede=True)
        require_same(
            ranges(store), [(a.id, FIRST, SECOND - 1), (c.id, SECOND - 1, FOURTH), (a.id, FOURTH, None)], "ranges"
        )
        acts = {(one.action, one.product) for one in written}
        require_same(acts, {("decertify", a.id), ("decertify", b.id), ("certify", c.id)}, "the lines written")

    def test_decertify_splits(self, store: Store) -> None:
        """It takes a range away, from the middle, the side, or all; where nothing is valid it says so."""
        record = put_verified(store)
        store.certify([record.id], FIRST, None)
        store.decertify([record.id], SECOND, THIRD)
        require_same(ranges(store), [(record.id, FIRST, SECOND), (record.id, THIRD, None)], "the ranges in force")
        with pytest.raises(NotFoundError, match="not certified"):
            store.decertify([record.id], SECOND, THIRD)
        store.decertify([record.id], None, FIRST + 1)
        require_same(ranges(store)[0], (record.id, FIRST + 1, SECOND), "the first range in force")
        store.decertify([record.id])
        require_same(ranges(store), [], "the ranges in force")
        with pytest.raises(NotFoundError, match="not certified"):
            store.decertify([record.id])

    def test_certifying_again_changes_nothing(self, store: Store) -> None:
        """A product that is valid for the whole range already gets no further line."""
        record = put_verified(store)
        store.certify([record.id], FIRST, THIRD)
        require_same(store.certify([record.id], FIRST, SECOND), [], "the lines of a repetition")
        store.certify([record.id], SECOND, FOURTH)
        require_same(ranges(store), [(record.id, FIRST, FOURTH)], "its ranges, which have grown together")
        require_same(len(store.ledger()), 2, "the number of lines")

    def test_several_products_are_certified_all_or_none(self, store: Store) -> None:
        """A conflict of one leaves neither rows nor files of the others."""
        a, b = put_verified(store), put_verified(store)
        other = put_verified(store, detector=1, key={"detector": 1})
        store.certify([a.id], FIRST, SECOND)
        before = store.ledger(), ledger_files(store)
        with pytest.raises(ConflictError):
            store.certify([other.id, b.id], FIRST, SECOND)
        with pytest.raises(NotFoundError):
            store.decertify([a.id, other.id])
        with pytest.raises(NotFoundError):
            store.certify([other.id, "0000"], FIRST, SECOND)
        require_same(ranges(store), [(a.id, FIRST, SECOND)], "the ranges in force")
        require_same((store.ledger(), ledger_files(store)), before, "the ledger after the refusals")
        store.certify([other.id, a.id], SECOND, THIRD)
        require_same(len(store.validities()), 2, "the number of ranges in force")

    def test_each_key_has_its_own_validity(self, store: Store) -> None:
        """Filters do not exclude each other; without one the look-up says that several fit."""
        red, green = (put_verified(store, type="flat", key={"detector": 0, "filter": name}) for name in "rg")
        store.certify([red.id, green.id], FIRST, None)
        for record, name in ((red, "r"), (green, "g")):
            found = store.best("flat", "cam", 0, FIRST, {"filter": name})
            require_same(found and found.product, record.id, f"the best flat of filter {name}")
        require_same(store.best("flat", "cam", 0, FIRST, {"filter": "i"}), None, "the best flat of filter i")
        require_same(store.best("flat", "cam", 1, FIRST, {"filter": "r"}), None, "the best flat of another detector")
        with pytest.raises(AmbiguousError, match=red.short):
            store.best("flat", "cam", 0, FIRST)

    def test_collections_are_apart(self, store: Store) -> None:
        """The default is the instrument's; a named one has validities of its own."""
        a, b = put_verified(store), put_verified(store)
        store.certify([a.id], FIRST, None)
        store.certify([b.id], FIRST, None, collection="u/someone/try")
        found = [store.best("bias", "cam", 0, FIRST, None, name) for name in ("", "cam/calib", "u/someone/try")]
        require_same([one and one.product for one in found], [a.id, a.id, b.id], "the best by collection")
        kinds = {one.name: (one.kind, one.n_products) for one in store.collections()}
        for name in ("cam/calib", "u/someone/try"):
            require_same(kinds[name], (CollectionKind.CALIBRATION, 1), f"kind and size of {name}")
        require_same(store.products(run="u/someone/try"), [b], "the products of the collection")
        require_same([one.product for one in store.validities(product=b.id)], [b.id], "validities of a product")
        require_same(store.validities(type="dark"), [], "validities of a type nobody certified")

    def test_tags(self, store: Store) -> None:
        """A tagged collection holds what was put there, once; names of other collections are refused."""
        a, b = put_product(store), put_verified(store)
        store.tag("best/2026", [a.id, b.id])
        require_same(store.tag("best/2026", [a.id]), [], "the lines of a repetition")
        require_same(store.products(run="best/2026"), [b, a], "the products of the tag")
        store.untag("best/2026", [a.id])
        require_same(store.products(run="best/2026"), [b], "the products of the tag")
        for name, product in (("best/2026", a.id), ("nothing", b.id)):
            with pytest.raises(NotFoundError):
                store.untag(name, [product])
        store.certify([b.id], FIRST, None)
        for name in ("cam/calib", "ci_cpp_bias", b.run, "ci_cpp_new"):
            with pytest.raises(ConflictError):
                store.tag(name, [b.id])
        with pytest.raises(ConflictError):
            store.certify([b.id], FIRST, None, collection="best/2026")
        with pytest.raises(ConfigError):
            store.tag("../up", [b.id])
        require_same([one.action for one in store.ledger(collection="best/2026")], ["tag", "tag", "untag"], "acts")

    def test_the_ledger_tells_every_act_in_order(self, store: Store) -> None:
        """Numbered without gaps, each line with its own file; by product and by collection as well."""
        a, b = put_verified(store), put_verified(store)
        written = store.certify([a.id], FIRST, None, note="first light", who="observer")
        written += store.certify([b.id], SECOND, None, supersede=True)
        written += store.decertify([b.id], THIRD, None)
        written += store.tag("good", [a.id])
        found = store.ledger()
        require_same(found, written, "the ledger")
        require_same([one.sequence for one in found], [1, 2, 3, 4, 5], "the numbers of the lines")
        require_same([store.root / one.path for one in found], ledger_files(store), "the files of the lines")
        require_same(store.ledger(product=b.id), _of(found, b), "the lines of a product")
        require_same(store.ledger(collection="good"), found[-1:], "the lines of a collection")
        require(found[0].made > 0 and found[0].who == "observer", f"{found[0]} does not tell when and by whom")

    def test_the_ledger_only_grows(self, store: Store) -> None:
        """The database itself refuses to change or delete a line."""
        self.needs("sql_index")
        store.certify([put_verified(store).id], FIRST, None)
        before = store.ledger()
        for statement in ("UPDATE ledger SET note = 'other'", "DELETE FROM ledger"):
            with pytest.raises(IntegrityError, match="append-only"), store._database.write() as connection:
                connection.execute(text(statement))
        require_same(store.ledger(), before, "the ledger")


def _of(entries: list[LedgerEntry], record: ProductRecord) -> list[LedgerEntry]:
    return [one for one in entries if one.product == record.id]
