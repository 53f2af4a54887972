"""Frames in memory hand out what they were given, masked samples as NaN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cpp_framework.errors import ContractError, NotFoundError
from cpp_framework.model import AmplifierRecord, Frames, Mask
from cpp_framework.stats import ArrayFrames


def test_masked_samples_are_nan(frames_of: Callable[..., ArrayFrames]) -> None:
    masks = np.zeros((2, 3, 4), np.uint32)
    masks[0, 1, 2], masks[1, 1, 3] = Mask.SAT, Mask.SUSPECT
    frames: Frames = frames_of(np.ones((2, 3, 4)), masks=masks)
    rows = frames.rows(1, 3)
    assert rows.dtype == np.float32
    assert np.argwhere(np.isnan(rows)).tolist() == [[0, 0, 2]]
    np.testing.assert_array_equal(frames.masks(1, 3), masks[:, 1:3])


def test_without_masks_and_records_all_is_good_and_unknown(frames_of: Callable[..., ArrayFrames]) -> None:
    frames = frames_of(np.ones((2, 3, 4)))
    assert not frames.masks(0, 2).any()
    assert frames.masks(0, 2).shape == (2, 2, 4)
    assert frames.records("A0") == [AmplifierRecord(), AmplifierRecord()]
    with pytest.raises(NotFoundError, match="A0"):
        frames.records("A9")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"samples": np.zeros((2, 3, 5), np.float32)}, "samples"),
        ({"samples": np.zeros((2, 3, 4))}, "samples"),
        ({"masks": np.zeros((2, 3, 4), np.uint8)}, "masks"),
        ({"records": [{}]}, "records"),
    ],
)
def test_what_does_not_fit_is_refused(
    frames_of: Callable[..., ArrayFrames], wrong: dict[str, Any], message: str
) -> None:
    good = frames_of(np.zeros((2, 3, 4)))
    given = {"samples": np.zeros((2, 3, 4), np.float32)} | wrong
    with pytest.raises(ContractError, match=message):
        ArrayFrames(detector=good.detector, exposures=good.exposures, **given)
