"""Numbers of revision 1. If this test fails because they changed on purpose, raise the revision in declare.py."""

from __future__ import annotations

import numpy as np
from cpp_defects.declare import DEFECTS
from cpp_defects.examples import produce, simulate

from cpp_framework.model import Mask

GOLDEN = {
    "BAD": 156,
    "HOT": 40,
    "COLD": 116,
    "BAD_COLUMN": 77,
    "BLOCKED": 76,
    "boxes": 81,
    "checksum": 6773652,
}


def test_numbers_of_this_revision() -> None:
    assert DEFECTS.revision == 1
    product = produce(simulate())
    found = {reason.name: int(np.count_nonzero(product.mask & np.uint32(reason))) for reason in Mask}
    found = {name: n for name, n in found.items() if n and name is not None}
    assert found | {"boxes": len(product.boxes), "checksum": int(np.flatnonzero(product.mask).sum())} == GOLDEN
