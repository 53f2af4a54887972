"""Runs a plan: hands tasks to an executor, gathers what comes back, publishes whole products.

Only the coordinator (this module) touches the registry. A failed unit is reported and the others go on.
"""

from __future__ import annotations

import os
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from cpp_framework.camera.instrument import Instrument
from cpp_framework.camera.window import crop_detector, window_of
from cpp_framework.declare import CalibrationType
from cpp_framework.errors import CppError
from cpp_framework.isr.spool import Spool
from cpp_framework.model.detector import Detector
from cpp_framework.model.exposure import Exposure
from cpp_framework.model.header import Header
from cpp_framework.model.identity import new_id
from cpp_framework.model.measurement import Measurement
from cpp_framework.plan.unit import Plan, Unit
from cpp_framework.plugins import Plugins
from cpp_framework.run import work
from cpp_framework.run.budget import Budget
from cpp_framework.run.job import Job, Measured, Shared, Staged
from cpp_framework.run.scratch import Scratch, clear_abandoned
from cpp_framework.store import ProductRecord, Store


@dataclass(frozen=True)
class UnitResult:
    """What became of one unit: ``made``, ``up to date``, ``blocked`` or ``failed``, with the reason."""

    unit: Unit
    state: str
    product: str = ""
    reason: str = ""
    hint: str = ""
    seconds: float = 0.0
    write_seconds: float = 0.0


@dataclass(frozen=True)
class Progress:
    """One step forward: tasks done of all, and what was done of which unit."""

    done: int
    total: int
    task: str


@dataclass
class _Active:
    """A unit under way: its job, the tasks not yet handed out, and what has come back."""

    job: Job
    scratch: Scratch
    calibration: CalibrationType
    todo: deque[tuple[str, int]]
    outstanding: int = 0
    measured: dict[tuple[str, int], Measured] = field(default_factory=dict)
    pooled: Measurement | None = None
    solving: bool = False
    start: float = field(default_factory=time.perf_counter)

    def discard(self) -> None:
        """Delete what the unit has on disk and nobody will ask for."""
        self.scratch.remove()
        self.job.staged.unlink(missing_ok=True)

    @property
    def measured_all(self) -> bool:
        return not self.todo and not self.outstanding

    def measurements(self) -> dict[str, tuple[Measurement, ...]]:
        """Measurements in order of exposure, by selection."""
        found: dict[str, list[Measurement]] = {}
        for (selection, _), one in sorted(self.measured.items()):
            if one.measurement is not None:
                found.setdefault(selection, []).append(one.measurement)
        return {selection: tuple(some) for selection, some in found.items()}


