"""Versions of the software that decides numbers, for provenance."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

from cpp_framework._version import __version__


def software(*distributions: str) -> dict[str, str]:
    """Versions of Python, the platform and the distributions that decide numbers."""
    found = {"python": sys.version.split()[0], "platform": platform.platform(), "cpp-framework": __version__}
    for name in ("numpy", "astropy", "numba", *distributions):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed as a distribution"
    return found
