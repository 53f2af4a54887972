"""Export of a repository of cpp to a Butler repository, which a plain ``Butler(path)`` reads.

What is there already is left alone, so that the same command adds what is new, and finishes what a kill cut short.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from lsst.daf.butler import Butler, CollectionType, DatasetRef

from cpp_butler.addresses import raw_run
from cpp_butler.collections import Ours, write_chain, write_tag, write_validities
from cpp_butler.dimensions import insert
from cpp_butler.plan import Plan, make_plan
from cpp_butler.products import ingest_product, known_products
from cpp_butler.raws import RawKey, check_way, ingest_raws, known_raws, raw_ref, raw_type
from cpp_butler.report import ExportReport, Skipped
from cpp_butler.repository import open_repository
from cpp_framework.camera.instrument import Instrument
from cpp_framework.model.exposure import Exposure
from cpp_framework.plugins import installed
from cpp_framework.store import Store


def export_repository(
    store: Store,
    instruments: Callable[[str], Instrument],
    target: Path,
    *,
    raws: str = "link",
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> ExportReport:
    """Export cameras, exposures, raw files, products and collections.

    Parameters
    ----------
    store : Store
        The repository; reading suffices.
    instruments : callable
        Name → camera.
    target : Path
        Folder of the Butler repository; made if it is not there.
    raws : str
        How raw files come over: ``link`` (hard link, symbolic link to another disk), ``copy``, or ``direct`` (where
        they are; the Butler repository then holds their absolute paths).
    progress : callable
        Called with raw files and products done, and their total.

    Raises
    ------
    ConfigError
        ``raws`` is none of these.
    IncompatibleError
        A name is too long for Butler, or a date outside its years. Nothing was written.
    ConflictError
        Butler cannot tell two products or exposures apart (nothing was written); the target is no Butler repository,
        holds something that contradicts ours, or another export is writing there.
    StoreError
        The target cannot be made or written.
    """
    check_way(raws)
    plan = make_plan(store, instruments, installed())
    with open_repository(target) as (butler, folder):
        export = _Export(store, plan, butler, progress)
        export.write_dimensions()
        export.register_collections()
        taken = export.write_raws(raws, folder)
        written = export.write_products(taken, folder)
        export.write_collections(written)
    return export.report()


class _Export:
    """The steps of one export, each of which leaves the Butler repository whole, and their counts."""

    def __init__(self, store: Store, plan: Plan, butler: Butler, progress: Callable[[int, int], None]) -> None:
        self._store = store
        self._plan = plan
        self._butler = butler
        self._progress = progress
        self._done = 0
        self._counts: Counter[str] = Counter()
        self._skipped = list(plan.skipped)

    def report(self) -> ExportReport:
        """What was done so far."""
        return ExportReport(**self._counts, skipped=tuple(self._skipped))

    def write_dimensions(self) -> None:
        """Cameras, detectors, filters, days, groups and exposures."""
        for name, records in self._plan.records.items():
            inserted = insert(self._butler, name, records)
            for element in ("instrument", "detector", "exposure"):
                self._count(f"{element}s", inserted.new[element], inserted.already[element])

    def register_collections(self) -> None:
        """Calibration collections and the runs of raw files, in the order in which Rubin's repositories list them."""
        for collection, validities in self._plan.validities.items():
            if validities:
                self._butler.collections.register(collection, CollectionType.CALIBRATION)
        for name in self._plan.records:
            self._register_run(raw_run(name))

    def write_raws(self, how: str, folder: Path) -> dict[RawKey, DatasetRef]:
        """Raw files; return all that are there now."""
        known = {id for name in self._plan.records for id in known_raws(self._butler, name)}
        of_type = raw_type(self._butler.dimensions)
        there: dict[RawKey, DatasetRef] = {}
        files: dict[str, list[tuple[Exposure, DatasetRef]]] = {}
        for exposure, problem in self._plan.raws:
            ref = raw_ref(exposure, of_type)
            new = ref.id not in known
            if new and problem:
                what = f"raw file of {exposure.id}, {exposure.instrument} detector {exposure.detector}"
                self._skip(Skipped(what, problem))
                continue
            there[exposure.instrument, exposure.id, exposure.detector] = ref
            self._count("raws", int(new), int(not new))
            if new:
                files.setdefault(exposure.path, []).append((exposure, ref))
            else:
                self._advance(1)
        ingest_raws(self._butler, files, how, folder, self._advance)
        return there

    def write_products(self, raws: dict[RawKey, DatasetRef], folder: Path) -> dict[str, DatasetRef]:
        """Products; return all that are there now, by id."""
        known = known_products(self._butler, self._plan.entries)
        there: dict[str, DatasetRef] = {}
        for entry in self._plan.entries:
            new = entry.id not in known
            if new:
                self._register_run(entry.record.run)
                skipped = ingest_product(self._butler, self._store, entry, raws, there, folder)
                if skipped is not None:
                    self._skip(skipped)
                    continue
            self._count("products", int(new), int(not new))
            there[entry.record.id] = entry.ref(self._butler.dimensions)
            self._advance(1)
        return there

    def write_collections(self, written: dict[str, DatasetRef]) -> None:
        """Tags, validities and chains; chains last, so that they never show a run that is not complete."""
        types = sorted({entry.record.type for entry in self._plan.entries})
        removed = {entry.product for entry in self._store.ledger()}  # every removal is in it
        ours = Ours(written, set(self._plan.products) | removed, types)
        there = self._butler.collections.query("*")
        for name, tagged in self._plan.tags.items():
            members = [one for one in tagged if one in written]
            if members or name in there:
                changes = write_tag(self._butler, name, members, ours)
                self._count("tagged", changes.new, changes.already, changes.removed)
        for name, validities in self._plan.validities.items():
            valid = [one for one in validities if one.product in written]
            if valid or name in there:
                changes = write_validities(self._butler, name, valid, ours)
                self._count("validities", changes.new, changes.already, changes.removed)
        runs = {ref.run for ref in written.values()}
        for chain in self._plan.chains:
            if runs.intersection(chain.members):
                new = write_chain(self._butler, chain, runs)
                self._count("chains", int(new), int(not new))

    def _register_run(self, run: str) -> None:
        self._count("runs", int(self._butler.collections.register(run)), 0)

    def _count(self, what: str, new: int, already: int, removed: int = 0) -> None:
        self._counts.update({what: new, "already": already, "removed": removed})

    def _skip(self, skipped: Skipped) -> None:
        self._skipped.append(skipped)
        self._advance(1)

    def _advance(self, steps: int) -> None:
        self._done += steps
        self._progress(self._done, len(self._plan.raws) + len(self._plan.entries))
