"""From a request to a plan: select, group, resolve needs, settle the recipe, and see what is already made."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cpp_framework.camera.instrument import Instrument
from cpp_framework.config import Resolved, recipe_settings, resolve_config
from cpp_framework.declare import CalibrationType, Inputs, load
from cpp_framework.errors import IncompatibleError, InputsMissingError, UserError
from cpp_framework.model.exposure import Exposure
from cpp_framework.plan.recipe import recipe_of
from cpp_framework.plan.resolve import resolve_needs
from cpp_framework.plan.unit import Need, Plan, PlannedExposure, Refusal, Request, Unit
from cpp_framework.plugins import Plugins
from cpp_framework.select import Group, parse_filters, select
from cpp_framework.store import Store, StoredExposure
from cpp_framework.store.collections import chain_name


@dataclass(frozen=True)
class _Draft:
    """A unit before its needs and recipe are known."""

    instrument: str
    detector: int
    key: Mapping[str, Any]
    chosen: Mapping[str, tuple[Exposure, ...]]
    refused: tuple[Refusal, ...]
    notes: tuple[str, ...] = ()
    dated: int | None = None

    @property
    def instants(self) -> list[int | None]:
        """When its exposures began; for a type made from a product only, when that product's exposures did."""
        begins = [one.begin for chosen in self.chosen.values() for one in chosen]
        return begins or [self.dated]


def make_plan(request: Request, store: Store, instruments: Callable[[str], Instrument], plugins: Plugins) -> Plan:
    """Plan a request; nothing is read but headers' translations and the bytes' digests.

    Raises
    ------
    InputsMissingError
        No exposure (or product) in the repository is of the kind wanted.
    IncompatibleError
        ``use`` names a product of another type.
    ConfigError
        The label is no name, or a setting is wrong.
    """
    calibration = plugins.type(request.type)
    chain_name(calibration.name, request.label)  # a wrong label is refused before anything is read
    config_class = load(calibration.config, wanted_by=calibration.name)
    settings = resolve_config(config_class, request.config_file, request.settings, name=calibration.name)
    _check_use(request, store)
    refused: Counter[str] = Counter()
    if calibration.inputs:
        drafts = _drafts(calibration, request, store, instruments, refused)
    else:
        drafts = _drafts_from_products(calibration, request, store)
    if not drafts:
        raise _nothing(calibration, store, refused)
    digests = store.raw_digests(_paths(drafts), threads=os.cpu_count() or 1)
    units = [_unit(draft, calibration, request, settings, store, instruments, digests) for draft in drafts]
    return Plan(request, tuple(units))


def _nothing(calibration: CalibrationType, store: Store, refused: Counter[str]) -> InputsMissingError:
    if not calibration.inputs:
        required = calibration.requires[0].type
        return InputsMissingError(
            f"{calibration.name} is made from a {required}, and there is none in {store.root}",
            hint=f"cpp produce --type {required}",
        )
    kinds = ", ".join(sorted({inputs.kind for inputs in calibration.inputs}))
    why = "; ".join(f"{count} because {reason}" for reason, count in refused.most_common(5))
    return InputsMissingError(
        f"nothing to make a {calibration.name} from: no exposures of kind {kinds} match in {store.root}"
        + (f" (refused: {why})" if why else ""),
        hint="cpp find lists the exposures; cpp ingest adds some",
    )


def _drafts(
    calibration: CalibrationType,
    request: Request,
    store: Store,
    instruments: Callable[[str], Instrument],
    refused: Counter[str],
) -> list[_Draft]:
    names = [request.instrument] if request.instrument else store.instruments()
    filters = parse_filters(request.filters)
    exclude = [store.exposure(text)[0].id for text in request.exclude]
    drafts = []
    for name in names:
        candidates = [replace(one, problem=_file_problem(one)) for one in store.exposures(name)]
        tolerances = instruments(name).tolerances
        groups = {}
        for inputs in calibration.inputs:
            found = select(candidates, inputs, filters, exclude=exclude, tolerances=tolerances)
            groups[inputs.name] = found.groups
            refused.update(reason for _, reason in found.refused)
        drafts += _join(name, calibration.inputs, groups)
    return drafts


def _join(name: str, all_inputs: Sequence[Inputs], groups: Mapping[str, Sequence[Group]]) -> list[_Draft]:
    """One draft per group of the first selection, with the groups of the others that agree with its key."""
    first, *others = all_inputs
    drafts = []
    for group in groups[first.name]:
        together = {first.name: group}
        for inputs in others:
            shared = [field for field in inputs.key if field in first.key]
            match = [g for g in groups[inputs.name] if all(g.key[field] == group.key[field] for field in shared)]
            if match:
                together[inputs.name] = match[0]
        drafts.append(_draft(name, all_inputs, group.key, together))
    return drafts


