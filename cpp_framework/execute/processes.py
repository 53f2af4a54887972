"""Worker processes: started from a clean fork server, deaf to the signals meant for the coordinator, killable."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

_PRELOAD = ["cpp_framework.run.work", "cpp_framework.execute"]
_NOT_FOR_WORKERS = (signal.SIGINT, signal.SIGTERM)
"""A terminal sends the one to all of its processes, a batch system the other; the coordinator decides what follows."""

_SEMAPHORES = Path("/dev/shm")
_SEMAPHORE = re.compile(r"sem\.cpp-(?P<process>[0-9]{1,9})-.+")
AGE = 600.0
"""Seconds after which a semaphore of a process that is not seen here is nobody's. Workers open theirs at the start."""


class ProcessExecutor(ProcessPoolExecutor):
    """A pool of processes from a fork server that has loaded the numerical modules once.

    A worker so starts in milliseconds and never inherits a thread or a database handle.
    """

    def __init__(self, jobs: int) -> None:
        context = _Context()
        context.set_forkserver_preload(_PRELOAD)
        _start_fork_server()
        with _our_semaphores():
            super().__init__(jobs, mp_context=context, initializer=_start_worker)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Hand out a task. Signals wait meanwhile: this may start a worker, and one half started cannot be killed."""
        with _signals_later():
            return super().submit(fn, *args, **kwargs)

    def notice_death(self) -> None:
        """Let the pool break if a worker is dead.

        It does so by itself, but for a worker that died while it sent its result: then it waits for the rest.
        """
        if any(not worker.is_alive() for worker in self._workers()):
            self._end_workers()

    def kill(self) -> None:
        """End every worker at once, whatever it is doing, and wait until it is gone.

        The way to end a pool as well: `shutdown` alone waits for ever if a worker is killed while it ends.
        """
        self._end_workers()
        self.shutdown(wait=True, cancel_futures=True)

    def _workers(self) -> list[BaseProcess]:
        return list((self._processes or {}).values())

    def _end_workers(self) -> None:
        for worker in self._workers():
            worker.kill()
        if self._result_queue is not None:
            # Now nobody can write to the pipe of the results, and the pool does not wait for a rest of one.
            self._result_queue._writer.close()  # type: ignore[attr-defined]


class _Worker(ForkServerProcess):
    # The pool ends its workers by SIGTERM when one of them has died; ours do not hear it.
    terminate = ForkServerProcess.kill


class _Context(ForkServerContext):
    Process = _Worker


def clear_abandoned_semaphores(age: float = AGE) -> None:
    """Remove semaphores of pools that were killed with all their processes: the system keeps them else."""
    for path in _SEMAPHORES.glob("sem.cpp-*"):
        name = _SEMAPHORE.fullmatch(path.name)
        if name is None or Path("/proc", name["process"]).exists():
            continue
        try:
            if time.time() - path.stat().st_mtime >= age:
                path.unlink()
        except (FileNotFoundError, PermissionError):  # somebody was faster; another user's
            continue


@contextmanager
def _signals_later() -> Iterator[None]:
    """Let signals take effect at the end of the block."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[int] = []
    numbers = (*_NOT_FOR_WORKERS, signal.SIGALRM)
    before = {number: signal.signal(number, lambda number, _: heard.append(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for late in heard:
        signal.raise_signal(late)


@contextmanager
def _our_semaphores() -> Iterator[None]:
    """Let semaphores made inside be named after this process, so that those it leaves can be told from others'."""
    settings = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    before = settings["semprefix"]
    settings["semprefix"] = f"/cpp-{os.getpid()}"
    try:
        yield
    finally:
        settings["semprefix"] = before


def _start_worker() -> None:
    for number in _NOT_FOR_WORKERS:
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_leave_with_coordinator, daemon=True).start()


def _leave_with_coordinator() -> None:
    """End this worker when the coordinator is gone, however it went: nobody would take its result."""
    coordinator = multiprocessing.parent_process()
    if coordinator is not None:
        coordinator.join()
        os._exit(1)


def _start_fork_server() -> None:
    """Start the fork server deaf to those signals, which else would end it and with it the pool."""
    if threading.current_thread() is not threading.main_thread():
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _NOT_FOR_WORKERS}
    try:
        forkserver.ensure_running()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
