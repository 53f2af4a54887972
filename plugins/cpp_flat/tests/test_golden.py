"""Numbers of revision 1. If this test fails because they changed on purpose, raise the revision in declare.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cpp_flat.declare import FLAT

GOLDEN = {
    "pixel": 1.04058194,
    "mean": 0.999987866,
    "error": 0.00295090376,
    "used": 24573,
    "rejected": 3,
    "level": 20004.646,
    "delay": 0.0199797194,
    "throughput": 0.957057623,
    "corner_drop": 0.0236342496,
}


def test_numbers_of_this_revision(simulate_plane: Any) -> None:
    assert FLAT.revision == 1
    plane = simulate_plane(
        [2e4, 1e4, 3e4, 4e4, 2.5e4], 7, times=[1.0, 0.5, 2.0, 4.0, 1.5], delay={0: np.linspace(-0.02, 0.02, 96)[None]}
    )
    plane.images[0][1].amp("C0").data[:] *= np.float32(1.2)
    plane.images[0][2].data[3, 4] += np.float32(50_000)
    (flat,) = plane.flats().values()
    found = {
        "pixel": flat.image[3, 4],
        "mean": np.mean(flat.image, dtype=np.float64),
        "error": np.mean(flat.error, dtype=np.float64),
        "used": flat.used.sum(),
        "rejected": len(flat.rejected),
        "level": flat.scales[0],
        "delay": flat.tables["SHUTTER"]["COEFFICIENT"][1],
        "throughput": flat.amplifiers["C1"].values["throughput"].value,
        "corner_drop": flat.metrics["illumination_corner_drop"].value,
    }
    assert {name: float(value) for name, value in found.items()} == pytest.approx(GOLDEN, rel=1e-6)
