"""Where the gain comes from in ADU, and that nothing is judged by a gain that was measured on itself."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from cpp_flat.config import FlatConfig
from cpp_flat.declare import FLAT
from cpp_flat.verify import verify

from cpp_framework.declare import Need
from cpp_framework.model import Check, Status, VerifyContext
from cpp_framework.stats.residuals import held_out_residual

LEVELS = [5e3, 4e3, 6e3, 5e3]
GAIN = 2.5


def verified(plane: Any, name: str, extra: float = 1.0) -> list[Check]:
    """One check of all its amplifiers; the noise of the exposures is ``extra`` times that of photons and readout."""
    if extra > 1:
        rng = np.random.default_rng(1)
        for image, level in zip(plane.images[0], plane.levels, strict=True):
            variance = level / GAIN + image.records["C0"].read_noise ** 2
            image.data += rng.normal(0, np.sqrt((extra - 1) * variance), image.data.shape).astype(np.float32)
    flat, detector = plane.flats()[0], plane.detectors[0]
    frames = [held_out_residual(flat, one.exposure, one.data, one.records) for one in plane.images[0]]
    gains = {amp.name: amp.gain for amp in detector.amplifiers if amp.gain is not None}
    ctx = VerifyContext(detector=detector, config=FlatConfig(), residuals=partial(iter, frames), gains=gains)
    return [check for check in verify(flat, ctx) if check.name == name]


def test_unknown_gain_is_measured_and_said(simulate_plane: Any) -> None:
    plane = simulate_plane([2e4, 1e4, 3e4, 2e4], 4, unit="adu", gain=GAIN)
    (flat,) = plane.flats().values()
    for amp in flat.amplifiers.values():
        gain = amp.values["gain_used"]
        assert abs(gain.value - GAIN) < 4 * gain.error
        assert gain.error < 0.1
        assert "gain from pairs of exposures of this stack" in amp.reason
    pull = (flat.image - plane.response[0]) / flat.error
    assert abs(np.sqrt(np.mean(pull**2)) - 1) < 0.05


@pytest.mark.parametrize(("nominal", "said"), [(2.4, False), (GAIN, False), (3.5, True), (1.0, True)])
def test_a_nominal_gain_that_is_wrong_is_said(simulate_plane: Any, nominal: float, said: bool) -> None:
    plane = simulate_plane([2e4, 1e4, 3e4, 2e4], 4, unit="adu", gain=GAIN, nominal=nominal)
    for amp in plane.flats()[0].amplifiers.values():
        assert amp.values["gain_used"].value == pytest.approx(GAIN, rel=0.1)
        assert ("in the instrument file" in amp.reason) is said


def test_one_exposure_has_the_nominal_gain(simulate_plane: Any) -> None:
    (flat,) = simulate_plane([2e4], 5, unit="adu", gain=GAIN, nominal=2.4).flats().values()
    for amp in flat.amplifiers.values():
        assert amp.values["gain_used"].value == 2.4
        assert "gain from the instrument file" in amp.reason
        assert "outliers cannot be told" in amp.reason


def test_one_exposure_of_a_camera_of_unknown_gain_has_none(simulate_plane: Any) -> None:
    """Differences within one exposure hold the response from pixel to pixel: at 1 % of 20 000 e they say 2.5/3."""
    (flat,) = simulate_plane([2e4], 5, unit="adu", gain=GAIN).flats().values()
    for amp in flat.amplifiers.values():
        assert "gain_used" not in amp.values
        assert "no gain known: errors hold no Poisson noise" in amp.reason


@pytest.mark.parametrize(("extra", "status"), [(1.0, Status.PASS), (1.7, Status.FAIL)])
def test_noise_in_adu_is_judged_by_the_nominal_gain(simulate_plane: Any, extra: float, status: Status) -> None:
    """Judged by the gain of the same pairs, noise 1.7 times too large would look right."""
    plane = simulate_plane(LEVELS, 6, unit="adu", gain=GAIN, nominal=GAIN, shape=(128, 192))
    checks = verified(plane, "F1_noise", extra)
    assert {check.status for check in checks} == {status}
    assert np.mean([check.value for check in checks]) == pytest.approx(extra, rel=0.03)


def test_noise_is_not_judged_without_a_gain(simulate_plane: Any) -> None:
    assert Need.GAIN in next(spec for spec in FLAT.checks if spec.name == "F1_noise").needs
    checks = verified(simulate_plane(LEVELS, 7, unit="adu", gain=GAIN), "F1_noise")
    assert {check.status for check in checks} == {Status.NOT_RUN}
    assert all("no gain is known" in check.skipped for check in checks)


@pytest.mark.parametrize(("unit", "status"), [("adu", Status.NOT_RUN), ("electron", Status.PASS)])
def test_detectors_are_compared_in_electron_only(simulate_plane: Any, unit: str, status: Status) -> None:
    plane = simulate_plane(LEVELS, 8, amplifiers=(2, 2), unit=unit, gain=GAIN if unit == "adu" else 1.0, nominal=GAIN)
    (check,) = verified(plane, "F5_detectors")
    assert check.status == status
