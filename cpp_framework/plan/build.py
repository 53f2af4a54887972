"""From a request to a plan: select, group, resolve needs, settle the recipe, and see what is already made."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cpp_framework.camera.instrument import Instrument
from cpp_framework.config import Resolved, recipe_settings, resolve_config
from cpp_framework.config.suggest import did_you_mean
from cpp_framework.declare import CalibrationType, Inputs, load
from cpp_framework.errors import ConfigError, IncompatibleError, InputsMissingError, UserError
from cpp_framework.model.exposure import Exposure
from cpp_framework.plan.planned import Planned, begin_of
from cpp_framework.plan.recipe import recipe_of
from cpp_framework.plan.resolve import resolve_needs
from cpp_framework.plan.unit import GAIN, Need, Plan, PlannedExposure, Refusal, Request, Unit
from cpp_framework.plugins import Plugins
from cpp_framework.select import Group, parse_filters, select
from cpp_framework.store import ProductRecord, Store, StoredExposure
from cpp_framework.store.collections import chain_name
from cpp_framework.store.keys import plain_key


@dataclass(frozen=True)
class _Draft:
    """A unit before its needs and recipe are known.

    ``instants`` are when its exposures began; for a type made from products only, when those of a product did.
    """

    instrument: str
    detector: int
    key: Mapping[str, Any]
    chosen: Mapping[str, tuple[Exposure, ...]]
    refused: tuple[Refusal, ...]
    instants: tuple[int | None, ...]
    notes: tuple[str, ...] = ()


def make_plan(
    request: Request,
    store: Store,
    instruments: Callable[[str], Instrument],
    plugins: Plugins,
    planned: Planned | None = None,
) -> Plan:
    """Plan a request; nothing is read but headers' translations and the bytes' digests.

    What is ``planned`` to be made earlier in the same run serves needs as if it were stored: the recipes are the same.

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
    _check_without(request, calibration)
    earlier = planned or Planned()
    refused: Counter[str] = Counter()
    if calibration.inputs:
        drafts = _drafts(calibration, request, store, instruments, refused)
    else:
        drafts = _drafts_from_products(calibration, request, store, earlier)
    if not drafts:
        raise _nothing(calibration, store, refused)
    digests = store.raw_digests(_paths(drafts), threads=os.cpu_count() or 1)
    units = [_unit(draft, calibration, request, settings, store, instruments, digests, earlier) for draft in drafts]
    return Plan(request, tuple(units))


def _nothing(calibration: CalibrationType, store: Store, refused: Counter[str]) -> InputsMissingError:
    if not calibration.inputs:
        required = " or ".join(one.type for one in calibration.requires)
        return InputsMissingError(
            f"{calibration.name} is made from a {required}, and there is none in {store.root}",
            hint=f"cpp produce --type {calibration.requires[0].type}",
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
            found = select(
                candidates, inputs, filters, exclude=exclude, include_only=request.only, tolerances=tolerances
            )
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
    sure = [inputs.name for inputs in all_inputs if not inputs.unless]
    instants = tuple(one.begin for selection in sure for one in chosen[selection])
    if windows := {one.window for some in chosen.values() for one in some} - {""}:
        key = {**key, "window": min(windows)}
    return _Draft(name, int(key["detector"]), key, chosen, tuple(refused), instants, notes)


def _file_problem(stored: StoredExposure) -> str:
    """Why an exposure's file cannot be used; empty if it is as it was at ingest."""
    try:
        found = Path(stored.exposure.path).stat()
    except OSError:
        return f"its file is gone: {stored.exposure.path}"
    if (found.st_size, found.st_mtime_ns) != (stored.size, stored.mtime_ns):
        return "its file changed since it was ingested: cpp ingest it again"
    return ""


def _drafts_from_products(
    calibration: CalibrationType, request: Request, store: Store, planned: Planned
) -> list[_Draft]:
    """A type without exposures is made once per detector and key of the products of the types it requires.

    Where a run makes such products, those are meant and not what else is in the store.
    """
    found: list[ProductRecord | Unit] = []
    wanted = [one.type for one in calibration.requires if one.type not in request.without]
    for name in wanted:
        found += [store.product(request.use[name])] if name in request.use else planned.units(name)
    if not found:
        found += [record for name in wanted for record in store.products(type=name)]
    drafts: dict[str, _Draft] = {}
    for one in found:
        if request.instrument in ("", one.instrument):
            full = {"detector": one.detector, **one.key}
            key = {name: full[name] for name in calibration.key or full if name in full}
            begin = begin_of(one) if isinstance(one, Unit) else one.begin
            draft = _Draft(one.instrument, one.detector, key, {}, (), (begin,))
            drafts.setdefault(repr((one.instrument, sorted(plain_key(key).items()))), draft)
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


def _check_without(request: Request, calibration: CalibrationType) -> None:
    known = [one.type for one in calibration.requires] + [GAIN]
    for name in request.without:
        if name not in known:
            raise ConfigError(f"--without {name}: a {calibration.name} needs no {name}", hint=did_you_mean(name, known))


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
    planned: Planned,
) -> Unit:
    place = (draft.instrument, draft.detector, draft.key)
    try:
        needs = resolve_needs(calibration, request, store, *place, draft.instants, planned)
        problem = None
    except UserError as error:
        needs, problem = {}, error
    unwanted = {inputs.name for inputs in calibration.inputs if inputs.unless in needs}
    inputs = {
        name: tuple(PlannedExposure(exposure, digests[exposure.path]) for exposure in chosen)
        for name, chosen in draft.chosen.items()
        if name not in unwanted
    }
    unit = Unit(
        type=calibration.name,
        label=request.label or calibration.label,
        instrument=draft.instrument,
        detector=draft.detector,
        key=draft.key,
        inputs=inputs,
        refused=tuple(one for one in draft.refused if one.selection not in unwanted),
        notes=(*draft.notes, *_left_out(calibration, request, needs)),
        without=tuple(sorted(request.without)),
        needs={},
        settings=settings.config.model_dump(mode="json"),
        origins=settings.origins,
    )
    problem = _too_few(unit, calibration) or problem or _no_need(unit, calibration, needs)
    if problem is not None:
        return replace(unit, blocked=str(problem), hint=problem.hint)
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
        unit.without,
    )
    known = store.by_recipe(recipe)
    return replace(unit, needs=needs, recipe=recipe, existing=known.id if known else "")


def _left_out(calibration: CalibrationType, request: Request, needs: Mapping[str, Need]) -> Iterator[str]:
    """A word about each optional need that nothing serves."""
    for one in calibration.requires:
        if one.optional and one.type not in needs and one.type not in request.without:
            yield f"made without a {one.type}: none is certified for it, made earlier in this run, or named by --use"


def _too_few(unit: Unit, calibration: CalibrationType) -> UserError | None:
    for inputs in calibration.inputs:
        found = len(unit.inputs.get(inputs.name, ()))
        if found < inputs.minimum and inputs.name in unit.inputs:
            return InputsMissingError(
                f"{unit.name}: {found} exposures of kind {inputs.kind}, at least {inputs.minimum} are needed",
                hint="cpp plan shows what was refused and why",
            )
    return None


def _no_need(unit: Unit, calibration: CalibrationType, needs: Mapping[str, Need]) -> UserError | None:
    """A type made from products, all of them optional, takes one at least."""
    if calibration.inputs or needs:
        return None
    types = [one.type for one in calibration.requires if one.type not in unit.without]
    return InputsMissingError(
        f"{unit.name} is made from {' or '.join(types)}, and none is certified for it",
        hint="cpp certify one, or --use TYPE=ID, or --allow-uncertified",
    )
