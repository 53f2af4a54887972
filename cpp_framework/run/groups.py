"""Which units of a plan begin together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cpp_framework.declare import CalibrationType
from cpp_framework.plan.unit import Plan, Unit


@dataclass(frozen=True)
class Group:
    """Units that are measured before any of them is solved: one alone, or for a type with `pool` one focal plane.

    ``known`` are up to date. `pool` sees them as well, so that a run that goes on after a crash makes what a run
    without one would have made; their measurements are in the cache.
    """

    make: tuple[Unit, ...]
    known: tuple[Unit, ...] = ()


def groups_of(plan: Plan, calibration: CalibrationType) -> list[Group]:
    """The groups of a plan with something to make, in the plan's order."""
    if not calibration.pool:
        return [Group((unit,)) for unit in plan.to_do]
    planes: dict[str, list[Unit]] = {}
    for unit in plan.units:
        if not unit.blocked:
            planes.setdefault(_plane(unit), []).append(unit)
    groups = [
        Group(tuple(unit for unit in units if not unit.existing), tuple(unit for unit in units if unit.existing))
        for units in planes.values()
    ]
    return [group for group in groups if group.make]


def groups_at_once(groups: Sequence[Group], calibration: CalibrationType, jobs: int) -> int:
    """How many groups to work on at a time: one if it has tasks enough for every worker, else one per worker."""
    wide = all(unit.n_exposures >= 2 * jobs for group in groups for unit in group.make)
    return 1 if calibration.pool or wide else min(jobs, len(groups))


def _plane(unit: Unit) -> str:
    """What the units of one focal plane have in common."""
    key = {name: value for name, value in unit.key.items() if name != "detector"}
    return repr((unit.instrument, sorted(key.items())))
