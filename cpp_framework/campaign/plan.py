"""Planning a campaign as a whole, before anything of it is made."""

from __future__ import annotations

from collections.abc import Callable

from cpp_framework.camera.instrument import Instrument
from cpp_framework.campaign.passes import Campaign, CampaignPlan, Pass, PlannedPass
from cpp_framework.config.suggest import did_you_mean
from cpp_framework.errors import ConfigError, InputsMissingError
from cpp_framework.plan import Plan, Unit, make_plan
from cpp_framework.plan.planned import Planned
from cpp_framework.plugins import Plugins
from cpp_framework.store import Store
from cpp_framework.verify.common import COMMON, SOLUTION


def plan_campaign(
    campaign: Campaign, store: Store, instruments: Callable[[str], Instrument], plugins: Plugins
) -> CampaignPlan:
    """Plan every pass; needs of later passes are served by units of earlier ones, whose recipes are known already.

    A pass that finds nothing to be made from is blocked, or left out if it is optional.

    Raises
    ------
    UserError
        A pass asks for something wrong: an unknown type, setting, product, check, or a need its type does not have.
    """
    for number, given in enumerate(campaign.passes):
        _check_names(number, given, plugins)
    passes: list[PlannedPass] = []
    notes: list[str] = []
    for given in campaign.passes:
        earlier = Planned(tuple(_serving(one.plan.units, campaign.strict) for one in passes), given.needs)
        try:
            plan = make_plan(given.request, store, instruments, plugins, earlier)
        except InputsMissingError as error:
            if given.optional:
                notes.append(f"{given.name} is left out: {error}")
            else:
                passes.append(PlannedPass(given, Plan(given.request, ()), str(error), error.hint))
            continue
        if given.optional and all(unit.blocked for unit in plan.units):
            notes.append(f"{given.name} is left out: {plan.units[0].blocked}")
        else:
            passes.append(PlannedPass(given, plan))
    return CampaignPlan(tuple(passes), tuple(notes))


def _check_names(number: int, given: Pass, plugins: Plugins) -> None:
    """Refuse needs and checks that the type of a pass does not have."""
    calibration = plugins.type(given.request.type)
    required = [one.type for one in calibration.requires]
    checks = [*COMMON, SOLUTION, *(one.name for one in calibration.checks)]
    waived = given.certify.waive if given.certify else {}
    for place, names, known in (("needs", given.needs, required), ("certify.waive", waived, checks)):
        for name in names:
            if name not in known:
                what = f"{given.request.type} {'does not need' if place == 'needs' else 'has no check'} {name!r}"
                raise ConfigError(f"passes[{number}].{place}: {what}", hint=did_you_mean(name, known))


def _serving(units: tuple[Unit, ...], strict: bool) -> tuple[Unit, ...]:
    """Units that needs look at: those that cannot be made only where they shall block what needs them."""
    return units if strict else tuple(unit for unit in units if not unit.blocked)
