"""cpp: calibration products production for CCD and CMOS cameras."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cpp_framework._version import __version__

__all__ = ["Repository", "Request", "__version__", "in_memory", "open", "read_calibrated"]

if TYPE_CHECKING:
    from cpp_framework.api import Repository, in_memory, open, read_calibrated
    from cpp_framework.plan import Request


def __getattr__(name: str) -> Any:
    # Public names load on first use, so that `import cpp_framework` stays as light as `cpp --help` needs.
    if name in __all__:
        from cpp_framework import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