class Engine:
    """Runs the units of one plan with one executor and one budget."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        instruments: Callable[[str], Instrument],
        plugins: Plugins,
        executor: Executor,
        budget: Budget,
        *,
        command: str = "",
        progress: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self._plan = plan
        self._store = store
        self._instruments = instruments
        self._plugins = plugins
        self._executor = executor
        self._budget = budget
        self._command = command
        self._progress = progress
        self._run = ""
        self._done = 0
        self._total = sum(len(_tasks(unit, plugins)) + 1 for unit in plan.to_do)
        self._results: list[UnitResult] = []

    def run(self) -> list[UnitResult]:
        """Work through the plan and return one result per unit, in the plan's order."""
        to_do = self._plan.to_do
        self._results = [_settled(unit) for unit in self._plan.units if unit.existing or unit.blocked]
        if to_do:
            self._run = self._store.new_run(to_do[0].type, to_do[0].label)
            for group in self._groups(to_do):
                self._run_group(group)
        order = {id(unit): i for i, unit in enumerate(self._plan.units)}
        return sorted(self._results, key=lambda result: order[id(result.unit)])

    def _groups(self, units: Sequence[Unit]) -> Iterator[list[Unit]]:
        """Units that must be measured before any of them is solved: one focal plane for types with `pool`."""
        calibration = self._plugins.type(units[0].type)
        if not calibration.pool:
            yield from ([unit] for unit in units) if self._wide(units) else [list(units)]
            return
        planes: dict[str, list[Unit]] = {}
        for unit in units:
            key = {name: value for name, value in unit.key.items() if name != "detector"}
            planes.setdefault(repr(sorted(key.items())), []).append(unit)
        yield from planes.values()

    def _wide(self, units: Sequence[Unit]) -> bool:
        """Whether one unit alone has exposures enough to keep every worker busy."""
        return all(unit.n_exposures >= 2 * self._budget.jobs for unit in units)

    def _run_group(self, units: Sequence[Unit]) -> None:
        frames = sum(_n_frames(unit, self._plugins) for unit in units)
        active = [self._activate(unit, len(units), frames) for unit in units]
        begun = list(active)
        futures: dict[Future[Any], tuple[_Active, str]] = {}
        try:
            self._loop(active, futures)
        finally:
            for future in futures:
                future.cancel()
            for one in begun:
                one.discard()

    def _loop(self, active: list[_Active], futures: dict[Future[Any], tuple[_Active, str]]) -> None:
        self._submit(active, futures)
        while futures:
            done, _ = wait(futures, return_when=FIRST_COMPLETED)
            for future in done:
                one, task = futures.pop(future)
                with self._failing(one, active):
                    self._take(one, task, future.result(), active)
            self._submit(active, futures)

    def _submit(self, active: list[_Active], futures: dict[Future[Any], tuple[_Active, str]]) -> None:
        """Hand out work, solving first, so that at most one task per worker is waiting."""
        for one in [one for one in active if one.measured_all and not one.solving]:
            with self._failing(one, active):
                if self._ready(one, active):
                    one.solving = True
                    shared = Shared(one.measurements(), one.pooled)
                    futures[self._executor.submit(work.solve, one.job, shared)] = (one, "solved")
        workers = min((self._budget.workers(_whole(one.job)) for one in active), default=1)
        for one in list(active):
            while one.todo and len(futures) < workers:
                selection, index = one.todo.popleft()
                with self._failing(one, active):
                    future = self._executor.submit(work.correct_and_measure, one.job, selection, index)
                    futures[future] = (one, _read(one, selection, index))
                    one.outstanding += 1

    @contextmanager
    def _failing(self, one: _Active, active: list[_Active]) -> Iterator[None]:
        """Whatever goes wrong inside fails this unit and only this one."""
        try:
            yield
        except BrokenExecutor:
            hint = f"try --jobs {max(1, self._budget.jobs // 2)} or a smaller --memory"
            self._fail(one, CppError("a worker process was killed, probably because memory ran out", hint), active)
        except Exception as error:  # a stranger's function may raise anything
            self._fail(one, error, active)

    def _ready(self, one: _Active, active: list[_Active]) -> bool:
        """Whether `solve` may start: at once, or for types with `pool` when every detector is measured."""
        if not one.calibration.pool:
            return True
        if not all(other.measured_all for other in active):
            return False
        if one.pooled is None:
            measured = {other.job.unit.detector: other.measurements() for other in active}
            pooled = work.pool(one.job, measured)
            for other in active:
                other.pooled = pooled
        return True

    def _take(self, one: _Active, task: str, result: Any, active: list[_Active]) -> None:
        self._done += 1
        self._progress(Progress(self._done, self._total, f"{one.job.unit.name}: {task}"))
        if isinstance(result, Measured):
            one.outstanding -= 1
            one.measured[(result.selection, result.index)] = result
            return
        solved = time.perf_counter()
        record = self._publish(result)
        active.remove(one)
        one.scratch.remove()
        now = time.perf_counter()
        writing = result.write_seconds + now - solved
        self._results.append(
            UnitResult(one.job.unit, "made", record.id, seconds=now - one.start, write_seconds=writing)
        )
        self._plugins.event(name="product stored", product=record.id, type=record.type)

    def _publish(self, staged: Staged) -> ProductRecord:
        return self._store.put(staged.path, Header.model_validate_json(staged.header_json))

    def _fail(self, one: _Active, error: Exception, active: list[_Active]) -> None:
        if one not in active:
            return
        active.remove(one)
        one.todo.clear()
        one.discard()
        if os.environ.get("CPP_DEBUG"):
            traceback.print_exception(error)
        reason = str(error) if isinstance(error, CppError) else f"{type(error).__name__}: {error}"
        hint = error.hint if isinstance(error, CppError) else "run again with cpp --debug for the traceback"
        self._results.append(UnitResult(one.job.unit, "failed", reason=reason, hint=hint))

    def _activate(self, unit: Unit, together: int, frames: int) -> _Active:
        """Prepare a unit that is worked on ``together`` with others; all their ``frames`` share the memory."""
        calibration = self._plugins.type(unit.type)
        instrument = self._instruments(unit.instrument)
        product_id = new_id()
        parent = self._budget.scratch(instrument.detector(unit.detector), frames, self._store.root)
        clear_abandoned(parent)
        scratch = Scratch(parent, product_id)
        job = Job(
            unit=unit,
            instrument=instrument,
            spools={},
            measurements=self._store.root / "cache" / "measurements",
            staged=self._store.staging_file(unit.recipe),
            threads=max(1, self._budget.jobs // together),
            product_id=product_id,
            run=self._run,
            command=self._command,
        )
        for inputs in calibration.inputs:
            exposures = tuple(planned.exposure for planned in unit.inputs[inputs.name])
            folder = scratch.folder / inputs.name
            job.spools[inputs.name] = Spool.create(
                folder, _read_out(instrument, exposures), exposures, work.unit_of(job)
            )
        return _Active(job, scratch, calibration, deque(_tasks(unit, self._plugins)))


def _n_frames(unit: Unit, plugins: Plugins) -> int:
    """Number of corrected frames that are kept until `solve` has read them."""
    return sum(len(unit.inputs[inputs.name]) for inputs in plugins.type(unit.type).inputs if inputs.frames)


def _tasks(unit: Unit, plugins: Plugins) -> list[tuple[str, int]]:
    """Selection and index of every exposure (or pair) that must be read."""
    return [
        (inputs.name, index)
        for inputs in plugins.type(unit.type).inputs
        if inputs.frames or plugins.type(unit.type).measure
        for index in range(len(unit.inputs[inputs.name]) // (2 if inputs.pairing else 1))
    ]


def _read(one: _Active, selection: str, index: int) -> str:
    """Text naming the exposure (or pair) a task reads."""
    size = next(2 if inputs.pairing else 1 for inputs in one.calibration.inputs if inputs.name == selection)
    group = one.job.unit.inputs[selection][index * size : (index + 1) * size]
    return " and ".join(planned.exposure.id for planned in group)


def _whole(job: Job) -> Detector:
    return job.instrument.detector(job.unit.detector)


def _read_out(instrument: Instrument, exposures: Sequence[Exposure]) -> Detector:
    """The part of the detector that was read: all of it, or the window the exposures share."""
    first = exposures[0]
    detector = instrument.detector(first.detector)
    window = window_of(first, instrument.layout(first.detector))
    return detector if window is None else crop_detector(detector, window)


def _settled(unit: Unit) -> UnitResult:
    if unit.existing:
        return UnitResult(unit, "up to date", unit.existing)
    return UnitResult(unit, "blocked", reason=unit.blocked, hint=unit.hint)
