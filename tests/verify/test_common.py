"""The checks the core makes on every product: each with an example that passes and one that fails."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cpp_framework.model import (
    AmplifierResult,
    AmplifierStatus,
    Exposure,
    Header,
    ImageProduct,
    InputRecord,
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


def statuses(product: Product, registered: str = "", exposures: tuple[Exposure, ...] = ()) -> dict[str, Status]:
    assert product.header is not None
    checks = list(common_checks(product, registered or product.header.digest, exposures))
    assert tuple(check.name for check in checks) == COMMON
    return {check.name: check.status for check in checks}


def test_a_sound_product_passes() -> None:
    assert set(statuses(image()).values()) == {Status.PASS}
    assert set(statuses(table(1.5)).values()) == {Status.PASS}


def test_another_digest_in_the_index_fails_the_binding() -> None:
    assert statuses(image(), "f" * 64) == {"A1": Status.PASS, "A2": Status.FAIL, "A3": Status.PASS}


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


def exposure(**changes: Any) -> Exposure:
    fields: dict[str, Any] = {
        "instrument": "cam", "detector": 0, "id": "e1", "number": 1, "kind": "flat", "exposure_time": 1.0,
        "dark_time": 1.0, "filter": "r", "begin": 10**18,
    }  # fmt: skip
    return Exposure(**(fields | changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"key": {"detector": 0, "filter": "g"}}, "filter is 'g' in the product and 'r' in exposure e1"),
        ({"key": {"binning": [2, 2]}}, "binning is '2x2' in the product and '1x1' in exposure e1"),
        ({"begin": 10**18 - 1}, "its exposures began at"),
        ({"begin": None}, "the product says no date"),
    ],
)
def test_a_header_that_contradicts_its_exposures_fails_the_provenance(changes: dict[str, Any], said: str) -> None:
    used = InputRecord(exposure="e1", number=1, selection="flat", digest="d")
    fields = {"key": {"detector": 0, "filter": "r", "binning": [1, 1]}, "begin": 10**18, "inputs": (used,)}
    sound = image().with_header(HEADER.model_copy(update=fields))
    assert statuses(sound, exposures=(exposure(),))["A1"] == Status.PASS
    wrong = image().with_header(HEADER.model_copy(update=fields | changes))
    assert wrong.header is not None
    (check, *_) = common_checks(wrong, wrong.header.digest, [exposure()])
    assert check.status == Status.FAIL
    assert said in check.reason


def test_exposures_that_were_not_used_do_not_count_for_the_provenance() -> None:
    left_out = InputRecord(exposure="e1", number=1, selection="flat", digest="d", used=False)
    product = image().with_header(HEADER.model_copy(update={"begin": 5, "inputs": (left_out,)}))
    assert statuses(product, exposures=(exposure(),))["A1"] == Status.PASS


def test_a_key_that_exposures_do_not_have_fails_the_provenance() -> None:
    used = InputRecord(exposure="e1", number=1, selection="flat", digest="d")
    fields = {"key": {"a": 1}, "begin": 10**18, "inputs": (used,)}
    product = image().with_header(HEADER.model_copy(update=fields))
    assert statuses(product, exposures=(exposure(),))["A1"] == Status.FAIL
