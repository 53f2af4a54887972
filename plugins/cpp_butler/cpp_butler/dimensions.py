"""Cameras and exposures as Butler's dimension records.

======================  =======================================================================================
element                 from
======================  =======================================================================================
instrument, detector    the instrument file
physical_filter         filters of exposures and products; band ``unknown`` where no header names one
day_obs, group          of the exposures; an exposure without a group is one of its own
exposure                one per exposure, whatever the number of detectors; it needs a date
======================  =======================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lsst.daf.butler import Butler, DimensionRecord, DimensionUniverse

from cpp_butler.addresses import CAMERA_CLASS, UNKNOWN
from cpp_butler.instants import timespan
from cpp_framework.camera.instrument import Instrument
from cpp_framework.errors import ConflictError, IncompatibleError
from cpp_framework.model.exposure import Exposure

Records = dict[str, list[dict[str, Any]]]
"""Element → its records, in the order in which they must be inserted."""

_SAME = {"detector": ("full_name",), "exposure": ("obs_id", "timespan", "observation_type", "physical_filter")}
"""Fields in which a record that is there already must agree with ours. Others may be better known over there."""


@dataclass(frozen=True)
class Inserted:
    """How many records of each element are new, and how many were there."""

    new: Mapping[str, int]
    already: Mapping[str, int]


def camera_records(
    camera: Instrument, exposures: Sequence[Exposure], product_filters: Iterable[str], universe: DimensionUniverse
) -> Records:
    """Records of one camera and its exposures (one entry per exposure and detector, all with a date).

    Raises
    ------
    IncompatibleError
        A value is longer than Butler allows, or a date is outside its years.
    ConflictError
        Two exposures have one number, or one filter two bands.
    """
    name = camera.name
    observations = _observations(exposures)
    bands = _bands(exposures)
    filters = dict.fromkeys(product_filters, "") | bands
    records: Records = {
        "instrument": [
            {
                "name": name,
                "detector_max": 1 + max(layout.id for layout in camera.detectors),
                "class_name": CAMERA_CLASS,
            }
        ],
        "detector": [
            {
                "instrument": name,
                "id": layout.id,
                "full_name": layout.name,
                "name_in_raft": layout.name,
                "purpose": "SCIENCE",
            }
            for layout in camera.detectors
        ],
        "physical_filter": [
            {"instrument": name, "name": one, "band": band or UNKNOWN} for one, band in filters.items()
        ],
        "day_obs": [{"instrument": name, "id": day} for day in dict.fromkeys(one["day_obs"] for one in observations)],
        "group": [{"instrument": name, "name": group} for group in dict.fromkeys(one["group"] for one in observations)],
        "exposure": observations,
    }
    for element, found in reversed(records.items()):  # exposures first: what is wrong comes from their headers
        for record in found:
            _check_lengths(element, record, universe)
    return records


def insert(butler: Butler, instrument: str, records: Records) -> Inserted:
    """Insert the records that are not there, all or none.

    Raises
    ------
    ConflictError
        A detector or an exposure of that number is there, and is another one.
    """
    new: dict[str, int] = {}
    already: dict[str, int] = {}
    with butler.transaction():
        for element, wanted in records.items():
            key = butler.dimensions[element].primary_key.name
            there = _present(butler, element, instrument)
            missing = [record for record in wanted if record[key] not in there]
            for record in wanted:
                if record[key] in there:
                    _check_same(element, record, there[record[key]])
            if missing:
                butler.registry.insertDimensionData(element, *missing, skip_existing=True)
            new[element] = len(missing)
            already[element] = len(wanted) - len(missing)
    return Inserted(new, already)


def filter_name(name: str) -> str:
    """Butler's name of a filter: it has no empty one."""
    return name or UNKNOWN


def _present(butler: Butler, element: str, instrument: str) -> dict[Any, DimensionRecord]:
    key = butler.dimensions[element].primary_key.name
    found = butler.query_dimension_records("instrument", limit=None, explain=False)
    if instrument not in {record.name for record in found}:
        return {}
    records = butler.query_dimension_records(element, instrument=instrument, limit=None, explain=False)
    return {getattr(record, key): record for record in records}


def _observations(exposures: Iterable[Exposure]) -> list[dict[str, Any]]:
    """One record per exposure, in order of its number."""
    by_number: dict[int, list[Exposure]] = {}
    for one in exposures:
        by_number.setdefault(one.number, []).append(one)
    return [_observation(number, by_number[number]) for number in sorted(by_number)]


def _observation(number: int, detectors: Sequence[Exposure]) -> dict[str, Any]:
    first = detectors[0]
    names = sorted({one.id for one in detectors})
    if len(names) > 1:
        raise ConflictError(
            f"instrument {first.instrument}: exposures {', '.join(names)} all have the number {number}, "
            "and Butler tells exposures apart by it",
            hint="map header.number to a unique keyword in the instrument file, then `cpp ingest` the files again",
        )
    begins = [one.begin for one in detectors if one.begin is not None]
    ends = [one.end for one in detectors if one.end is not None]
    return {
        "instrument": first.instrument,
        "id": number,
        "obs_id": first.id,
        "day_obs": first.day_obs,
        "group": first.group or first.id,
        "physical_filter": filter_name(first.filter),
        "timespan": timespan(min(begins), max([*ends, min(begins)]), f"exposure {first.id}"),
        "exposure_time": first.exposure_time,
        "dark_time": first.dark_time,
        "observation_type": first.kind,
        "target_name": first.object or None,
    }


def _bands(exposures: Iterable[Exposure]) -> dict[str, str]:
    """Butler's name of a filter → band, empty where no header names one."""
    bands: dict[str, str] = {}
    for one in exposures:
        known = bands.get(filter_name(one.filter), "")
        if known and one.band and known != one.band:
            raise ConflictError(
                f"filter {one.filter!r} of {one.instrument} has band {known!r} in one exposure and {one.band!r} in "
                f"{one.id}; Butler allows one",
                hint="mend header.band in the instrument file, then `cpp ingest` the files again",
            )
        bands[filter_name(one.filter)] = known or one.band
    return bands


def _check_lengths(element: str, record: Mapping[str, Any], universe: DimensionUniverse) -> None:
    longest = {column.name: getattr(column, "length", None) for column in universe[element].schema.all}
    for name, value in record.items():
        if isinstance(value, str) and (allowed := longest[name]) is not None and len(value) > allowed:
            raise IncompatibleError(
                f"{element} {record.get('id', record.get('name'))} of {record.get('instrument', value)}: {name} "
                f"{value!r} has {len(value)} characters, Butler allows {allowed}; nothing was written",
                hint="map header fields to shorter ones in the instrument file, then `cpp ingest` the files again",
            )


def _check_same(element: str, ours: Mapping[str, Any], theirs: DimensionRecord) -> None:
    for field in _SAME.get(element, ()):
        if getattr(theirs, field) != ours[field]:
            raise ConflictError(
                f"the Butler repository has {element} {theirs.id} of {ours['instrument']} with {field} "
                f"{getattr(theirs, field)}; here it is {ours[field]}",
                hint="export to another folder",
            )
