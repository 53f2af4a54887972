"""Checks of what production needs: compiled kernels and worker processes."""

from __future__ import annotations

import sys
import time

from cpp_framework.doctor.finding import Answer, fail, ok, warn
from cpp_framework.execute import make_executor
from cpp_framework.stats.cache import prepare_numba_cache, problem_writing, wanted_folder

_PRELOADED = "cpp_framework.run.work"
_PATIENCE = 120.0
"""Seconds a worker may take to answer: loading numba from a slow disk takes long."""
_LEVEL = 7.0


def check_kernels() -> Answer:
    """Whether kernels can be compiled, are kept for the next run, and compute what they should."""
    wanted = wanted_folder()
    problem = problem_writing(wanted) if wanted else "this user has no home folder"
    folder = prepare_numba_cache()
    start = time.perf_counter()
    import numpy as np

    from cpp_framework.stats import clipped_moments

    found = clipped_moments(np.full(100, _LEVEL))
    seconds = time.perf_counter() - start
    if (found.n, found.mean) != (100, _LEVEL):
        return fail(
            f"a kernel found the mean {found.mean} of {found.n} values, instead of {_LEVEL} of 100",
            f"empty {folder}; if that does not help, install numba and numpy anew",
        )
    if problem:
        return warn(
            f"kernels are compiled anew in every run: {problem}", "export NUMBA_CACHE_DIR=FOLDER that can be written"
        )
    return ok(f"a kernel was ready in {seconds:.1f} s; compiled ones are kept in {folder}")


def check_workers() -> Answer:
    """Whether worker processes start, and find the numerical modules loaded."""
    start = time.perf_counter()
    with make_executor(1, "processes") as pool:
        loaded = pool.submit(_has_loaded, _PRELOADED).result(timeout=_PATIENCE)
        first = time.perf_counter() - start
    said = f"a worker answered after {first:.1f} s"
    if not loaded:
        return warn(
            f"{said}, but its fork server has not loaded {_PRELOADED}: every worker loads it itself",
            f"{sys.executable} -c 'import {_PRELOADED}' tells why it cannot be loaded",
        )
    return ok(said)


def _has_loaded(module: str) -> bool:
    """Whether this process has a module already. Runs in a worker."""
    return module in sys.modules
