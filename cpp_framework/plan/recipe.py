"""The recipe digest: what would make a product. Same recipe and an intact product means up to date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cpp_framework.camera.instrument import Instrument
from cpp_framework.declare import CalibrationType
from cpp_framework.model.identity import digest_of
from cpp_framework.plan.unit import Need, PlannedExposure


def recipe_of(
    calibration: CalibrationType,
    label: str,
    instrument: Instrument,
    detector: int,
    key: Mapping[str, Any],
    inputs: Mapping[str, Sequence[PlannedExposure]],
    needs: Mapping[str, Need],
    settings: Mapping[str, Any],
    without: Sequence[str] = (),
) -> str:
    """SHA-256 over everything that decides the content (DESIGN §4 "Recipe digest").

    Limits, header maps, dates and hosts are not in it. A need enters with its recipe, or with its content digest
    where it was imported and has none.
    """
    left_out = {"without": sorted(without)} if without else {}
    return digest_of(
        {
            **left_out,
            "type": calibration.name,
            "revision": calibration.revision,
            "label": label,
            "settings": dict(settings),
            "instrument": detector_geometry(instrument, detector),
            "key": {name: _plain(value) for name, value in key.items()},
            "inputs": {name: [one.digest for one in selection] for name, selection in inputs.items()},
            "needs": {name: need.record.recipe or need.record.digest for name, need in needs.items()},
        }
    )


def measurement_recipe(unit_recipe_parts: Mapping[str, Any], digests: Sequence[str]) -> str:
    """Digest of what makes one measurement: the shared parts of its unit and the raw bytes it reads."""
    return digest_of({**unit_recipe_parts, "raws": list(digests)})


def measurement_parts(
    calibration: CalibrationType,
    instrument: Instrument,
    detector: int,
    needs: Mapping[str, Need],
    settings: Mapping[str, Any],
    without: Sequence[str] = (),
) -> dict[str, Any]:
    """What all measurements of one unit share."""
    left_out = {"without": sorted(without)} if without else {}
    return {
        **left_out,
        "measure": calibration.measure,
        "type": calibration.name,
        "revision": calibration.revision,
        "settings": dict(settings),
        "instrument": detector_geometry(instrument, detector),
        "needs": {name: need.record.recipe or need.record.digest for name, need in needs.items()},
    }


def detector_geometry(instrument: Instrument, detector: int) -> dict[str, Any]:
    """Geometry and nominal electronics of one detector, so that editing another one changes no recipe."""
    geometry = instrument.geometry()
    geometry["detectors"] = [layout for layout in geometry["detectors"] if layout["id"] == detector]
    return geometry


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
