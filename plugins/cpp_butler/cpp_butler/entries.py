"""Products in Butler's terms: dataset type, data id, run; and which of them Butler can hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any
from uuid import UUID

from lsst.daf.butler import DataCoordinate, DatasetRef, DatasetType, DimensionUniverse

from cpp_butler.addresses import STORAGE_CLASSES
from cpp_butler.dimensions import filter_name
from cpp_butler.report import Skipped
from cpp_framework.declare import load
from cpp_framework.errors import ConflictError, CppError
from cpp_framework.model import product as shapes
from cpp_framework.plugins import Plugins
from cpp_framework.store import ProductRecord

DataId = tuple[str, str, int, str | None]
"""Dataset type, instrument, detector, filter (None if it has none): all that Butler tells products apart by."""


@dataclass(frozen=True)
class Entry:
    """A product that Butler can hold, and the name of its storage class."""

    record: ProductRecord
    storage_class: str

    @property
    def id(self) -> UUID:
        """The product's id, which is that of the dataset too."""
        return UUID(self.record.id)

    @property
    def name(self) -> str:
        """The product as people know it."""
        return name_of(self.record)

    @property
    def filter(self) -> str | None:
        """Butler's name of the product's filter; None if products of its type are not made per filter."""
        return filter_name(str(self.record.key["filter"] or "")) if "filter" in self.record.key else None

    @property
    def data_id(self) -> DataId:
        """What Butler tells the product apart by."""
        return (self.record.type, self.record.instrument, self.record.detector, self.filter)

    def dataset_type(self, universe: DimensionUniverse) -> DatasetType:
        """The dataset type, named as the type of product."""
        dimensions = ["instrument", "detector", *(["physical_filter"] if self.filter is not None else [])]
        return DatasetType(self.record.type, dimensions, self.storage_class, universe=universe, isCalibration=True)

    def ref(self, universe: DimensionUniverse) -> DatasetRef:
        """The dataset."""
        of_type = self.dataset_type(universe)
        data_id: dict[str, Any] = {"instrument": self.record.instrument, "detector": self.record.detector}
        if self.filter is not None:
            data_id["physical_filter"] = self.filter
        coordinate = DataCoordinate.standardize(data_id, dimensions=of_type.dimensions)
        return DatasetRef(of_type, coordinate, run=self.record.run, id=self.id)


def expressible(records: Iterable[ProductRecord], plugins: Plugins, skipped: list[Skipped]) -> list[Entry]:
    """The products Butler can hold, oldest first; the others are added to ``skipped`` with the reason.

    Raises
    ------
    ConflictError
        Butler cannot tell two products of one run apart, or products of one type are made per filter and not.
    """
    entries = []
    storage_class = cache(partial(_storage_class, plugins=plugins))
    for record in sorted(records, key=lambda one: (one.stored, one.id)):
        found, reason = storage_class(record.type)
        if found:
            entries.append(Entry(record, found))
        else:
            skipped.append(Skipped(name_of(record), reason))
    _check_dimensions(entries)
    runs: dict[str, list[Entry]] = {}
    for entry in entries:
        runs.setdefault(entry.record.run, []).append(entry)
    for run, inside in runs.items():
        check_distinct(inside, f"run {run}")
    return entries


def check_distinct(entries: Iterable[Entry], where: str) -> None:
    """Refuse products of one collection that Butler cannot tell apart.

    Raises
    ------
    ConflictError
        Two differ only in binning, readout mode or the like, for which Butler has no dimension.
    """
    taken: dict[DataId, Entry] = {}
    for entry in entries:
        other = taken.setdefault(entry.data_id, entry)
        if other.id != entry.id:
            raise ConflictError(
                f"{other.name} and {entry.name} are both in {where}, and {_difference(other.record, entry.record)}: "
                "Butler cannot tell them apart; nothing was written",
                hint="keep them in repositories of their own, and export each to a folder of its own",
            )


def name_of(record: ProductRecord) -> str:
    """A product as people know it."""
    return f"{record.type} {record.short} of {record.instrument} detector {record.detector}"


def _storage_class(type_name: str, plugins: Plugins) -> tuple[str, str]:
    """Storage class of a type of product (empty if it has none), and the reason why it has none."""
    try:
        product_class = load(plugins.type(type_name).product, wanted_by=type_name)
    except CppError as error:
        return "", str(error)
    for shape, storage_class in STORAGE_CLASSES.items():
        if issubclass(product_class, getattr(shapes, shape)):
            return storage_class, ""
    shape = next(base.__name__ for base in product_class.__mro__ if base.__module__ == shapes.__name__)
    return "", f"{type_name} is a {shape}; this version of cpp-butler exports {', '.join(STORAGE_CLASSES)} only"


def _check_dimensions(entries: Iterable[Entry]) -> None:
    first: dict[str, Entry] = {}
    for entry in entries:
        other = first.setdefault(entry.record.type, entry)
        if (entry.filter is None) != (other.filter is None):
            raise ConflictError(
                f"only one of {other.name} and {entry.name} is made per filter; to Butler all products of a type are, "
                "or none; nothing was written",
                hint="keep them in repositories of their own, and export each to a folder of its own",
            )


def _difference(one: ProductRecord, other: ProductRecord) -> str:
    """In what two products of one type, detector and filter differ, in words."""
    differ = {
        name: (one.key.get(name), other.key.get(name))
        for name in sorted({*one.key, *other.key})
        if one.key.get(name) != other.key.get(name)
    }
    if one.label != other.label:
        differ["label"] = (one.label, other.label)
    if one.run != other.run and not differ:
        return "only their runs differ"
    return "they differ in " + ", ".join(f"{name} ({a!r}, {b!r})" for name, (a, b) in differ.items()) + " only"
