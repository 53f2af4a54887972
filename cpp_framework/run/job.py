"""What crosses to a worker and back: plain picklable values, never a store or a registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cpp_framework.camera.instrument import Instrument
from cpp_framework.isr.spool import Spool
from cpp_framework.model.measurement import Measurement
from cpp_framework.plan.unit import Unit


@dataclass(frozen=True)
class Job:
    """One unit with everything a worker needs: the instrument, where to keep frames, and who is asking.

    ``spools`` are where each selection's corrected frames go; ``measurements`` is the folder of cached measurements.
    """

    unit: Unit
    instrument: Instrument
    spools: dict[str, Spool]
    measurements: Path
    staged: Path
    threads: int
    product_id: str
    run: str
    command: str = ""


@dataclass(frozen=True)
class Measured:
    """Result of correcting and measuring one exposure (or pair): where it belongs, the measurement, the times [s]."""

    selection: str
    index: int
    measurement: Measurement | None
    correct_seconds: float = 0.0
    measure_seconds: float = 0.0


@dataclass(frozen=True)
class Shared:
    """Measurements of one unit, by selection in order, and what `pool` made of all detectors."""

    measurements: Mapping[str, tuple[Measurement, ...]] = field(default_factory=dict)
    pooled: Measurement | None = None


@dataclass(frozen=True)
class Staged:
    """A product file written by a worker, complete but not yet visible; how long solving and writing took [s]."""

    path: Path
    header_json: str
    solve_seconds: float
    write_seconds: float
