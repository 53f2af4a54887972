"""Flat field for cpp. Importing this package imports the declaration only, never numpy or astropy."""

from __future__ import annotations

from cpp_flat.declare import FLAT
from cpp_framework.declare import CalibrationType
from cpp_framework.hookspecs import hookimpl


@hookimpl
def cpp_calibration_types() -> list[CalibrationType]:
    """Offer the calibration type ``flat``."""
    return [FLAT]
