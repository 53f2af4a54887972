"""Bridge from cpp to Rubin's Butler. Importing this package imports neither Butler nor numpy."""

from __future__ import annotations

from cpp_framework.hookspecs import hookimpl


@hookimpl
def cpp_stores() -> dict[str, str]:
    """Offer the export to a Butler repository."""
    return {"butler": "cpp_butler.export:export_repository"}
