"""Boxes cover exactly what is masked, without overlap, and few of them suffice."""

from __future__ import annotations

import numpy as np
import pytest
from cpp_defects.boxes import boxes_of, count
from cpp_defects.product import REASONS, make_defects, reason_codes, rendered
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from cpp_framework.model import Mask

MAPS = arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 3))


@given(MAPS)
def test_boxes_render_exactly_and_do_not_overlap(codes: NDArray[np.uint8]) -> None:
    boxes = boxes_of(codes)
    assert np.array_equal(boxes.render(codes.shape), codes)
    assert count(boxes.corners, codes.shape).max(initial=0) <= 1
    assert boxes.corners.dtype == np.int64
    order = boxes.corners[:, [1, 0]].tolist()
    assert order == sorted(order)


@pytest.mark.parametrize("density", [0.001, 0.1, 0.6])
def test_large_random_masks(density: float) -> None:
    rng = np.random.default_rng(1)
    codes = (rng.random((700, 900)) < density) * rng.integers(1, 11, (700, 900)).astype(np.uint8)
    codes[:, 100] = 4
    codes[300:320] = 9
    assert np.array_equal(boxes_of(codes).render(codes.shape), codes)


def test_boxes_are_few() -> None:
    codes = np.zeros((100, 120), np.uint8)
    codes[:, 30:33] = 1
    assert boxes_of(codes).corners.tolist() == [[30, 0, 3, 100]]
    codes[50, :] = 1
    assert len(boxes_of(codes).corners) == 3
    codes[:] = 1
    assert boxes_of(codes).corners.tolist() == [[0, 0, 120, 100]]


def test_two_boxes_that_overlap_by_a_pixel_are_three() -> None:
    codes = np.zeros((20, 20), np.uint8)
    codes[2:7, 2:7] = 1
    codes[6:11, 6:11] = 1
    assert len(boxes_of(codes).corners) == 3


@pytest.mark.parametrize("turned", [False, True])
def test_a_comb_is_its_back_and_its_teeth(turned: bool) -> None:
    codes = np.zeros((64, 64), np.uint8)
    codes[:, ::2] = 1
    codes[0] = 1
    assert len(boxes_of(codes.T.copy() if turned else codes).corners) == 33


def test_nothing_masked_is_an_empty_table() -> None:
    product = make_defects(np.zeros((8, 9), np.uint32), {})
    assert len(product.tables["REGIONS"]) == 0
    assert product.boxes.shape == (0, 4)
    assert product.boxes.dtype == np.int64


@given(arrays(np.uint32, (7, 9), elements=st.sampled_from([0, *[int(Mask.BAD | reason) for reason in REASONS]])))
def test_the_table_of_a_product_renders_its_reasons(mask: NDArray[np.uint32]) -> None:
    product = make_defects(mask, {})
    assert np.array_equal(rendered(product.tables["REGIONS"], mask.shape), reason_codes(mask))
    assert np.array_equal(rendered(product.tables["REGIONS"], mask.shape) > 0, mask > 0)


def test_a_hot_pixel_does_not_cut_a_bad_column() -> None:
    mask = np.zeros((50, 20), np.uint32)
    mask[:, 7] = Mask.BAD | Mask.BAD_COLUMN
    mask[25, 7] |= np.uint32(Mask.HOT)
    product = make_defects(mask, {})
    assert [tuple(row) for row in product.tables["REGIONS"]] == [(7, 0, 1, 50, "BAD_COLUMN")]
    assert product.mask[25, 7] & Mask.HOT
