"""The words of planning: what was asked for, the units of work it becomes, and why some cannot be done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cpp_framework.model.exposure import Exposure
from cpp_framework.model.header import NeedRecord

GAIN = "gain"
"""What `Request.without` calls the gain stage, which belongs to the core and is no type."""


@dataclass(frozen=True)
class Request:
    """What a user asked to produce.

    ``filters`` are texts ``FIELD OP VALUE``; ``exclude`` exposure ids, ``only`` those to choose from (all if empty);
    ``settings`` texts ``key=value`` of the type's configuration; ``use`` maps a needed type to a product's id or digest
    prefix; ``without`` names needs that are left out, and ``gain`` for the gain stage. Other needs are looked up in the
    calibration ``collection`` (the instrument's by default) for the exposures' dates, or for ``at`` (TAI nanoseconds).
    """

    type: str
    label: str = ""
    instrument: str = ""
    filters: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    config_file: Path | None = None
    use: Mapping[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    allow_uncertified: bool = False
    collection: str = ""
    at: int | None = None


@dataclass(frozen=True)
class PlannedExposure:
    """One exposure a unit will read, with the SHA-256 of its file's bytes."""

    exposure: Exposure
    digest: str


@dataclass(frozen=True)
class Refusal:
    """One exposure (or product) that was considered and left out, and why."""

    selection: str
    exposure: Exposure
    reason: str
    digest: str = ""


@dataclass(frozen=True)
class Need:
    """A resolved need: the product that will be used, its file, and why this one."""

    record: NeedRecord
    path: Path


@dataclass(frozen=True)
class Unit:
    """One product to make: everything that decides its content, and the recipe digest over it.

    ``inputs`` maps selection names to exposures in order of time (for paired inputs: pairs one after the other).
    ``notes`` tell what could not be judged; ``without`` what was left out on purpose; ``blocked`` says why it
    cannot be made; ``existing`` is the id of an intact product of the same recipe.
    """

    type: str
    label: str
    instrument: str
    detector: int
    key: Mapping[str, Any]
    inputs: Mapping[str, tuple[PlannedExposure, ...]]
    refused: tuple[Refusal, ...]
    needs: Mapping[str, Need]
    settings: Mapping[str, Any]
    origins: Mapping[str, str]
    recipe: str = ""
    existing: str = ""
    notes: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    blocked: str = ""
    hint: str = ""

    @property
    def n_exposures(self) -> int:
        """Number of exposures read."""
        return sum(len(selection) for selection in self.inputs.values())

    @property
    def name(self) -> str:
        """Readable name: type, detector and key."""
        extra = [
            f"{field} {_shown(value)}" for field, value in self.key.items() if _shown(value) and field != "detector"
        ]
        return ", ".join([self.type + (f" ({self.label})" if self.label else ""), f"detector {self.detector}", *extra])


def _shown(value: Any) -> str:
    """A key's value as people write it; empty where there is nothing to tell."""
    text = "x".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
    return "" if text in ("", "1x1", "None") else text


@dataclass(frozen=True)
class Plan:
    """The units a request becomes; those already made and those blocked included."""

    request: Request
    units: tuple[Unit, ...]

    @property
    def to_do(self) -> tuple[Unit, ...]:
        """Units that must and can be worked on."""
        return tuple(unit for unit in self.units if not unit.existing and not unit.blocked)
