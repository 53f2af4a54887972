"""Numbers of revision 1. If this test fails because they changed on purpose, raise the revision in declare.py."""

from __future__ import annotations

import numpy as np
import pytest
from cpp_dark.declare import DARK
from cpp_dark.examples import produce, simulate

GOLDEN = {
    "pixel": -0.0274454337,
    "mean": 0.0642165476,
    "error": 0.0369180035,
    "used": 65459,
    "rejected": 63,
    "median": 0.0247314206,
    "p95": 0.0337629543,
}


def test_numbers_of_this_revision() -> None:
    assert DARK.revision == 1
    stack = simulate((30.0, 30.0, 60.0, 60.0, 120.0), seed=7)
    stack.samples[1] += np.float32(20)
    stack.samples[2, 3, 4] += np.float32(500)
    dark = produce(stack)
    values = dark.amplifiers["A"].values
    assert set(dark.refused) == {"dark-1"}
    assert dark.image[3, 4] == pytest.approx(GOLDEN["pixel"], rel=1e-6)
    assert float(np.mean(dark.image, dtype=np.float64)) == pytest.approx(GOLDEN["mean"], rel=1e-6)
    assert float(np.mean(dark.error, dtype=np.float64)) == pytest.approx(GOLDEN["error"], rel=1e-6)
    assert (int(dark.used.sum()), len(dark.rejected)) == (GOLDEN["used"], GOLDEN["rejected"])
    assert values["median"].value == pytest.approx(GOLDEN["median"], rel=1e-6)
    assert values["p95"].value == pytest.approx(GOLDEN["p95"], rel=1e-6)