def _draft(name: str, all_inputs: Sequence[Inputs], key: Mapping[str, Any], together: Mapping[str, Group]) -> _Draft:
    chosen: dict[str, tuple[Exposure, ...]] = {inputs.name: () for inputs in all_inputs}
    refused = []
    for selection, group in together.items():
        chosen[selection] = tuple(one.exposure for one in group.chosen)
        refused += [Refusal(selection, one.exposure, reason) for one, reason in group.refused]
    notes = tuple(note for group in together.values() for note in group.notes)
    if windows := {one.window for some in chosen.values() for one in some} - {""}:
        key = {**key, "window": min(windows)}
    return _Draft(name, int(key["detector"]), key, chosen, tuple(refused), notes)


def _file_problem(stored: StoredExposure) -> str:
    """Why an exposure's file cannot be used; empty if it is as it was at ingest."""
    try:
        found = Path(stored.exposure.path).stat()
    except OSError:
        return f"its file is gone: {stored.exposure.path}"
    if (found.st_size, found.st_mtime_ns) != (stored.size, stored.mtime_ns):
        return "its file changed since it was ingested: cpp ingest it again"
    return ""


def _drafts_from_products(calibration: CalibrationType, request: Request, store: Store) -> list[_Draft]:
    """A type without exposures is made once per detector and key of the products of the first type it requires."""
    required = calibration.requires[0].type
    named = request.use.get(required)
    drafts: dict[str, _Draft] = {}
    for record in [store.product(named)] if named else store.products(type=required):
        if request.instrument in ("", record.instrument):
            key = {"detector": record.detector, **record.key}
            draft = _Draft(record.instrument, record.detector, key, {}, (), dated=record.begin)
            drafts.setdefault(repr((record.instrument, sorted(key.items()))), draft)
    return list(drafts.values())


def _check_use(request: Request, store: Store) -> None:
    """Refuse at once a product named for a need of another type: no unit could use it."""
    for wanted, prefix in request.use.items():
        record = store.product(prefix)
        if record.type != wanted:
            raise IncompatibleError(
                f"--use {wanted}={prefix} names a {record.type} ({record.id}), not a {wanted}",
                hint=f"cpp find --products type={wanted}",
            )


def _paths(drafts: Sequence[_Draft]) -> list[str]:
    paths = [exposure.path for draft in drafts for chosen in draft.chosen.values() for exposure in chosen]
    return list(dict.fromkeys(paths))


def _unit(
    draft: _Draft,
    calibration: CalibrationType,
    request: Request,
    settings: Resolved[Any],
    store: Store,
    instruments: Callable[[str], Instrument],
    digests: Mapping[str, str],
) -> Unit:
    inputs = {
        name: tuple(PlannedExposure(exposure, digests[exposure.path]) for exposure in chosen)
        for name, chosen in draft.chosen.items()
    }
    unit = Unit(
        type=calibration.name,
        label=request.label or calibration.label,
        instrument=draft.instrument,
        detector=draft.detector,
        key=draft.key,
        inputs=inputs,
        refused=draft.refused,
        notes=draft.notes,
        needs={},
        settings=settings.config.model_dump(mode="json"),
        origins=settings.origins,
    )
    try:
        _enough(unit, calibration)
        needs = resolve_needs(calibration, request, store, draft.instrument, draft.detector, draft.key, draft.instants)
    except UserError as error:
        return replace(unit, blocked=str(error), hint=error.hint)
    return _with_recipe(unit, needs, calibration, instruments(draft.instrument), settings, store)


def _with_recipe(
    unit: Unit,
    needs: Mapping[str, Need],
    calibration: CalibrationType,
    instrument: Instrument,
    settings: Resolved[Any],
    store: Store,
) -> Unit:
    recipe = recipe_of(
        calibration,
        unit.label,
        instrument,
        unit.detector,
        unit.key,
        unit.inputs,
        needs,
        recipe_settings(settings.config),
    )
    known = store.by_recipe(recipe)
    return replace(unit, needs=needs, recipe=recipe, existing=known.id if known else "")


def _enough(unit: Unit, calibration: CalibrationType) -> None:
    for inputs in calibration.inputs:
        found = len(unit.inputs[inputs.name])
        if found < inputs.minimum:
            raise InputsMissingError(
                f"{unit.name}: {found} exposures of kind {inputs.kind}, at least {inputs.minimum} are needed",
                hint="cpp plan shows what was refused and why",
            )
