"""The executor of a run: one of the built-in two, one a plugin offers, or the caller's own."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from types import TracebackType
from typing import Any, Self

from cpp_framework.declare import load
from cpp_framework.errors import NotFoundError
from cpp_framework.execute.processes import ProcessExecutor

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


def make_executor(jobs: int, name: str = "", offers: Mapping[str, str] | None = None) -> Executor:
    """Return an executor for ``jobs`` tasks at a time.

    ``name`` is empty for the built-in choice (serial for one job, else processes), ``serial``, ``processes``, or one
    a plugin offers. BLAS runs on one thread everywhere, which keeps sums the same for every number of jobs.

    Raises
    ------
    NotFoundError
        There is no executor of this name.
    """
    for variable in _BLAS_THREADS:
        os.environ.setdefault(variable, "1")
    chosen = name or ("serial" if jobs == 1 else "processes")
    if chosen == "serial":
        return SerialExecutor()
    if chosen == "processes":
        return ProcessExecutor(jobs)
    if offers and chosen in offers:
        executor: Executor = load(offers[chosen], wanted_by=f"executor {chosen!r}")(jobs)
        return executor
    known = ", ".join(["serial", "processes", *(offers or {})])
    raise NotFoundError(f"no executor {chosen!r}; there are {known}", hint="leave --executor out for the usual choice")


class Workers:
    """The executor of a run, made anew when a killed worker has broken it; a context manager.

    Parameters
    ----------
    jobs : int
        Tasks at a time.
    executor : str or Executor
        A name as for `make_executor`, or an executor of the caller's, which is neither made anew nor closed here.
    offers : mapping
        Executors of plugins, name to import string.
    """

    def __init__(self, jobs: int, executor: str | Executor = "", offers: Mapping[str, str] | None = None) -> None:
        self._make: Callable[[], Executor] | None = None
        if isinstance(executor, str):
            self._make = lambda: make_executor(jobs, executor, offers)
        self._executor = executor if isinstance(executor, Executor) else make_executor(jobs, executor, offers)

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        """Hand out one task. Raises ``concurrent.futures.BrokenExecutor`` if a worker was killed."""
        return self._executor.submit(function, *arguments)

    def renew(self) -> bool:
        """Replace a broken executor; False if it is the caller's, who alone can."""
        if self._make is None:
            return False
        self.close()
        self._executor = self._make()
        return True

    def notice_death(self) -> None:
        """Let the executor break if one of its workers is dead."""
        if isinstance(self._executor, ProcessExecutor):
            self._executor.notice_death()

    def kill(self) -> None:
        """End what runs, at once where that is possible; what an executor of somebody else runs goes on to its end."""
        if isinstance(self._executor, ProcessExecutor) and self._make is not None:
            self._executor.kill()

    def close(self) -> None:
        """End the workers, which have nothing to do any more."""
        self.kill()
        if self._make is not None:
            self._executor.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
