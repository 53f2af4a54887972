"""The checks the core makes on every product: each with an example that passes and one that fails."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cpp_framework.model import (
    AmplifierResult,
    AmplifierStatus,
    Header,
    ImageProduct,
    Mask,
    Measured,
    Product,
    Status,
    TableProduct,
)
from cpp_framework.verify.common import COMMON, common_checks

HEADER = Header(id="i", type="t", revision=1, instrument="cam", detector=0, recipe="r")


def image(**changes: Any) -> ImageProduct:
    plane = np.zeros((4, 5), np.float32)
    fields: dict[str, Any] = {
        "image": plane,
        "error": plane + 1,
        "mask": plane.astype(np.uint32),
        "used": plane.astype(np.uint16),
        "unit": "adu",
    }
    return ImageProduct(**(fields | changes)).with_header(HEADER)


def table(value: float, status: AmplifierStatus = AmplifierStatus.OK) -> TableProduct:
    amplifiers = {"A": AmplifierResult(status=status, values={"gain": Measured(value=value, unit="electron/adu")})}
    return TableProduct(amplifiers=amplifiers).with_header(HEADER)


def statuses(product: Product, registered: str = "") -> dict[str, Status]:
    assert product.header is not None
    checks = list(common_checks(product, registered or product.header.digest))
    assert tuple(check.name for check in checks) == COMMON
    return {check.name: check.status for check in checks}


def test_a_sound_product_passes() -> None:
    assert set(statuses(image()).values()) == {Status.PASS}
    assert set(statuses(table(1.5)).values()) == {Status.PASS}


def test_another_digest_in_the_index_fails_the_binding() -> None:
    assert statuses(image(), "f" * 64) == {"A2": Status.FAIL, "A3": Status.PASS}


def test_content_that_is_not_what_the_header_says_fails_the_binding() -> None:
    product = image()
    product.image.flags.writeable = True
    product.image[1, 1] = 7
    assert statuses(product)["A2"] == Status.FAIL


@pytest.mark.parametrize("plane", ["image", "error"])
def test_nan_fails_unless_it_is_masked(plane: str) -> None:
    broken = np.ones((4, 5), np.float32)
    broken[2, 3] = np.nan
    mask = np.zeros((4, 5), np.uint32)
    assert statuses(image(**{plane: broken.copy()}))["A3"] == Status.FAIL
    mask[2, 3] = Mask.NO_DATA
    assert statuses(image(**{plane: broken.copy()}, mask=mask))["A3"] == Status.PASS


def test_a_value_that_is_not_finite_fails_unless_its_amplifier_did() -> None:
    assert statuses(table(np.nan))["A3"] == Status.FAIL
    assert statuses(table(np.nan, AmplifierStatus.FAILED))["A3"] == Status.PASS
