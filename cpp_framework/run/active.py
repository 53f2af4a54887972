"""A unit under way: its job, what it has on disk, its tasks, and what has come back of them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from cpp_framework.camera.instrument import Instrument
from cpp_framework.camera.window import crop_detector, window_of
from cpp_framework.declare import CalibrationType, Inputs
from cpp_framework.isr.spool import Spool
from cpp_framework.model.detector import Detector
from cpp_framework.model.exposure import Exposure
from cpp_framework.model.identity import new_id
from cpp_framework.model.measurement import Measurement
from cpp_framework.plan.unit import Unit
from cpp_framework.plugins import Plugins
from cpp_framework.run import work
from cpp_framework.run.budget import Budget
from cpp_framework.run.job import Job, Measured, Shared
from cpp_framework.run.scratch import Scratch
from cpp_framework.store import Store
from cpp_framework.store.leases import Lease
from cpp_framework.store.staging import clear_dead_staging


@dataclass(frozen=True)
class RunContext:
    """What every unit of a run needs to begin."""

    store: Store
    instruments: Callable[[str], Instrument]
    plugins: Plugins
    budget: Budget
    command: str


@dataclass(frozen=True, eq=False)
class Task:
    """What a worker is given at a time: an exposure (or pair) to correct and measure, or a unit to solve."""

    unit: ActiveUnit
    title: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


@dataclass(eq=False)
class ActiveUnit:
    """A unit under way. One without a lease is only measured, for the others of its focal plane."""

    job: Job
    scratch: Scratch
    lease: Lease | None
    todo: deque[Task] = field(default_factory=deque)
    outstanding: int = 0
    measured: dict[tuple[str, int], Measured] = field(default_factory=dict)
    solving: bool = False
    start: float = field(default_factory=time.perf_counter)

    @property
    def name(self) -> str:
        """Readable name of the unit."""
        return self.job.unit.name

    @property
    def whole(self) -> Detector:
        """The detector, uncut."""
        return self.job.instrument.detector(self.job.unit.detector)

    @property
    def measured_all(self) -> bool:
        """Whether every exposure has been read."""
        return not self.todo and not self.outstanding

    @property
    def tasks_left(self) -> int:
        """Tasks that have not come back, the solving included."""
        return len(self.todo) + self.outstanding + (self.lease is not None)

    def measurements(self) -> dict[str, tuple[Measurement, ...]]:
        """Measurements in order of exposure, by selection."""
        found: dict[str, list[Measurement]] = {}
        for (selection, _), one in sorted(self.measured.items()):
            if one.measurement is not None:
                found.setdefault(selection, []).append(one.measurement)
        return {selection: tuple(some) for selection, some in found.items()}

    def take_read(self) -> Task:
        """Take the next exposure (or pair) from those to be read."""
        self.outstanding += 1
        return self.todo.popleft()

    def take_solve(self, pooled: Measurement | None) -> Task:
        """The task that makes the product."""
        self.solving = True
        return Task(self, "solved", work.solve, (self.job, Shared(self.measurements(), pooled)))

    def discard(self) -> None:
        """Delete what the unit has on disk and nobody will ask for, then give its lease back."""
        self.todo.clear()
        self.scratch.remove()
        self.job.staged.unlink(missing_ok=True)
        if self.lease is not None:
            self.lease.release()


@dataclass(eq=False)
class ActiveGroup:
    """The units of a group that are under way; those that are made or have failed have left it."""

    calibration: CalibrationType
    units: list[ActiveUnit] = field(default_factory=list)
    pooled: Measurement | None = None

    @property
    def makes(self) -> list[ActiveUnit]:
        """The units to be made, without those that are only measured."""
        return [one for one in self.units if one.lease is not None]

    def take_solve(self) -> Task | None:
        """Solve the next unit whose turn has come; for a type with `pool`, once the whole focal plane is measured."""
        if self.calibration.pool and not all(one.measured_all for one in self.units):
            return None
        ready = next((one for one in self.makes if one.measured_all and not one.solving), None)
        if ready is None:
            return None
        if self.calibration.pool and self.pooled is None:
            # In the same order whichever of them are up to date: sums and seeds depend on it.
            plane = sorted(self.units, key=lambda one: one.job.unit.detector)
            self.pooled = work.pool(plane[0].job, {one.job.unit.detector: one.measurements() for one in plane})
        return ready.take_solve(self.pooled)

    def discard(self) -> None:
        """Delete what its units have on disk and give their leases back."""
        with ExitStack() as discarding:
            for one in self.units:
                discarding.callback(one.discard)


def prepare(
    unit: Unit, lease: Lease | None, context: RunContext, *, run: str, frames: int, together: int
) -> ActiveUnit:
    """Begin a unit that is worked on ``together`` with others; all their ``frames`` share the memory."""
    calibration = context.plugins.type(unit.type)
    instrument = context.instruments(unit.instrument)
    staging = context.store.root / "staging"
    if lease is not None:  # then whatever lies there for this recipe is of no use to anybody
        clear_dead_staging(staging, beginning=unit.recipe[:16], age=0)
    parent = context.budget.scratch(instrument.detector(unit.detector), frames, context.store.root)
    scratch = Scratch(parent)
    job = Job(
        unit=unit,
        instrument=instrument,
        spools={},
        measurements=context.store.root / "cache" / "measurements",
        staged=context.store.staging_file(unit.recipe),
        threads=max(1, context.budget.jobs // together),
        product_id=new_id(),
        run=run,
        command=context.command,
    )
    active = ActiveUnit(job, scratch, lease)
    try:
        for inputs in calibration.inputs:
            exposures = tuple(planned.exposure for planned in unit.inputs.get(inputs.name, ()))
            if not exposures:
                continue
            folder = scratch.folder / inputs.name
            job.spools[inputs.name] = Spool.create(
                folder, _read_out(instrument, exposures), exposures, work.unit_of(job)
            )
        active.todo.extend(_tasks(active, calibration))
    except BaseException:
        scratch.remove()
        raise
    return active


def n_tasks(unit: Unit, calibration: CalibrationType) -> int:
    """Number of tasks of a unit: one per exposure (or pair) that must be read, and the solving."""
    return sum(_n_groups(unit, inputs) for inputs in _read_by(calibration)) + 1


def n_frames(unit: Unit, calibration: CalibrationType) -> int:
    """Number of corrected frames that are kept until `solve` has read them."""
    return sum(len(unit.inputs.get(inputs.name, ())) for inputs in calibration.inputs if inputs.frames)


def _tasks(active: ActiveUnit, calibration: CalibrationType) -> list[Task]:
    job, tasks = active.job, []
    for inputs in _read_by(calibration):
        size = 2 if inputs.pairing else 1
        for index in range(_n_groups(job.unit, inputs)):
            read = job.unit.inputs[inputs.name][index * size : (index + 1) * size]
            title = " and ".join(planned.exposure.id for planned in read)
            tasks.append(Task(active, title, work.correct_and_measure, (job, inputs.name, index)))
    return tasks


def _read_by(calibration: CalibrationType) -> list[Inputs]:
    """Selections whose exposures must be read: not those that are only counted."""
    return [inputs for inputs in calibration.inputs if inputs.frames or calibration.measure]


def _n_groups(unit: Unit, inputs: Inputs) -> int:
    return len(unit.inputs.get(inputs.name, ())) // (2 if inputs.pairing else 1)


def _read_out(instrument: Instrument, exposures: Sequence[Exposure]) -> Detector:
    """The part of the detector that was read: all of it, or the window the exposures share."""
    first = exposures[0]
    detector = instrument.detector(first.detector)
    window = window_of(first, instrument.layout(first.detector))
    return detector if window is None else crop_detector(detector, window)
