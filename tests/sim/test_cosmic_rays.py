"""Cosmic rays against what is known of their number, charge and shape."""

from __future__ import annotations

import numpy as np
import pytest

from cpp_framework.sim import ExposureRequest, simulate


def dark(number=1, seconds=100.0):
    return ExposureRequest(kind="dark", number=number, exposure_time=seconds)


def test_their_number_is_poisson(simcam, only, standard):
    expected = 10.0 * 200 * 256 * 1e-6 * 100  # per cm² and s, cm², s
    pulls = []
    for number in range(1, 257):
        hits = simulate(simcam, 0, dark(number), only(cosmic_rays={"rate": 10.0}), seed=5).truth.cosmic_rays
        assert np.all(hits["number"] == number)
        # Whole tracks that leave the detector at once are lost: less than 1 in 1000.
        pulls.append((hits["track"].max() + 1 - expected) / np.sqrt(expected))
    standard(np.array(pulls))


def test_their_charge_is_path_times_loss(simcam, only, standard):
    # Pixels so large that whole tracks fall into the one they start in. The flux through a level surface goes as
    # cos³θ, so the mean of 1/cosθ is 4/3 and of its square 2; Moyal's distribution has mean γ + ln 2, variance π²/2.
    settings = only(cosmic_rays={"rate": 2e-6, "pixel": 1e4, "diffusion": 0.0, "thickness": 100.0, "loss": 80.0})
    mean, square = 1 + 0.1 * (np.euler_gamma + np.log(2)), 0.01 * np.pi**2 / 2
    variance = 2 * (mean**2 + square) - (4 / 3 * mean) ** 2
    pulls = []
    for number in range(1, 257):
        hits = simulate(simcam, 0, dark(number, 1000.0), settings, seed=6).truth.cosmic_rays
        charge = np.bincount(hits["track"], hits["electrons"])
        charge = charge[charge > 0] / (100.0 * 80.0)
        pulls.append((charge.mean() - 4 / 3 * mean) / np.sqrt(variance / charge.size))
    standard(np.array(pulls))


def test_tracks_are_connected_and_of_the_expected_length(simcam, only):
    hits = simulate(simcam, 0, dark(1, 1000.0), only(cosmic_rays={"rate": 40.0, "diffusion": 0.0})).truth.cosmic_rays
    lengths = []
    for track in range(hits["track"].max() + 1):
        y, x = (hits[name][hits["track"] == track].astype(float) for name in "yx")
        if y.size == 0:
            continue
        steps = np.maximum(np.abs(y[:, None] - y), np.abs(x[:, None] - x))
        assert y.size == 1 or (np.sort(steps, axis=1)[:, 1] == 1).all()
        lengths.append(np.hypot(y[:, None] - y, x[:, None] - x).max())
    # 10 pixels of thickness × tanθ, of mean π/4 and mean square 1. Half of a track that crosses an edge is lost, and
    # the last eighth of a pixel of every track.
    lost = 0.5 * 10**2 * 2 / np.pi * (1 / 256 + 1 / 200) + 1 / 8
    error = np.std(lengths) / np.sqrt(len(lengths))
    assert np.mean(lengths) == pytest.approx(10 * np.pi / 4 - lost, abs=4 * error)


def test_the_list_is_what_is_in_the_frame(simcam, only, assembled):
    raw = simulate(simcam, 0, dark(3), only(cosmic_rays={"rate": 20.0}))
    expected = np.zeros((200, 256))
    hits = raw.truth.cosmic_rays
    np.add.at(expected, (hits["y"], hits["x"]), hits["electrons"])
    np.testing.assert_array_equal(assembled(raw), expected)
    np.testing.assert_array_equal(raw.truth.cosmic_ray_mask(3), expected > 0)
    assert not raw.truth.cosmic_ray_mask(4).any()


def test_a_bias_frame_has_none(simcam, only):
    assert simulate(simcam, 0, None, only(cosmic_rays={"rate": 1e6})).truth.cosmic_rays.size == 0
