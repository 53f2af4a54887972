"""Defects for cpp. Importing this package imports the declaration only, never numpy or astropy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cpp_defects.declare import DEFECTS
from cpp_framework.declare import CalibrationType
from cpp_framework.hookspecs import hookimpl

if TYPE_CHECKING:
    import typer


@hookimpl
def cpp_calibration_types() -> list[CalibrationType]:
    """Offer the calibration type ``defects``."""
    return [DEFECTS]


@hookimpl
def cpp_commands(app: typer.Typer) -> None:
    """Add `cpp defects`: region files in and out."""
    from cpp_defects.commands import register

    register(app)
