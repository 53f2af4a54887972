"""What authors of plugins test with: the conformance suite of a calibration type, and small stacks with known truth."""

from cpp_framework.testing.base import ContractBrokenError
from cpp_framework.testing.running import run_type, with_header
from cpp_framework.testing.stacks import Stack, make_exposure, make_stack, small_detector
from cpp_framework.testing.suite import CalibrationTypeSuite

__all__ = [
    "CalibrationTypeSuite",
    "ContractBrokenError",
    "Stack",
    "make_exposure",
    "make_stack",
    "run_type",
    "small_detector",
    "with_header",
]
