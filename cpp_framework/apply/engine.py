"""Runs a plan of applying: hands targets to the workers and gathers what became of each."""

from __future__ import annotations

import os
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait

from cpp_framework.apply.request import Applied, ApplyPlan, Target
from cpp_framework.apply.work import ApplyJob, Written, apply_to
from cpp_framework.camera.instrument import Instrument
from cpp_framework.errors import ConflictError, CppError
from cpp_framework.execute import Workers
from cpp_framework.store.files import make_folder, storage_errors

Tell = Callable[[int, int, str], None]
_POLL = 0.2
"""Seconds between two looks whether a worker has died."""


def run_apply_plan(
    plan: ApplyPlan,
    instruments: Callable[[str], Instrument],
    workers: Workers,
    jobs: int,
    *,
    force: bool = False,
    command: str = "",
    progress: Tell = lambda *_: None,
) -> list[Applied]:
    """Correct and write every target that can be; one that fails is reported and the others go on.

    Parameters
    ----------
    plan : ApplyPlan
    instruments : callable
        Name of a registered instrument → the instrument.
    workers : Workers
    jobs : int
        Targets at a time. The images do not depend on it.
    force : bool
        Whether to replace files that are there.
    command : str
        The command line, for the headers.
    progress : callable
        Is told how many targets are done, of how many, and what became of the last.

    Returns
    -------
    list of Applied
        One per target, in the plan's order.

    Raises
    ------
    StoreError
        The folder to write to cannot be made.
    """
    results = {id(target): settled for target in plan.targets if (settled := _settled(target, force))}
    to_do = [target for target in plan.targets if id(target) not in results]
    for folder in dict.fromkeys(target.output.parent for target in to_do):
        with storage_errors(folder):
            make_folder(folder.absolute())
    threads = max(1, jobs // max(1, len(to_do)))
    queue = deque(
        ApplyJob(target, instruments(target.exposure.instrument), plan.request, force, command, threads)
        for target in to_do
    )
    # Targets with equal calibrations follow one another, so that a worker reads each product once.
    queue = deque(sorted(queue, key=lambda job: repr(job.calibrations)))
    total = len(queue)

    def finish(job: ApplyJob, result: Applied) -> None:
        results[id(job.target)] = result
        progress(sum(id(one) in results for one in to_do), total, f"{job.target.name}: {result.state}")

    _run(queue, workers, jobs, finish)
    return [results[id(target)] for target in plan.targets]


def _settled(target: Target, force: bool) -> Applied | None:
    """Result of a target that needs no work, or allows none."""
    if target.error is not None:
        return Applied(target, "refused", error=target.error)
    if target.output.exists() and not force:
        error = ConflictError(f"{target.output} is there already", hint="--force replaces it")
        return Applied(target, "exists", error=error)
    return None


def _run(queue: deque[ApplyJob], workers: Workers, jobs: int, finish: Callable[[ApplyJob, Applied], None]) -> None:
    """Keep ``jobs`` targets under way. What was under way when a worker was killed is repeated once, one at a time."""
    under_way: dict[Future[Written], ApplyJob] = {}
    suspects: deque[ApplyJob] = deque()
    while queue or under_way or suspects:
        alone = bool(suspects)
        while not alone and queue and len(under_way) < jobs:
            job = queue.popleft()
            under_way[_submit(workers, job)] = job
        if alone and not under_way:
            job = suspects.popleft()
            under_way[_submit(workers, job)] = job
        done = _ended(under_way, workers)
        killed = []
        for future in done:
            job = under_way.pop(future)
            if isinstance(future.exception(), BrokenExecutor):
                killed.append(job)
            else:
                finish(job, _outcome(job, future))
        if killed:
            to_blame = not workers.renew() or alone
            suspects.extend([] if to_blame else killed)
            for job in killed if to_blame else ():
                finish(job, Applied(job.target, "failed", error=_killed()))


def _submit(workers: Workers, job: ApplyJob) -> Future[Written]:
    try:
        return workers.submit(apply_to, job)
    except BrokenExecutor as error:  # a worker died while it was idle
        future: Future[Written] = Future()
        future.set_exception(error)
        return future


def _ended(under_way: dict[Future[Written], ApplyJob], workers: Workers) -> Sequence[Future[Written]]:
    done, _ = wait(under_way, _POLL, FIRST_COMPLETED)
    if not done:
        workers.notice_death()
    if any(isinstance(future.exception(), BrokenExecutor) for future in done):
        done, _ = wait(under_way)  # the pool is broken: they all end now
    return [future for future in under_way if future in done]


def _outcome(job: ApplyJob, future: Future[Written]) -> Applied:
    error = future.exception()
    if error is None:
        written = future.result()
        return Applied(job.target, "written", written.steps, written.unit, seconds=written.seconds)
    if os.environ.get("CPP_DEBUG"):
        traceback.print_exception(error)
    if not isinstance(error, CppError):
        error = CppError(f"{type(error).__name__}: {error}", hint="run again with cpp --debug for the traceback")
    # Another process may have written the file since we looked.
    return Applied(job.target, "exists" if isinstance(error, ConflictError) else "failed", error=error)


def _killed() -> CppError:
    return CppError(
        "a worker process was killed while it worked on this, probably because memory ran out",
        hint="try a smaller --jobs",
    )
