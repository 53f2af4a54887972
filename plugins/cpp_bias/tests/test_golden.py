"""Numbers of revision 2. If this test fails because they changed on purpose, raise the revision in declare.py."""

from __future__ import annotations

import numpy as np
import pytest
from cpp_bias.declare import BIAS
from cpp_bias.product import Bias

from cpp_framework.testing import make_stack, run_type

GOLDEN = {
    "pixel": 1.7606293,
    "mean": 4.32005458,
    "error": 1.99262173,
    "used": 24572,
    "rejected": 4,
    "read_noise": 3.95745077,
}


def test_numbers_of_this_revision() -> None:
    assert BIAS.revision == 2
    stack = make_stack(5, 7)
    stack.images["bias"][1].data += np.float32(20)
    stack.images["bias"][2].data[3, 4] += np.float32(500)
    bias = run_type(BIAS, stack)
    assert isinstance(bias, Bias)
    assert bias.image[3, 4] == pytest.approx(GOLDEN["pixel"], rel=1e-6)
    assert float(np.mean(bias.image, dtype=np.float64)) == pytest.approx(GOLDEN["mean"], rel=1e-6)
    assert float(np.mean(bias.error, dtype=np.float64)) == pytest.approx(GOLDEN["error"], rel=1e-6)
    assert (int(bias.used.sum()), len(bias.rejected)) == (GOLDEN["used"], GOLDEN["rejected"])
    assert bias.provided("read_noise")["A"].value == pytest.approx(GOLDEN["read_noise"], rel=1e-6)
