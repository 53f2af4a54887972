"""One process makes a product at a time: leases of recipes, taken for all units of a group or for none."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from cpp_framework.plan.unit import Unit
from cpp_framework.run.groups import Group
from cpp_framework.store import Store
from cpp_framework.store.leases import Lease, holder


def take_leases(store: Store, units: Sequence[Unit]) -> dict[str, Lease] | None:
    """Take the leases of all units' recipes; None, and none taken, while somebody else has one of them.

    Nobody waits while holding a lease, so that two runs never wait for each other; and all take them in the same
    order, so that of two runs that want the same units one gets them.
    """
    taken: dict[str, Lease] = {}
    with ExitStack() as given_back:
        for recipe in sorted(unit.recipe for unit in units):
            lease = store.lease(recipe)
            if lease is None:
                return None
            taken[recipe] = given_back.enter_context(lease)
        given_back.pop_all()
    return taken


def waiting_for(store: Store, groups: Sequence[Group]) -> str:
    """Words for whom a run waits that has nothing else to do."""
    units = [unit for group in groups for unit in group.make]
    told = [(who, unit) for unit in units if (who := holder(store.root / "leases", unit.recipe))]
    who, unit = told[0] if told else ("another process", units[0])
    more = f" and {len(units) - 1} more" if len(units) > 1 else ""
    return f"waiting for {who}, which makes {unit.name}{more}"
