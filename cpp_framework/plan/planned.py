"""Products that will exist when a unit is made: those planned earlier in the same run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cpp_framework.errors import IncompatibleError, InputsMissingError
from cpp_framework.model.header import NeedRecord
from cpp_framework.plan.unit import Need, Unit
from cpp_framework.store import Store
from cpp_framework.store.keys import agrees, plain_key

MADE_EARLIER = "made earlier in this run"


@dataclass(frozen=True)
class Planned:
    """The units of earlier passes, pass after pass; ``labels`` says by type which pass serves, else the latest does."""

    passes: tuple[tuple[Unit, ...], ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    def units(self, type_name: str) -> list[Unit]:
        """All units of a type (of the label that serves, where one is said)."""
        return [unit for units in self.passes for unit in units if unit.type == type_name and self._wanted(unit)]

    def serving(
        self, type_name: str, instrument: str, detector: int, key: Mapping[str, Any], *, choose: bool = False
    ) -> tuple[Unit, str] | None:
        """The unit that makes what is needed, and why this one; None if none does.

        It is of the latest pass that has one that fits. Where several of that pass fit, the one of most exposures is
        taken if ``choose`` says so: defects are looked for in a flat, whatever its filter.

        Raises
        ------
        InputsMissingError
            A label is said, and no unit of that label fits.
        IncompatibleError
            Several units of one pass fit.
        """
        for units in reversed(self.passes):
            fitting = [
                unit
                for unit in units
                if (unit.type, unit.instrument, unit.detector) == (type_name, instrument, detector)
                and self._wanted(unit)
                and agrees(plain_key(unit.key), key)
            ]
            if len(fitting) > 1 and not choose:
                names = "; ".join(unit.name for unit in fitting)
                raise IncompatibleError(
                    f"several products of this run fit a need of {type_name}: {names}",
                    hint=f"`use: {{{type_name}: ID}}` names one, or select fewer exposures",
                )
            if fitting:
                best = min(fitting, key=lambda unit: (bool(unit.blocked), -unit.n_exposures, unit.name))
                more = f", of {len(fitting)} that fit the one of most exposures: {best.name}" if fitting[1:] else ""
                return best, MADE_EARLIER + more
        if type_name in self.labels:
            label = self.labels[type_name]
            raise InputsMissingError(
                f"no {type_name} with label {label!r} of this run fits detector {detector}, {dict(key)}",
                hint="`needs:` names the pass that serves; cpp run -n shows what each makes",
            )
        return None

    def _wanted(self, unit: Unit) -> bool:
        return self.labels.get(unit.type, unit.label) == unit.label


def need_of(unit: Unit, why: str, store: Store) -> Need:
    """A need served by a planned unit: all but its recipe is open until the product is there.

    Raises
    ------
    InputsMissingError
        The unit cannot be made.
    """
    if unit.blocked:
        raise InputsMissingError(f"needs {unit.name}, which cannot be made: {unit.blocked}", hint=unit.hint)
    if unit.existing:
        return stored_need(unit.existing, why, store)
    return Need(NeedRecord(type=unit.type, id="", digest="", recipe=unit.recipe, why=why), Path())


def stored_need(product: str, why: str, store: Store) -> Need:
    """The same need, once its product (whole id) is stored."""
    record = store.product(product)
    header = NeedRecord(type=record.type, id=record.id, digest=record.digest, recipe=record.recipe, why=why)
    return Need(header, store.path(record))


def begin_of(unit: Unit) -> int | None:
    """When the first of a unit's exposures began (TAI nanoseconds); None where nobody knows."""
    begins = [one.exposure.begin for some in unit.inputs.values() for one in some if one.exposure.begin is not None]
    return min(begins, default=None)
