"""Chains, tagged collections and certifications: made over there as they are here.

Only what concerns products of ours is touched: what others put into the same Butler repository stays as it is.
"""

from __future__ import annotations

from collections.abc import Collection as Container
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lsst.daf.butler import Butler, CollectionType, DatasetAssociation, DatasetRef

from cpp_butler.instants import timespan
from cpp_framework.store import Collection, Validity


@dataclass(frozen=True)
class Ours:
    """What an export knows of products.

    ``refs`` are the datasets of those in the Butler repository, by id; ``all`` are the ids of all products the store
    has or had; ``types`` are the names of the dataset types.
    """

    refs: Mapping[str, DatasetRef]
    all: Container[str]
    types: Sequence[str]


@dataclass(frozen=True)
class Changes:
    """How many members or ranges are new, were there, and were taken away."""

    new: int
    already: int
    removed: int


def write_chain(butler: Butler, chain: Collection, runs: Container[str]) -> bool:
    """Let a chain hold its runs (of those in ``runs``), newest first, before what others put there.

    Returns
    -------
    bool
        Whether the chain is new.
    """
    new = bool(butler.collections.register(chain.name, CollectionType.CHAINED))
    there = () if new else butler.collections.get_info(chain.name).children
    wanted = [run for run in chain.members if run in runs]
    wanted += [run for run in there if run not in chain.members]
    if wanted != list(there):
        butler.collections.redefine_chain(chain.name, wanted)
    return new


def write_tag(butler: Butler, name: str, members: Iterable[str], ours: Ours) -> Changes:
    """Let a tagged collection hold these of our products, all or none."""
    butler.collections.register(name, CollectionType.TAGGED)
    wanted = {ours.refs[product].id: ours.refs[product] for product in members}
    with butler.transaction():
        there = {one.ref.id: one.ref for one in _associations(butler, name, CollectionType.TAGGED, ours)}
        stale = [ref for id, ref in there.items() if id not in wanted]
        missing = [ref for id, ref in wanted.items() if id not in there]
        butler.registry.disassociate(name, stale)
        butler.registry.associate(name, missing)
    return Changes(len(missing), len(wanted) - len(missing), len(stale))


def write_validities(butler: Butler, name: str, validities: Iterable[Validity], ours: Ours) -> Changes:
    """Let a calibration collection hold these ranges of our products, all or none.

    Raises
    ------
    IncompatibleError
        A range lies outside the years Butler knows.
    """
    butler.collections.register(name, CollectionType.CALIBRATION)
    wanted = {}
    for one in validities:
        ref = ours.refs[one.product]
        wanted[ref.id, timespan(one.begin, one.end, f"validity of {one.product} in {name}")] = ref
    with butler.transaction():
        associations = _associations(butler, name, CollectionType.CALIBRATION, ours)
        there = {(one.ref.id, one.timespan): one.ref for one in associations if one.timespan is not None}
        stale = {range: ref for range, ref in there.items() if range not in wanted}
        missing = {range: ref for range, ref in wanted.items() if range not in there}
        for (_, when), ref in stale.items():
            butler.registry.decertify(name, ref.datasetType, when, dataIds=[ref.dataId])
        for (_, when), ref in missing.items():
            butler.registry.certify(name, [ref], when)
    return Changes(len(missing), len(wanted) - len(missing), len(stale))


def _associations(butler: Butler, name: str, kind: CollectionType, ours: Ours) -> list[DatasetAssociation]:
    """What a collection holds of our products."""
    found: list[DatasetAssociation] = []
    for dataset_type in ours.types:
        found += butler.registry.queryDatasetAssociations(dataset_type, collections=[name], collectionTypes={kind})
    return [one for one in found if str(one.ref.id) in ours.all]
