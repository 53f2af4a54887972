"""Planning a campaign as a whole, before anything of it is made."""

from __future__ import annotations

from collections.abc import Callable

from cpp_framework.camera.instrument import Instrument
from cpp_framework.campaign.passes import Campaign, CampaignPlan, PlannedPass
from cpp_framework.errors import InputsMissingError
from cpp_framework.plan import Plan, Unit, make_plan
from cpp_framework.plan.planned import Planned
from cpp_framework.plugins import Plugins
from cpp_framework.store import Store


def plan_campaign(
    campaign: Campaign, store: Store, instruments: Callable[[str], Instrument], plugins: Plugins
) -> CampaignPlan:
    """Plan every pass; needs of later passes are served by units of earlier ones, whose recipes are known already.

    A pass that finds nothing to be made from is blocked, or left out if it is optional.

    Raises
    ------
    UserError
        A pass asks for something wrong: an unknown type, setting, or product.
    """
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


def _serving(units: tuple[Unit, ...], strict: bool) -> tuple[Unit, ...]:
    """Units that needs look at: those that cannot be made only where they shall block what needs them."""
    return units if strict else tuple(unit for unit in units if not unit.blocked)
