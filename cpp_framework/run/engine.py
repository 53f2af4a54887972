"""Runs a plan: hands tasks to the workers, gathers what comes back, publishes whole products.

Only the coordinator (this module) touches the registry. It works on a few groups of units at a time, each under the
leases of its recipes. A failed unit is reported and the others go on.
"""

from __future__ import annotations

import os
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from cpp_framework.camera.instrument import Instrument
from cpp_framework.errors import CppError
from cpp_framework.execute import Workers
from cpp_framework.model.header import Header
from cpp_framework.plan.unit import Plan, Unit
from cpp_framework.plugins import Plugins
from cpp_framework.run.active import ActiveGroup, ActiveUnit, RunContext, Task, n_frames, n_tasks, prepare
from cpp_framework.run.budget import Budget
from cpp_framework.run.crew import Crew
from cpp_framework.run.groups import Group, groups_at_once, groups_of
from cpp_framework.run.job import Measured, Staged
from cpp_framework.run.leases import take_leases, waiting_for
from cpp_framework.run.results import Progress, UnitResult, failed, settled
from cpp_framework.store import Store
from cpp_framework.store.leases import Lease

_POLL = 0.2
"""Seconds between two looks whether another process has given a lease back, or a worker has died."""


class Engine:
    """Runs the units of one plan with one set of workers and one budget.

    ``interrupted`` is asked before each new task: once it says yes, what runs is finished and the rest left.
    """

    def __init__(
        self,
        plan: Plan,
        store: Store,
        instruments: Callable[[str], Instrument],
        plugins: Plugins,
        workers: Workers,
        budget: Budget,
        *,
        command: str = "",
        progress: Callable[[Progress], None] = lambda _: None,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> None:
        self._plan = plan
        self._context = RunContext(store, instruments, plugins, budget, command)
        self._workers = workers
        self._crew = Crew(workers, budget.jobs, self._notify)
        self._progress = progress
        self._interrupted = interrupted
        self._calibration = plugins.type(plan.request.type)
        groups = groups_of(plan, self._calibration)
        self._at_once = groups_at_once(groups, self._calibration, budget.jobs)
        self._queue = deque(groups)
        self._held: list[Group] = []
        self._look_again = 0.0
        self._told = ""
        self._active: list[ActiveGroup] = []
        self._results: list[UnitResult] = []
        self._run = ""
        self._done = 0
        self._total = sum(n_tasks(unit, self._calibration) for group in groups for unit in group.make)

    def run(self) -> list[UnitResult]:
        """Work through the plan and return one result per unit, in the plan's order."""
        self._results = [settled(unit) for unit in self._plan.units if unit.existing or unit.blocked]
        try:
            self._work()
        except BaseException:
            self._crew.cancel()
            self._workers.kill()
            raise
        finally:
            with ExitStack() as discarding:
                for group in self._active:
                    discarding.callback(group.discard)
        results = {id(result.unit): result for result in self._results}
        return [results.get(id(unit)) or UnitResult(unit, "interrupted") for unit in self._plan.units]

    def _work(self) -> None:
        while self._queue or self._held or self._active:
            if not self._interrupted():
                self._begin_more()
                self._hand_out()
            elif not self._crew.busy:
                return
            self._gather()

    # -- beginning

    def _begin_more(self) -> None:
        """Begin further groups while there is room; those another process works on are tried again later."""
        if self._held and time.monotonic() > self._look_again:
            self._queue.extend(self._held)
            self._held.clear()
        while self._queue and len(self._active) < self._at_once:
            group = self._queue.popleft()
            try:
                leases = take_leases(self._context.store, group.make)
            except CppError as error:
                self._results += [self._failed(unit, error) for unit in group.make]
                continue
            if leases is None:
                self._held.append(group)
                self._look_again = time.monotonic() + _POLL
            else:
                self._begin(group, leases)

    def _begin(self, group: Group, leases: dict[str, Lease]) -> None:
        active = ActiveGroup(self._calibration)
        self._active.append(active)
        known = list(group.known)
        for unit in group.make:
            try:
                made = self._context.store.by_recipe(unit.recipe)  # by another process, since the plan
                if made is None:
                    active.units.append(self._prepare(unit, leases[unit.recipe], group))
                    continue
                known.append(unit)
                self._results.append(UnitResult(unit, "up to date", made.id))
            except Exception as error:  # reading an instrument or a needed product may fail in many ways
                self._results.append(self._failed(unit, error))
            leases[unit.recipe].release()
            self._step(n_tasks(unit, self._calibration), f"{unit.name}: {self._results[-1].state}")
        for unit in known if active.makes and self._calibration.pool else ():
            try:
                active.units.append(self._prepare(unit, None, group))
            except Exception as error:  # as above
                self._notify_left_out(unit, error)
        self._close(active)

    def _prepare(self, unit: Unit, lease: Lease | None, group: Group) -> ActiveUnit:
        self._run = self._run or self._context.store.new_run(unit.type, unit.label)
        together = len(group.make + group.known)
        frames = self._at_once * sum(n_frames(one, self._calibration) for one in group.make + group.known)
        return prepare(unit, lease, self._context, run=self._run, frames=frames, together=self._at_once * together)

    # -- tasks

    def _hand_out(self) -> None:
        """Hand out so much that no worker is idle, and none has more than the task it is at."""
        self._crew.repeat()
        budget = self._context.budget
        workers = min((budget.workers(one.whole) for group in self._active for one in group.units), default=1)
        while self._crew.room(workers) and (task := self._next_task()):
            with self._failing([task.unit]):
                self._crew.submit(task)

    def _next_task(self) -> Task | None:
        """The next task; solving comes first, so that a unit that has begun is soon published."""
        for group in list(self._active):
            with self._failing(group.makes):
                if task := group.take_solve():
                    return task
        return next((one.take_read() for group in self._active for one in group.units if one.todo), None)

    def _gather(self) -> None:
        """Wait for tasks to end, or if all that is left is with other processes, for those."""
        if not self._crew.busy:
            if self._held and not self._active:
                self._notify(waiting_for(self._context.store, self._held))
                time.sleep(_POLL)
            return
        for task, future in self._crew.finished(_POLL):
            if self._group_of(task.unit) is not None:  # its unit may have failed in the meantime
                with self._failing([task.unit]):
                    self._take(task, future.result())

    def _take(self, task: Task, result: Measured | Staged) -> None:
        one = task.unit
        if one.lease is not None:
            self._step(1, f"{one.name}: {task.title}")
        if isinstance(result, Measured):
            one.outstanding -= 1
            one.measured[(result.selection, result.index)] = result
        else:
            self._publish(one, result)

    def _publish(self, one: ActiveUnit, staged: Staged) -> None:
        solved = time.perf_counter()
        record = self._context.store.put(staged.path, Header.model_validate_json(staged.header_json))
        now = time.perf_counter()
        writing = staged.write_seconds + now - solved
        self._results.append(
            UnitResult(
                one.job.unit,
                "made",
                record.id,
                seconds=now - one.start,
                correct_seconds=sum(read.correct_seconds for read in one.measured.values()),
                measure_seconds=sum(read.measure_seconds for read in one.measured.values()),
                solve_seconds=staged.solve_seconds,
                write_seconds=writing,
            )
        )
        self._leave(one)
        self._context.plugins.event(name="product stored", product=record.id, type=record.type)

    # -- ending

    @contextmanager
    def _failing(self, units: Sequence[ActiveUnit]) -> Iterator[None]:
        """Whatever goes wrong inside fails these units and only these."""
        try:
            yield
        except Exception as error:  # a stranger's function may raise anything
            for one in units:
                self._fail(one, error)

    def _fail(self, one: ActiveUnit, error: Exception) -> None:
        if self._group_of(one) is None:
            return
        if one.lease is not None:
            self._results.append(self._failed(one.job.unit, error))
            self._step(one.tasks_left, f"{one.name}: failed")
        else:
            self._notify_left_out(one.job.unit, error)
        self._leave(one)

    def _failed(self, unit: Unit, error: Exception) -> UnitResult:
        if os.environ.get("CPP_DEBUG"):
            traceback.print_exception(error)
        return failed(unit, error, self._context.budget.jobs)

    def _leave(self, one: ActiveUnit) -> None:
        """Take a unit that is made or has failed out of its group."""
        group = self._group_of(one)
        assert group is not None
        group.units.remove(one)
        self._crew.forget(one)
        self._close(group)
        one.discard()

    def _close(self, group: ActiveGroup) -> None:
        """End a group that has nothing left to make."""
        if not group.makes:
            self._active.remove(group)
            group.discard()

    def _group_of(self, one: ActiveUnit) -> ActiveGroup | None:
        return next((group for group in self._active if one in group.units), None)

    # -- telling

    def _step(self, tasks: int, text: str) -> None:
        self._done += tasks
        self._progress(Progress(self._done, self._total, text))

    def _notify_left_out(self, unit: Unit, error: Exception) -> None:
        reason = self._failed(unit, error).reason
        self._notify(f"{unit.name} is left out of what its focal plane has in common: {reason}")

    def _notify(self, text: str) -> None:
        if text != self._told:
            self._told = text
            self._progress(Progress(self._done, self._total, text, notice=True))
