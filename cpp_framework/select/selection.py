"""Which exposures go into which unit of work; every candidate that does not is kept with the rule that refused it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

from cpp_framework.config.suggest import did_you_mean
from cpp_framework.declare import Inputs
from cpp_framework.errors import ConfigError
from cpp_framework.model.exposure import FIELDS
from cpp_framework.select.filters import Filter, matches
from cpp_framework.select.pairs import pair_up
from cpp_framework.store.records import StoredExposure

COHERENT = ("binning", "mode", "window")
"""Fields that must agree inside one stack even if they are not part of the key."""

UNITS = {"temperature": "degC", "exposure_time": "s", "dark_time": "s", "begin": "ns", "end": "ns"}

Refused = tuple[StoredExposure, str]
Rule = Callable[[StoredExposure], str]
"""The reason why an exposure is refused; empty if it is not."""


@dataclass(frozen=True)
class Group:
    """Exposures of one unit of work, in order of time, then number, and those it refused, each with the reason.

    For paired inputs ``chosen`` has the pairs one after the other and ``pairs`` gives them. ``notes`` tell what could
    not be judged.
    """

    instrument: str
    key: Mapping[str, Any]
    chosen: tuple[StoredExposure, ...]
    refused: tuple[Refused, ...] = ()
    pairs: tuple[tuple[StoredExposure, StoredExposure], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Selection:
    """Groups in order of their keys, and candidates that belong to none of them, each with the reason."""

    groups: tuple[Group, ...]
    refused: tuple[Refused, ...] = field(default=())


def select(
    candidates: Sequence[StoredExposure],
    inputs: Inputs,
    filters: Sequence[Filter] = (),
    *,
    exclude: Sequence[str] = (),
    include_only: Sequence[str] = (),
    tolerances: Mapping[str, float] | None = None,
) -> Selection:
    """Choose exposures for one named selection of a calibration type.

    Parameters
    ----------
    candidates : sequence of StoredExposure
        All exposures there are; no exposure is dropped without a word.
    inputs : Inputs
        Kind, key and pairing the type declares.
    filters : sequence of Filter
        Conditions of the user.
    exclude, include_only : sequence of str
        Ids or numbers of exposures to leave out, or the only ones to take (`Store.exposure` finds a mistyped one).
    tolerances : mapping of str to float
        Field → largest difference from the median of a group, in the field's unit. For the field by which exposures
        are paired it is the largest difference inside a pair.

    Raises
    ------
    ConfigError
        A key, tolerance or pairing field does not exist or cannot be judged.
    """
    limits = dict(tolerances or {})
    _check_fields(inputs, limits)
    of_kind, refused = _split(candidates, lambda one: _wrong_kind(one, inputs.kind))
    groups: list[Group] = []
    for (instrument, key), members in _grouped(of_kind, inputs.key).items():
        wanted, unwanted = _split(members, lambda one: _unwanted(one, filters, exclude, include_only))
        if wanted:
            group = Group(instrument, dict(zip(inputs.key, key, strict=True)), tuple(wanted), tuple(unwanted))
            groups.append(_coherent(group, inputs, limits))
        else:
            refused += unwanted
    return Selection(tuple(groups), tuple(refused))


def _coherent(group: Group, inputs: Inputs, limits: Mapping[str, float]) -> Group:
    """Refuse what is flagged, what differs from most of the group, and what has no partner."""
    chosen, bad = _split(group.chosen, lambda one: f"flagged bad: {one.because}" if one.bad else one.problem)
    group = replace(group, chosen=tuple(chosen), refused=(*group.refused, *bad))
    for name in COHERENT:
        if name not in inputs.key:
            group = _same_as_most(group, name)
    for name, limit in limits.items():
        if name != inputs.pairing:
            group = _near_median(group, name, limit)
    if not inputs.pairing:
        return group
    pairs, alone = pair_up(group.chosen, inputs.pairing, limits.get(inputs.pairing, 0.0))
    return replace(
        group, chosen=tuple(one for pair in pairs for one in pair), pairs=pairs, refused=(*group.refused, *alone)
    )


def _same_as_most(group: Group, name: str) -> Group:
    counts = Counter(one.exposure.value(name) for one in group.chosen)
    if len(counts) < 2:
        return group
    common = counts.most_common(1)[0][0]  # of equally common values the earliest, for the group is in order of time

    def judge(one: StoredExposure) -> str:
        value = one.exposure.value(name)
        return "" if value == common else f"{name} {_shown(value)} differs from {_shown(common)} of most of the group"

    return _refuse(group, judge)


def _near_median(group: Group, name: str, limit: float) -> Group:
    values = [one.exposure.value(name) for one in group.chosen]
    known = [value for value in values if value is not None]
    if unknown := len(values) - len(known):
        note = f"{name} is unknown for {unknown} of {len(values)} exposures: its tolerance was not checked for them"
        group = replace(group, notes=(*group.notes, note))
    if not known:
        return group
    middle, unit = median(known), UNITS.get(name, "")

    def judge(one: StoredExposure) -> str:
        value = one.exposure.value(name)
        if value is None or abs(value - middle) <= limit:
            return ""
        return f"{name} {value:g} differs from the group's median {middle:g} by more than {limit:g} {unit}".rstrip()

    return _refuse(group, judge)


def _refuse(group: Group, judge: Rule) -> Group:
    chosen, refused = _split(group.chosen, judge)
    return replace(group, chosen=tuple(chosen), refused=(*group.refused, *refused))


def _split(candidates: Sequence[StoredExposure], judge: Rule) -> tuple[list[StoredExposure], list[Refused]]:
    chosen: list[StoredExposure] = []
    refused: list[Refused] = []
    for one in candidates:
        if reason := judge(one):
            refused.append((one, reason))
        else:
            chosen.append(one)
    return chosen, refused


def _grouped(
    candidates: Sequence[StoredExposure], key: Sequence[str]
) -> dict[tuple[str, tuple[Any, ...]], list[StoredExposure]]:
    groups: dict[tuple[str, tuple[Any, ...]], list[StoredExposure]] = {}
    for one in sorted(candidates, key=_in_time):
        values = tuple(one.exposure.value(name) for name in key)
        groups.setdefault((one.exposure.instrument, values), []).append(one)
    # None (no date, no temperature) cannot be compared with numbers: it comes first.
    return dict(sorted(groups.items(), key=lambda item: (item[0][0], [(v is not None, v) for v in item[0][1]])))


def _in_time(one: StoredExposure) -> tuple[bool, int, int, str]:
    exposure = one.exposure
    return exposure.begin is not None, exposure.begin or 0, exposure.number, exposure.id


def _wrong_kind(one: StoredExposure, kind: str) -> str:
    return "" if one.exposure.kind == kind else f"kind is {one.exposure.kind}, not {kind}"


def _unwanted(
    one: StoredExposure, filters: Sequence[Filter], exclude: Sequence[str], include_only: Sequence[str]
) -> str:
    names = _names(one)
    if not names.isdisjoint(exclude):
        return "excluded by id"
    if include_only and names.isdisjoint(include_only):
        return "not among those asked for by id"
    for condition in filters:
        if not matches(condition, one.exposure):
            return f"filter {condition} not met: {_shown(one.exposure.value(condition.field))}"
    return ""


def _names(one: StoredExposure) -> set[str]:
    return {one.exposure.id, str(one.exposure.number)}


def _check_fields(inputs: Inputs, limits: Mapping[str, float]) -> None:
    used = [*inputs.key, *limits, *([inputs.pairing] if inputs.pairing else [])]
    for name in used:
        if name not in FIELDS:
            raise ConfigError(f"exposures have no field {name!r}", hint=did_you_mean(name, FIELDS))
    for name in limits:
        if name not in UNITS and name not in ("number", "day_obs"):
            numbers = [*UNITS, "number", "day_obs"]
            raise ConfigError(f"tolerance of {name!r}: the field is not a number", hint=f"use {', '.join(numbers)}")


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    return "unknown" if value is None else repr(value) if value == "" else str(value)
