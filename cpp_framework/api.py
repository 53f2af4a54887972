"""What a notebook user and the command line share: a repository, and the verbs on it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpp_framework.apply.calibrated import read_calibrated as read_calibrated
from cpp_framework.camera.catalogue import instrument_text, load_instrument, parse_instrument, read_instrument
from cpp_framework.camera.instrument import Instrument
from cpp_framework.campaign import Campaign, CampaignPlan, plan_campaign
from cpp_framework.declare import load
from cpp_framework.errors import BundleError, NotFoundError, StoreError
from cpp_framework.execute import Workers
from cpp_framework.model import fits as product_fits
from cpp_framework.model.check import Verdict
from cpp_framework.model.product import Product
from cpp_framework.model.timespan import parse_instant
from cpp_framework.plan import Plan, Request, make_plan
from cpp_framework.plan.ingest import IngestReport, ingest
from cpp_framework.plugins import Plugins, installed
from cpp_framework.select import parse_filters
from cpp_framework.select.filters import matches
from cpp_framework.store import LedgerEntry, ProductRecord, Store, StoredExposure
from cpp_framework.store.bundle import BundleReport
from cpp_framework.store.bundle_export import export_bundle
from cpp_framework.store.bundle_import import import_bundle
from cpp_framework.store.bundle_read import Bundle
from cpp_framework.store.clock import now_tai_ns
from cpp_framework.store.locate import find_repository

if TYPE_CHECKING:
    from cpp_framework.apply.request import Applied, ApplyPlan, ApplyRequest
    from cpp_framework.campaign import CampaignReport
    from cpp_framework.run.results import Progress, UnitResult


class Repository:
    """A folder with a registry, products and instruments.

    >>> repository = cpp_framework.open("night1")          # doctest: +SKIP
    >>> repository.produce(Request("bias"))                # doctest: +SKIP
    """

    def __init__(self, store: Store, plugins: Plugins | None = None) -> None:
        self.store = store
        self.plugins = plugins or installed()

    @classmethod
    def create(cls, root: Path, registry: str = "") -> Repository:
        """Make a new, empty repository in ``root``; ``registry`` as in `Store.create`."""
        return cls(Store.create(root, registry))

    @classmethod
    def in_memory(cls) -> Repository:
        """A repository for tests and notebooks, gone when its store is closed (see `Store.in_memory`)."""
        return cls(Store.in_memory())

    @classmethod
    def open(cls, root: Path | None = None, *, write: bool = True) -> Repository:
        """Open a repository: the folder given, else ``$CPP_REPO``, else the nearest enclosing one."""
        return cls(Store.open(find_repository(root), write=write))

    def __repr__(self) -> str:
        return f"Repository({str(self.root)!r})"

    def __enter__(self) -> Repository:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back what is held; a repository in memory is gone then."""
        self.store.close()

    @property
    def root(self) -> Path:
        """The repository's folder."""
        return self.store.root

    def instrument(self, name: str) -> Instrument:
        """Return an instrument of this repository, as its file says now."""
        return read_instrument(self.store.instrument_path(name))

    def add_instrument(self, name_or_path: str) -> Instrument:
        """Copy a shipped instrument or a file into the repository; the same content again changes nothing."""
        instrument = load_instrument(name_or_path)
        self.store.add_instrument(instrument_text(name_or_path), instrument.name)
        return instrument

    def ingest(
        self, paths: Iterable[Path | str], instrument: str = "", progress: Callable[[int, int], None] | None = None
    ) -> IngestReport:
        """Register the exposures of raw files and folders by their headers; what is wrong is reported by name."""
        return ingest(self.store, self.instrument, map(Path, paths), instrument, progress)

    def exposures(self, filters: Sequence[str] = ()) -> list[StoredExposure]:
        """Exposures that match all filters (``FIELD OP VALUE``), in order of time."""
        wanted = parse_filters(filters)
        return [stored for stored in self.store.exposures() if all(matches(one, stored.exposure) for one in wanted)]

    def plan_campaign(self, campaign: Campaign) -> CampaignPlan:
        """Say what a campaign would do, pass by pass, without doing it. Raises as `cpp_framework.campaign.plan`."""
        return plan_campaign(campaign, self.store, cache(self.instrument), self.plugins)

    def run_campaign(
        self,
        campaign: Campaign | CampaignPlan,
        *,
        jobs: int = 0,
        memory: str = "",
        executor: str | Executor = "",
        command: str = "",
        progress: Callable[[Progress], None] = lambda _: None,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> CampaignReport:
        """Make, verify and certify what the passes of a campaign ask for. Parameters as of `produce`."""
        from cpp_framework.campaign.execute import CampaignRun
        from cpp_framework.run.budget import Budget, parse_memory
        from cpp_framework.run.leftovers import clear_leftovers

        plan = campaign if isinstance(campaign, CampaignPlan) else self.plan_campaign(campaign)
        budget = Budget(parse_memory(memory), jobs or _cpus())
        clear_leftovers(self.store.root)
        place = (self.store, cache(self.instrument), self.plugins)
        with Workers(budget.jobs, executor, self.plugins.offers("cpp_executors")) as workers:
            run = CampaignRun(
                plan, *place, workers, budget, command=command, progress=progress, interrupted=interrupted
            )
            return run.run()

    def plan(self, request: Request) -> Plan:
        """Say what a request would do, without doing it."""
        return make_plan(request, self.store, cache(self.instrument), self.plugins)

    def produce(
        self,
        request: Request | Plan | str,
        *,
        jobs: int = 0,
        memory: str = "",
        executor: str | Executor = "",
        command: str = "",
        progress: Callable[[Progress], None] = lambda _: None,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> list[UnitResult]:
        """Make the products a request asks for; units whose recipe is already there are up to date.

        Parameters
        ----------
        request : Request, Plan or str
            What to make; the name of a type alone asks for all of it.
        jobs : int
            Tasks at a time; 0 for one per processor.
        memory : str
            Limit for all processes together, for instance ``1.5GB``; empty for half of the machine's memory.
        executor : str or Executor
            A name, or any `concurrent.futures.Executor`, which is then left open.
        command : str
            The command line, for the products' headers.
        progress : callable
            Is told each step forward.
        interrupted : callable
            Is asked before each new task; once it is true, what runs is finished and the rest left.
        """
        # What only production needs (numba among it) is imported here, so that looking things up stays fast.
        from cpp_framework.run.budget import Budget, parse_memory
        from cpp_framework.run.leftovers import clear_leftovers
        from cpp_framework.run.results import settled

        wanted = Request(request) if isinstance(request, str) else request
        plan = wanted if isinstance(wanted, Plan) else self.plan(wanted)
        budget = Budget(parse_memory(memory), jobs or _cpus())
        clear_leftovers(self.store.root)
        if not plan.to_do:
            return [settled(unit) for unit in plan.units]
        with Workers(budget.jobs, executor, self.plugins.offers("cpp_executors")) as workers:
            from cpp_framework.run.engine import Engine

            return Engine(
                plan,
                self.store,
                cache(self.instrument),
                self.plugins,
                workers,
                budget,
                command=command,
                progress=progress,
                interrupted=interrupted,
            ).run()

    def plan_apply(
        self, raws: Iterable[Path | str], output: Path | str, request: ApplyRequest | None = None
    ) -> ApplyPlan:
        """Say what `apply` would apply to which exposures: raw files, folders of them, exposure ids."""
        from cpp_framework.apply.choose import make_apply_plan

        names = [str(one) for one in raws]
        return make_apply_plan(names, Path(output), request, self.store, cache(self.instrument), self.plugins)

    def apply(
        self,
        raws: Iterable[Path | str] | ApplyPlan,
        output: Path | str = "",
        request: ApplyRequest | None = None,
        *,
        jobs: int = 0,
        executor: str | Executor = "",
        **options: Any,
    ) -> list[Applied]:
        """Write calibrated images of raw exposures into a folder; `read_calibrated` reads them.

        ``raws``, ``output`` and ``request`` as for `plan_apply`, or a plan it made instead of the three; ``options`` as
        for `run_apply_plan`.
        """
        from cpp_framework.apply.engine import run_apply_plan
        from cpp_framework.apply.request import ApplyPlan

        plan = raws if isinstance(raws, ApplyPlan) else self.plan_apply(raws, output, request)
        at_once = jobs or _cpus()
        with Workers(min(at_once, len(plan.targets) or 1), executor, self.plugins.offers("cpp_executors")) as workers:
            return run_apply_plan(plan, cache(self.instrument), workers, at_once, **options)

    def verify(self, product: str) -> Verdict:
        """Verify a stored product (id, digest, prefix or ``last``) on its exposures, and store the verdict."""
        return self.verify_all([product])[0]

    def verify_all(self, products: Sequence[str]) -> list[Verdict]:
        """Verify stored products; the verdicts on those of one type and label are one run, ``ci_cpv_bias/…``."""
        from cpp_framework.verify.engine import verify_product

        run = cache(self.store.new_verdict_run)
        records = [self.store.product(one) for one in products]
        return [
            verify_product(one, self.store, self.instrument, self.plugins, run(one.type, one.label)) for one in records
        ]

    def product(self, prefix: str) -> Product:
        """Read a stored product by id, digest, beginning or end of an id, or ``last``.

        Raises
        ------
        StoreError
            The file is gone, damaged, or its content is not what was stored.
        """
        record = self.store.product(prefix)
        product_class: Any = load(self.plugins.type(record.type).product, wanted_by=record.type)
        if not self.store.path(record).exists():
            raise StoreError(
                f"the file of {record.type} {record.short} is gone: {self.store.path(record)}",
                hint="restore it from a copy, or produce, verify and certify it again",
            )
        product = product_fits.read(self.store.path(record), product_class)
        if product.content_digest() != record.digest:
            raise StoreError(
                f"{self.store.path(record)}: its content is not what was stored (digest {record.digest[:12]})",
                hint="restore it from a copy, or produce it again",
            )
        return product

    def products(self, **fields: Any) -> list[ProductRecord]:
        """Records of stored products, newest first: ``type=``, ``instrument=``, ``detector=``, ``label=``, ``run=``."""
        return self.store.products(**fields)

    def newest(self, **fields: Any) -> list[ProductRecord]:
        """The newest product of each type, instrument, detector, label and key among those `products` would list."""
        found: dict[str, ProductRecord] = {}
        for record in self.products(**fields):
            key = repr((record.type, record.instrument, record.detector, record.label, sorted(record.key.items())))
            found.setdefault(key, record)
        return list(found.values())

    def certify(
        self,
        products: str | Sequence[str],
        begin: str,
        end: str = "open",
        *,
        collection: str = "",
        supersede: bool = False,
        waive: Mapping[str, str] | None = None,
        note: str = "",
    ) -> list[LedgerEntry]:
        """Make verified products valid from ``begin`` to ``end`` (UTC dates, half-open, or ``open``): all, or none.

        Raises as `Store.certify`.
        """
        entries = self.store.certify(
            _several(products), parse_instant(begin), parse_instant(end),
            collection=collection, supersede=supersede, waive=waive, note=note,
        )  # fmt: skip
        self._tell(entries)
        return entries

    def decertify(
        self,
        products: str | Sequence[str],
        begin: str = "open",
        end: str = "open",
        *,
        collection: str = "",
        note: str = "",
    ) -> list[LedgerEntry]:
        """Take the validity of products away for a range. Raises as `Store.decertify`."""
        entries = self.store.decertify(
            _several(products), parse_instant(begin), parse_instant(end), collection=collection, note=note
        )
        self._tell(entries)
        return entries

    def best(
        self, type: str, at: str = "", *, instrument: str = "", detector: int = 0, collection: str = "", **key: Any
    ) -> Product:
        """The product certified for an instant (a UTC date; by default now); ``key`` tells the filter, binning …

        Raises
        ------
        NotFoundError
            None is certified for it, or the repository has several instruments and none is named.
        """
        instant = parse_instant(at) if at else now_tai_ns()
        name = instrument or self._only_instrument()
        found = None if instant is None else self.store.best(type, name, detector, instant, key, collection)
        if found is None:
            raise NotFoundError(
                f"no {type} of {name} detector {detector} is certified for {at or 'now'}",
                hint="cpp find --products lists what there is; cpp certify makes one valid",
            )
        return self.product(found.product)

    def export_bundle(self, collection: str, target: Path) -> BundleReport:
        """Write a collection as a bundle, a folder that can be imported elsewhere. Raises as `export_bundle`."""
        return export_bundle(self.store, collection, target)

    def import_bundle(self, source: Path, *, supersede: bool = False) -> BundleReport:
        """Take in a bundle that `export_bundle` made elsewhere; a second time changes nothing.

        Raises as `cpp_framework.store.bundle_import.import_bundle`, and `InstrumentError` for a wrong instrument file.
        """
        return import_bundle(self.store, source, supersede, plugins=self.plugins, check=_check_instruments)

    def _only_instrument(self) -> str:
        names = self.store.instruments()
        if len(names) != 1:
            raise NotFoundError(f"{self.root} has {len(names)} instruments: {', '.join(names)}", hint="name one")
        return names[0]

    def _tell(self, entries: Sequence[LedgerEntry]) -> None:
        for entry in entries:
            self.plugins.event(name=str(entry.action), product=entry.product, collection=entry.collection)

    def verdicts(self, prefix: str) -> list[Verdict]:
        """Verdicts on a product, newest first."""
        return self.store.verdicts(self.store.product(prefix).id)


def in_memory() -> Repository:
    """A repository for tests and notebooks: use it in a ``with`` block, or close it; it is gone then."""
    return Repository.in_memory()


def _several(products: str | Sequence[str]) -> Sequence[str]:
    return [products] if isinstance(products, str) else products


def open(root: str | Path | None = None) -> Repository:
    """Open the repository in ``root`` (or the one found from here), for notebooks."""
    return Repository.open(Path(root) if root is not None else None)


def _check_instruments(bundle: Bundle) -> None:
    for name, text in bundle.instruments.items():
        said = parse_instrument(text, f"instrument {name!r} of {bundle.folder}").name
        if said != name:
            raise BundleError(
                f"{bundle.folder}: the file of instrument {name!r} is of {said!r}", hint="export it again"
            )


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
