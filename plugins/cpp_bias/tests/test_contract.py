"""The bias keeps the contract of a calibration type."""

from cpp_framework.testing import CalibrationTypeSuite


class TestBias(CalibrationTypeSuite):
    calibration_type = "bias"
