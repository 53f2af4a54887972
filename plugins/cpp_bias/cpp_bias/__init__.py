"""Master bias for cpp. Importing this package imports the declaration only, never numpy or astropy."""

from __future__ import annotations

from cpp_bias.declare import BIAS
from cpp_framework.declare import CalibrationType
from cpp_framework.hookspecs import hookimpl


@hookimpl
def cpp_calibration_types() -> list[CalibrationType]:
    """Offer the calibration type ``bias``."""
    return [BIAS]
