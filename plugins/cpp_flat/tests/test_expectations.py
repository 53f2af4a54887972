"""The expectations of the checks are exact: pulls over independent stacks of mixed levels.

Of each stack one exposure is judged, as held-out residuals of one stack are not independent. 10 statistics: the
limits give all of them together a false-alarm rate of 1 %.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import pytest
from cpp_flat.config import FlatConfig
from cpp_flat.response import pixel_response
from cpp_flat.verify import verify
from numpy.typing import NDArray

from cpp_framework.model import Check, VerifyContext
from cpp_framework.stats.residuals import held_out_residual

pytestmark = pytest.mark.slow

SIGMA = 3.29
STACKS = 64
LEVELS = (4e3, 3e4, 8e3, 5e4, 1.5e4)
PRNU = 0.01


@pytest.fixture(scope="module")
def judged(simulate_plane: Any) -> tuple[list[list[Check]], NDArray[np.float64]]:
    """Checks of independent stacks, and the pulls of the pixel-to-pixel response of one amplifier of each."""
    found, pulls = [], []
    for seed in range(STACKS):
        plane = simulate_plane(LEVELS, 5000 + seed, shape=(96, 96), prnu=PRNU)
        (flat,) = plane.flats().values()
        detector = plane.detectors[0]
        frames = [held_out_residual(flat, one.exposure, one.data, one.records) for one in plane.images[0]]
        ctx = VerifyContext(detector=detector, config=FlatConfig(), residuals=partial(iter, frames))
        found.append(list(verify(flat, ctx)))
        amp = detector.amplifiers[seed % 2]
        measured, true = pixel_response(flat, amp), high_pass(plane.response[0][amp.box.slices])
        assert measured is not None
        pulls.append((measured.value - float(np.std(true, ddof=1))) / (measured.error or 0.0))
    return found, np.array(pulls)


def high_pass(response: NDArray[np.float64]) -> NDArray[np.float64]:
    """The response over the simulated light, which is smooth."""
    y, x = np.mgrid[: response.shape[0], : response.shape[1]]
    design = np.stack([(x**i * y**j).ravel() for i in range(3) for j in range(3)], axis=1)
    smooth = design @ np.linalg.lstsq(design, response.ravel(), rcond=None)[0]
    return response / smooth.reshape(response.shape)


def of_one_exposure(found: list[list[Check]], name: str) -> NDArray[np.float64]:
    """Pull of the check in one exposure of each stack, another one each time."""
    pulls = []
    for seed, checks in enumerate(found):
        exposure = f"flat-{seed % len(LEVELS)}"
        one = next(check for check in checks if check.name == name and check.exposure in (exposure, ""))
        assert one.z is not None
        pulls.append(one.z)
    return np.array(pulls)


def assert_honest(pulls: NDArray[np.float64], scale: float = 1.0, bias: float = 0.0) -> None:
    assert abs(pulls.mean()) < SIGMA * scale / math.sqrt(pulls.size) + bias
    assert abs(np.std(pulls) / scale - 1) < SIGMA / math.sqrt(2 * pulls.size)


@pytest.mark.parametrize("name", ["F1_noise", "F3_boundaries", "F7_halves"])
def test_checks_expect_what_noise_does(judged: Any, name: str) -> None:
    assert_honest(of_one_exposure(judged[0], name))


def test_percentiles_of_blocks(judged: Any) -> None:
    """Order statistics by Blom are good to a tenth of the scatter."""
    assert_honest(of_one_exposure(judged[0], "F2_flatness"), bias=0.1)


def test_level_is_bound_by_its_own_lamp_level(judged: Any) -> None:
    """The lamp level was fitted to the same exposure: of two equal amplifiers the mean keeps half of the variance."""
    assert_honest(of_one_exposure(judged[0], "F2_level"), scale=math.sqrt(0.5))


def test_pixel_to_pixel_response_is_that_of_the_truth(judged: Any) -> None:
    """The truth is the scatter of these very pixels, so the pulls hold the photon noise only, half of the error."""
    pulls = judged[1]
    assert abs(pulls.mean()) < 0.3
    assert 0.3 < np.std(pulls) < 1.0
