"""Hands tasks to the workers and outlives the death of one of them.

When a worker is killed (mostly by the system, because memory ran out) the whole pool breaks, and nobody can tell
which task did it. What was under way is then repeated on a new pool, one task at a time. A task that breaks the pool
again, alone, is to blame: its unit fails. If none does, too many at a time were too much: half as many go on.
Every task is repeated at most once, so this ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from typing import Any

from cpp_framework.execute import Workers
from cpp_framework.run.active import ActiveUnit, Task


class Crew:
    """The workers of a run with the tasks they are at.

    Parameters
    ----------
    workers : Workers
    jobs : int
        Most tasks at a time.
    notify : callable
        Is told, in words, when a worker died.
    """

    def __init__(self, workers: Workers, jobs: int, notify: Callable[[str], None]) -> None:
        self._workers = workers
        self._notify = notify
        self._limit = jobs
        self._under_way: dict[Future[Any], Task] = {}
        self._suspects: deque[Task] = deque()
        self._trial: Task | None = None
        self._blamed = False

    @property
    def busy(self) -> bool:
        """Whether a task is under way."""
        return bool(self._under_way)

    def room(self, workers: int) -> int:
        """How many more tasks may be handed out if ``workers`` fit into the memory."""
        if self._suspects or self._trial is not None:
            return 0
        return max(0, min(self._limit, workers) - len(self._under_way))

    def submit(self, task: Task) -> None:
        """Hand out a task; what becomes of it is told by `finished`."""
        try:
            future = self._workers.submit(task.function, *task.arguments)
        except BrokenExecutor as error:  # a worker died while it was idle
            future = Future()
            future.set_exception(error)
        self._under_way[future] = task

    def repeat(self) -> None:
        """Go on with what was under way when a worker died: the next task of it, alone."""
        if self._suspects and not self.busy:
            self._trial = self._suspects.popleft()
            self.submit(self._trial)

    def forget(self, unit: ActiveUnit) -> None:
        """Repeat nothing of a unit that has failed."""
        self._suspects = deque(task for task in self._suspects if task.unit is not unit)

    def cancel(self) -> None:
        """Withdraw what no worker has begun."""
        self._suspects.clear()
        for future in self._under_way:
            future.cancel()

    def finished(self, timeout: float) -> list[tuple[Task, Future[Any]]]:
        """Wait until a task has ended, at most ``timeout`` seconds; return those that have, with their futures."""
        done, _ = wait(self._under_way, timeout, FIRST_COMPLETED)
        if not done:
            self._workers.notice_death()
        if any(_killed(future) for future in done):
            done, _ = wait(self._under_way)  # the pool is broken: they all end now
        ended = [(self._under_way.pop(future), future) for future in done]
        killed = [(task, future) for task, future in ended if _killed(future)]
        if killed and not self._is_to_blame(killed):
            ended = [one for one in ended if one not in killed]
        if not self.busy and ended:
            self._close_trial()
        return ended

    def _is_to_blame(self, killed: list[tuple[Task, Future[Any]]]) -> bool:
        """Make the pool anew; False if the tasks that were killed are to be repeated."""
        if not self._workers.renew():
            return True
        if self._trial is not None:
            self._blamed = True
            return True
        self._notify("a worker process was killed, probably because memory ran out; its tasks are repeated one by one")
        self._blamed = False
        self._suspects.extend(task for task, _ in killed)
        return False

    def _close_trial(self) -> None:
        """After the last repeated task: if none was to blame, the load was."""
        if self._trial is None:
            return
        self._trial = None
        if not self._suspects and not self._blamed and self._limit > 1:
            self._limit = max(1, self._limit // 2)
            self._notify(f"going on with {self._limit} task{'s' if self._limit > 1 else ''} at a time")


def _killed(future: Future[Any]) -> bool:
    return not future.cancelled() and isinstance(future.exception(), BrokenExecutor)
