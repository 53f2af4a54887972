"""What is to be exported: read from the store, and checked against Butler's rules before anything is written."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from lsst.daf.butler import DimensionUniverse

from cpp_butler.dimensions import Records, camera_records
from cpp_butler.entries import DataId, Entry, check_distinct, expressible, name_of
from cpp_butler.raws import problem_of
from cpp_butler.report import Skipped
from cpp_framework.camera.instrument import Instrument
from cpp_framework.model.exposure import Exposure
from cpp_framework.plugins import Plugins
from cpp_framework.store import Collection, CollectionKind, ProductRecord, Store, StoredExposure, Validity
from cpp_framework.store.records import Act


@dataclass(frozen=True)
class Plan:
    """Everything that goes over, in the order it is written.

    ``records`` are dimension records per instrument; ``raws`` are the exposures of one detector, each with the reason
    why its file cannot be taken over (empty if it can); ``products`` are the ids of all products of the store,
    ``tags`` those in each tagged collection.
    """

    records: dict[str, Records]
    raws: list[tuple[Exposure, str]]
    entries: list[Entry]
    products: frozenset[str]
    chains: list[Collection]
    tags: dict[str, list[str]]
    validities: dict[str, list[Validity]]
    skipped: list[Skipped]


def make_plan(store: Store, instruments: Callable[[str], Instrument], plugins: Plugins) -> Plan:
    """Read the store and check that Butler can hold it.

    Raises
    ------
    IncompatibleError
        A name is too long for Butler, or a date outside its years.
    ConflictError
        Butler cannot tell two exposures, or two products of one collection, apart.
    """
    cameras = {name: instruments(name) for name in store.instruments()}
    skipped: list[Skipped] = []
    exposures = list(_exposures(store, cameras, skipped))
    records = store.products()
    entries = expressible(_of_known_detectors(records, cameras, skipped), plugins, skipped)
    held = {entry.record.id: entry for entry in entries}
    universe = DimensionUniverse()
    return Plan(
        records={
            name: camera_records(
                camera,
                [one.exposure for one in exposures if one.exposure.instrument == name],
                {entry.filter for entry in entries if entry.filter is not None and entry.record.instrument == name},
                universe,
            )
            for name, camera in cameras.items()
        },
        raws=[(one.exposure, problem_of(one)) for one in exposures],
        entries=entries,
        products=frozenset(record.id for record in records),
        chains=[one for one in store.collections() if one.kind is CollectionKind.CHAINED],
        tags=_tags(store, held),
        validities=_validities(store, held),
        skipped=skipped,
    )


def _exposures(store: Store, cameras: Mapping[str, Instrument], skipped: list[Skipped]) -> Iterator[StoredExposure]:
    """Exposures with a date, of a detector that is there; the others are added to ``skipped``."""
    for stored in store.exposures():
        one = stored.exposure
        reason = _unknown(one.instrument, one.detector, cameras)
        if not reason and (one.begin is None or one.day_obs is None):
            # Butler finds calibrations by the time span of an exposure.
            reason = "it has no date, and Butler holds no exposure without one"
        if reason:
            skipped.append(Skipped(f"exposure {one.id} of {one.instrument} detector {one.detector}", reason))
        else:
            yield stored


def _of_known_detectors(
    records: Iterable[ProductRecord], cameras: Mapping[str, Instrument], skipped: list[Skipped]
) -> Iterator[ProductRecord]:
    """Products of a detector that is there; the others are added to ``skipped``."""
    for record in records:
        if reason := _unknown(record.instrument, record.detector, cameras):
            skipped.append(Skipped(name_of(record), reason))
        else:
            yield record


def _unknown(instrument: str, detector: int, cameras: Mapping[str, Instrument]) -> str:
    """Why a detector is not known; empty if it is."""
    if instrument not in cameras:
        return f"the repository has no instrument {instrument}"
    if detector not in {layout.id for layout in cameras[instrument].detectors}:
        return f"instrument {instrument} has no detector {detector}"
    return ""


def _tags(store: Store, held: dict[str, Entry]) -> dict[str, list[str]]:
    """Ids of the products Butler can hold, per tagged collection."""
    tags = {}
    for name in _named_by(store, Act.TAG):
        inside = [held[record.id] for record in store.products(run=name) if record.id in held]
        check_distinct(inside, f"collection {name}")
        tags[name] = [entry.record.id for entry in inside]
    return tags


def _validities(store: Store, held: dict[str, Entry]) -> dict[str, list[Validity]]:
    """Ranges of the products Butler can hold, per calibration collection."""
    found: dict[str, list[Validity]] = {name: [] for name in _named_by(store, Act.CERTIFY)}
    rivals: dict[tuple[str, DataId], list[Validity]] = {}
    for one in store.validities():
        if one.product in held:
            found.setdefault(one.collection, []).append(one)
            rivals.setdefault((one.collection, held[one.product].data_id), []).append(one)
    for (collection, _), ranges in rivals.items():
        ranges.sort(key=lambda one: -math.inf if one.begin is None else one.begin)
        for one, following in pairwise(ranges):
            if one.end is None or following.begin is None or following.begin < one.end:
                check_distinct([held[one.product], held[following.product]], f"force at one time in {collection}")
    return found


def _named_by(store: Store, act: Act) -> list[str]:
    """Collections of one kind, those that are empty by now too: over there they may not be."""
    return list(dict.fromkeys(entry.collection for entry in store.ledger() if entry.action is act))
