"""What authors of plugins test with: conformance suites of calibration types and stores, and stacks of known truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cpp_framework.testing.base import ContractBrokenError
from cpp_framework.testing.running import run_type, with_header
from cpp_framework.testing.stacks import Stack, make_exposure, make_stack, small_detector
from cpp_framework.testing.suite import CalibrationTypeSuite

if TYPE_CHECKING:
    from cpp_framework.testing.store_suite import StoreSuite

__all__ = [
    "CalibrationTypeSuite",
    "ContractBrokenError",
    "Stack",
    "StoreSuite",
    "make_exposure",
    "make_stack",
    "run_type",
    "small_detector",
    "with_header",
]


def __getattr__(name: str) -> Any:
    if name == "StoreSuite":  # imported when it is wanted: unlike the rest it needs pytest
        from cpp_framework.testing.store_suite import StoreSuite

        return StoreSuite
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
