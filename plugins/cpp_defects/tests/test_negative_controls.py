"""Damaged defects must fail: which check sees what is the table in the README."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from cpp_defects.examples import BAD_COLUMN, DETECTOR, HALF, good, produce, simulate, with_mask
from cpp_defects.examples import example as put_together
from cpp_defects.product import own_pixels
from cpp_defects.verify import verify
from numpy.typing import NDArray

from cpp_framework.model import Check, Mask, Status, VerifyContext

Bits = NDArray[np.uint32]


def without_the_column(mask: Bits) -> Bits:
    left = mask.copy()
    left[:, BAD_COLUMN] = 0
    return left


def grown(mask: Bits) -> Bits:
    more = mask.copy()
    more[np.random.default_rng(1).random(mask.shape) < 0.05] |= np.uint32(Mask.BAD)
    return more


CONTROLS: dict[str, tuple[Callable[[Bits], Bits], str]] = {
    "shifted by a column": (lambda mask: np.roll(mask, 1, axis=1), "X1_completeness"),
    "shifted by a row": (lambda mask: np.roll(mask, 1, axis=0), "X1_completeness"),
    "amplifiers swapped": (lambda mask: np.roll(mask, HALF, axis=1), "X1_completeness"),
    "emptied": (np.zeros_like, "X1_completeness"),
    "a column dropped": (without_the_column, "X1_completeness"),
    "grown to 5 %": (grown, "X3_detector"),
}


def checks(mask: Bits) -> list[Check]:
    return list(verify(*with_mask(mask)))


@pytest.mark.parametrize("name", CONTROLS)
def test_damage_is_found(name: str) -> None:
    damage, check = CONTROLS[name]
    failed = {one.name for one in checks(damage(good()[0].mask)) if one.status == Status.FAIL}
    assert check in failed, failed


@pytest.mark.parametrize("name", [name for name in CONTROLS if name != "a column dropped"])
def test_damage_is_found_without_exposures_against_the_previous_defects(name: str) -> None:
    product, ctx = with_mask(CONTROLS[name][0](good()[0].mask))
    blind = VerifyContext(detector=DETECTOR, config=ctx.config, residuals=ctx.residuals, previous=ctx.previous)
    found = {one.name: one.status for one in verify(product, blind)}
    assert found["X6_persistence"] == Status.FAIL
    assert found["X1_completeness"] == found["X2_purity"] == found["X4_tails"] == Status.NOT_RUN


def test_the_undamaged_defects_pass() -> None:
    assert {check.status for check in checks(good()[0].mask)} == {Status.PASS}


def test_invented_hot_pixels_warn() -> None:
    mask = good()[0].mask.copy()
    mask[100, 10:90] |= np.uint32(Mask.BAD | Mask.HOT)
    (purity,) = [check for check in checks(mask) if check.name == "X2_purity"]
    assert purity.status == Status.WARN


def test_borders_and_hand_made_regions_do_not_count() -> None:
    mask = good()[0].mask.copy()
    mask[:20] |= np.uint32(Mask.BAD | Mask.EDGE)
    mask[50:80, 20:60] |= np.uint32(Mask.BAD | Mask.USER)
    assert np.array_equal(own_pixels(mask), own_pixels(good()[0].mask))
    assert {check.status for check in checks(mask)} == {Status.PASS}


@pytest.mark.parametrize("n", [1, 2])
def test_few_exposures_are_not_enough_for_completeness(n: int) -> None:
    night = simulate(frames=n)
    found = {check.name: check for check in verify(*put_together(night, produce(night)))}
    assert found["X1_completeness"].status == Status.NOT_RUN
    assert "3 exposures" in found["X1_completeness"].skipped
    assert found["X2_purity"].status == Status.PASS
    assert found["X6_persistence"].status == Status.NOT_RUN


def test_few_pixels_are_judged_by_what_they_can_tell() -> None:
    """One of two deviant pixels missed, or one of three kept, is no failure: it could be chance."""
    product, _ = good()
    y, x = np.nonzero(product.mask & np.uint32(Mask.HOT))
    mask = product.mask.copy()
    mask[y[0], x[0]] = 0
    (check,) = [one for one in checks(mask) if one.name == "X1_completeness"]
    assert check.value < 1
    assert check.status == Status.PASS
