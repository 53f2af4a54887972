"""How this framework compiles a kernel. Import it late: it imports numba."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from cpp_framework.stats.cache import prepare_numba_cache

prepare_numba_cache()  # numba fixes its cache folder when it is imported

import numba  # noqa: E402

P = ParamSpec("P")
R = TypeVar("R")


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function on its first call: cached on disk, GIL released, sums in the order they are written.

    Division by zero gives infinity or NaN, as in numpy: a check for it would keep loops from using SIMD.
    """
    compiled: Callable[P, R] = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    return compiled


def reduction_kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile like `kernel`, but let sums be reassociated so that they use SIMD. NaN and infinity keep their meaning.

    The order of a sum is then fixed by the compiled code: the same on one machine type with one set of versions.
    """
    compiled: Callable[P, R] = numba.njit(
        cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"}
    )(function)
    return compiled
