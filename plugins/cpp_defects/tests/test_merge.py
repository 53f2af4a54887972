"""Masks are merged by all, any, or enough of them."""

from __future__ import annotations

import numpy as np
import pytest
from cpp_defects.merge import merge_masks

from cpp_framework.errors import IncompatibleError
from cpp_framework.model import Mask

HOT, COLD = np.uint32(Mask.BAD | Mask.HOT), np.uint32(Mask.BAD | Mask.COLD)
A = np.array([[HOT, HOT, HOT, 0]], np.uint32)
B = np.array([[HOT, COLD, 0, 0]], np.uint32)
C = np.array([[HOT, HOT, 0, 0]], np.uint32)
BOTH = HOT | COLD

TABLE = [
    ("and", 0.0, [A, B, C], [HOT, BOTH, 0, 0]),
    ("or", 0.0, [A, B, C], [HOT, BOTH, HOT, 0]),
    ("fraction", 0.7, [A, B, C], [HOT, BOTH, 0, 0]),
    ("fraction", 0.3, [A, B, C], [HOT, BOTH, HOT, 0]),
    ("fraction", 0.5, [A, B], [HOT, BOTH, 0, 0]),
    ("and", 0.0, [A], [HOT, HOT, HOT, 0]),
    ("or", 0.0, [A], [HOT, HOT, HOT, 0]),
    ("fraction", 0.7, [A], [HOT, HOT, HOT, 0]),
    ("and", 0.0, [A, A, A, A, A, A, A], [HOT, HOT, HOT, 0]),
]


@pytest.mark.parametrize(("mode", "fraction", "masks", "wanted"), TABLE)
def test_truth_table(mode: str, fraction: float, masks: list[np.ndarray], wanted: list[int]) -> None:
    assert merge_masks(masks, mode, fraction).tolist() == [[int(bits) for bits in wanted]]


@pytest.mark.parametrize(
    ("masks", "mode", "fraction"),
    [([], "or", 0.5), ([A, A[:, :2]], "or", 0.5), ([A], "xor", 0.5), ([A], "fraction", 1.0), ([A], "fraction", -0.1)],
)
def test_what_cannot_be_merged_is_said(masks: list[np.ndarray], mode: str, fraction: float) -> None:
    with pytest.raises(IncompatibleError, match="merge"):
        merge_masks(masks, mode, fraction)
