"""The words of applying: what was asked for, what will be applied to each exposure and why, what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cpp_framework.declare import Stage
from cpp_framework.errors import CppError
from cpp_framework.model.exposure import Exposure
from cpp_framework.plan.unit import Need

GAIN = "gain"
"""Name under which `ApplyRequest.without` knows the gain stage, which belongs to the core."""


@dataclass(frozen=True)
class ApplyRequest:
    """How calibrations are chosen.

    Parameters
    ----------
    instrument : str
        Instrument of files that were not ingested; empty for the one that fits their headers.
    use : mapping of str to str
        Type → id or digest prefix of the product to apply, whatever is certified.
    without : tuple of str
        Types not to apply, and ``gain`` for the gain stage.
    require : tuple of str
        Types without which an exposure is not worth writing.
    allow_uncertified : bool
        Whether the newest verified product serves where none is certified.
    collection : str
        Calibration collection; the instrument's by default.
    at : int, optional
        Instant (TAI nanoseconds) to look products up for, instead of the begin of each exposure.
    up_to : Stage
        Last stage applied.
    """

    instrument: str = ""
    use: Mapping[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    require: tuple[str, ...] = ()
    allow_uncertified: bool = False
    collection: str = ""
    at: int | None = None
    up_to: Stage = Stage.INTERPOLATION


@dataclass(frozen=True)
class Choice:
    """One calibration type for one exposure: the product to apply, or None, and why."""

    type: str
    stages: tuple[Stage, ...]
    need: Need | None
    why: str


@dataclass(frozen=True)
class FoundRaw:
    """One exposure of one detector, and a remark on it (flagged bad, not ingested) or nothing."""

    exposure: Exposure
    remark: str = ""


@dataclass(frozen=True)
class RefusedRaw:
    """Something that was named as a raw exposure and cannot be corrected, and why."""

    what: str
    error: CppError


@dataclass(frozen=True)
class Target:
    """One detector of one exposure, what will be applied to it, and the file it becomes.

    ``error`` says why it cannot be corrected as asked; ``note`` what the user should know all the same.
    """

    exposure: Exposure
    choices: tuple[Choice, ...]
    output: Path
    error: CppError | None = None
    note: str = ""

    @property
    def name(self) -> str:
        """Readable name: exposure and detector."""
        return f"{self.exposure.id} detector {self.exposure.detector}"


@dataclass(frozen=True)
class ApplyPlan:
    """What will be applied to what; names that mean no exposure included. ``notes`` tell what was left out."""

    request: ApplyRequest
    targets: tuple[Target, ...]
    refused: tuple[RefusedRaw, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Applied:
    """What became of one target: ``written``, ``exists`` (and was left as it is), ``failed`` or ``refused``.

    ``steps`` names what was done to the image, in order; ``unit`` is that of the image.
    """

    target: Target
    state: str
    steps: tuple[str, ...] = ()
    unit: str = ""
    error: CppError | None = None
    seconds: float = 0.0
