"""The contract of a calibration type as an inheritable test class.

A plugin's whole conformance test::

    from cpp_framework.testing import CalibrationTypeSuite

    class TestBias(CalibrationTypeSuite):
        calibration_type = "bias"

The getters of `SuiteBase` can be overridden: what stack a type is fed, which products it needs, and how its
estimates compare with the truth.
"""

from __future__ import annotations

from cpp_framework.testing.checks import CheckRules
from cpp_framework.testing.correctors import CorrectorRules
from cpp_framework.testing.declaration import DeclarationRules
from cpp_framework.testing.degradation import DegradationRules
from cpp_framework.testing.functions import FunctionRules
from cpp_framework.testing.truth import TruthRules


class CalibrationTypeSuite(DeclarationRules, FunctionRules, CheckRules, CorrectorRules, TruthRules, DegradationRules):
    """Every rule of the contract. Set ``calibration_type`` to a type's name or its declaration."""
