"""`cpp plan`: what would be made, from what, and what was refused and why. Changes nothing but cached digests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from cpp_framework.cli import options
from cpp_framework.cli.output import print_json, print_table, say
from cpp_framework.errors import InputsMissingError

if TYPE_CHECKING:
    from cpp_framework.plan import Plan, Unit


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def plan(
        calibration_type: options.TypeOption,
        label: options.LabelOption = "",
        instrument: options.InstrumentOption = "",
        night: options.NightOption = "",
        band: options.FilterOption = "",
        selected: options.SelectOption = None,
        exclude: options.ExcludeOption = None,
        settings: options.SetOption = None,
        config: options.ConfigOption = None,
        use: options.UseOption = None,
        allow_uncertified: options.UncertifiedOption = False,
        collection: options.CollectionOption = "",
        at: options.AtOption = "",
        without: options.WithoutOption = None,
        repo: options.RepoOption = None,
        as_json: options.JsonOption = False,
    ) -> None:
        """Show what `produce` would do: exposures used and refused with reasons, needs, noise penalty, recipe.

        Exits with 3 if a unit cannot be made.
        """
        request = options.make_request(
            calibration_type,
            label,
            instrument,
            night,
            band,
            selected,
            exclude,
            settings,
            config,
            use,
            allow_uncertified,
            collection,
            at,
            without,
        )
        planned = options.open_repository(repo).plan(request)
        if as_json:
            print_json(units=[_as_json(unit) for unit in planned.units])
        else:
            _print(planned)
        blocked = [unit for unit in planned.units if unit.blocked]
        if blocked:
            raise InputsMissingError(blocked[0].blocked, hint=blocked[0].hint)


def _print(planned: Plan) -> None:
    rows = [
        (unit.name, unit.instrument, unit.n_exposures, len(unit.refused), _percent(unit), _needs(unit), _state(unit))
        for unit in planned.units
    ]
    print_table("", ("unit", "instrument", "exposures", "refused", "noise penalty", "needs", "state"), rows)
    for unit in planned.units:
        changed = ", ".join(f"{name}={unit.settings[name]} ({origin})" for name, origin in _changed(unit))
        print(f"{unit.name}: recipe {unit.recipe[:12] or 'open'}, settings: {changed or 'defaults'}")
    for unit in planned.units:
        used = [
            (name, one.exposure.id, one.exposure.exposure_time, _date(one.exposure.begin), one.digest[:12])
            for name, selection in unit.inputs.items()
            for one in selection
        ]
        columns = ("selection", "exposure", "time [s]", "begin (UTC)", "digest")
        print_table(f"{unit.name}: used", columns, used, whole=("exposure", "digest", "begin (UTC)"))
        if unit.refused:
            refused = [(one.selection, one.exposure.id, one.reason) for one in unit.refused]
            print_table(f"{unit.name}: refused", ("selection", "exposure", "reason"), refused)
        for note in unit.notes:
            say(f"note: {unit.name}: {note}")
    if any(unit.n_exposures for unit in planned.units):
        say("noise penalty: how much a corrected frame's noise grows from the stack's own, sqrt(1 + 1/N) - 1")


def _penalty(unit: Unit) -> float | None:
    from cpp_framework.stats import noise_penalty

    sizes = [len(selection) for selection in unit.inputs.values() if selection]
    return noise_penalty(min(sizes)) if sizes else None


def _percent(unit: Unit) -> str:
    penalty = _penalty(unit)
    return "" if penalty is None else f"{100 * penalty:.1f} %"


def _changed(unit: Unit) -> list[tuple[str, str]]:
    return [(name, origin) for name, origin in unit.origins.items() if origin != "default" and name in unit.settings]


def _needs(unit: Unit) -> str:
    return ", ".join(f"{name} {need.record.id[:13]} ({need.record.why})" for name, need in unit.needs.items())


def _state(unit: Unit) -> str:
    if unit.blocked:
        return f"blocked: {unit.blocked}"
    return f"up to date ({unit.existing[:13]})" if unit.existing else "to do"


def _date(begin: int | None) -> str:
    from cpp_framework.model.timespan import to_iso

    return "unknown" if begin is None else to_iso(begin)[:19]


def _as_json(unit: Unit) -> dict[str, Any]:
    return {
        "type": unit.type,
        "label": unit.label,
        "instrument": unit.instrument,
        "detector": unit.detector,
        "key": dict(unit.key),
        "inputs": {
            name: [{"exposure": one.exposure.id, "digest": one.digest} for one in selection]
            for name, selection in unit.inputs.items()
        },
        "refused": [{"exposure": one.exposure.id, "reason": one.reason} for one in unit.refused],
        "needs": {name: need.record.model_dump(mode="json") for name, need in unit.needs.items()},
        "notes": list(unit.notes),
        "noise_penalty": _penalty(unit),
        "recipe": unit.recipe,
        "existing": unit.existing,
        "blocked": unit.blocked,
    }
