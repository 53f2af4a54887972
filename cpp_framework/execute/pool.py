"""The two built-in executors: this process, or a pool of processes started from a clean fork server."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from multiprocessing import forkserver
from typing import Any

from cpp_framework.errors import NotFoundError

_PRELOAD = ["cpp_framework.run.work"]
_BLAS_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class SerialExecutor(Executor):
    """Runs each task at once, in this process, when it is submitted."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run ``fn`` and return its finished future."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # a future carries whatever its task raised
            future.set_exception(error)
        return future


def _start_worker() -> None:
    # Ctrl-C reaches every process of the terminal; only the coordinator decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_coordinator, daemon=True).start()


def _leave_with_coordinator() -> None:
    """End this worker when the coordinator is gone, however it went: nobody would take its result."""
    coordinator = multiprocessing.parent_process()
    if coordinator is not None:
        coordinator.join()
        os._exit(1)


def _start_fork_server() -> None:
    """Start the fork server deaf to Ctrl-C, which else would meet it while it imports and print its traceback."""
    if threading.current_thread() is not threading.main_thread():
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, before)


def make_executor(jobs: int, name: str = "", offers: dict[str, str] | None = None) -> Executor:
    """Return an executor for ``jobs`` tasks at a time.

    ``name`` is empty for the built-in choice (serial for one job, else processes), ``serial``, ``processes``, or one
    a plugin offers. Processes come from a fork server that has loaded the numerical modules once, so that a worker
    starts in milliseconds and never inherits a thread or a database handle. BLAS runs on one thread everywhere,
    which keeps sums the same for every number of jobs.
    """
    for variable in _BLAS_THREADS:
        os.environ.setdefault(variable, "1")
    chosen = name or ("serial" if jobs == 1 else "processes")
    if chosen == "serial":
        return SerialExecutor()
    if chosen == "processes":
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_PRELOAD)
        _start_fork_server()
        return ProcessPoolExecutor(jobs, mp_context=context, initializer=_start_worker)
    if offers and chosen in offers:
        from cpp_framework.declare import load

        executor: Executor = load(offers[chosen], wanted_by=f"executor {chosen!r}")(jobs)
        return executor
    known = ", ".join(["serial", "processes", *(offers or {})])
    raise NotFoundError(f"no executor {chosen!r}; there are {known}", hint="leave --executor out for the usual choice")
