"""Charge without light: dark current, hot and unstable pixels, glow."""

from __future__ import annotations

import numpy as np
import pytest

from cpp_framework.errors import ConfigError
from cpp_framework.sim import ExposureRequest, SimSettings, simulate

DARK = ExposureRequest(kind="dark", exposure_time=100.0)


def dark(number=1, **fields):
    return ExposureRequest(kind="dark", number=number, **{"exposure_time": 100.0, **fields})


def test_dark_frames_are_poisson_about_the_true_maps(simcam, only, assembled, in_blocks, standard):
    settings = only(
        "photon_noise",
        dark_current={"rate": 0.5},
        hot_pixels={"fraction": 0.001},
        unstable_pixels={"fraction": 0.01},
        glow={"rate": 3.0},
    )
    means, variances = [], []
    for number in range(1, 9):
        raw = simulate(simcam, 0, dark(number), settings, seed=31)
        expected = in_blocks(raw.truth.mean_dark(number).astype(float))
        residual = in_blocks(assembled(raw)) - expected
        means.append(residual.sum(axis=1) / np.sqrt(expected.sum(axis=1)))
        # (x − m)²/m of a Poisson variable has mean 1 and variance 2 + 1/m.
        variances.append(((residual**2 / expected) - 1).sum(axis=1) / np.sqrt((2 + 1 / expected).sum(axis=1)))
    standard(np.concatenate(means))
    standard(np.concatenate(variances))


def test_the_charge_is_rate_times_dark_time(simcam, only, assembled):
    settings = only(dark_current={"rate": 0.3}, hot_pixels={"fraction": 0.002, "lowest": 5, "highest": 50})
    short, long = (simulate(simcam, 0, dark(exposure_time=t), settings) for t in (10.0, 400.0))
    np.testing.assert_allclose(assembled(long), 40 * assembled(short), rtol=1e-5)
    hot = short.truth.defects_of("hot")
    assert np.all((hot["value"] >= 5) & (hot["value"] <= 50))
    expected = np.full(short.truth.shape, 0.3)
    expected[hot["y"], hot["x"]] += hot["value"]
    np.testing.assert_allclose(assembled(short), 10 * expected, rtol=1e-5)
    np.testing.assert_allclose(short.truth.dark_rate, expected, rtol=1e-5)
    assert short.truth.defect_mask("hot").sum() == hot.size == np.unique(hot[["y", "x"]]).size


def test_hot_pixels_are_that_many_and_even_in_logarithm(simcam, only, standard):
    settings = only(hot_pixels={"fraction": 0.002, "lowest": 10.0, "highest": 1000.0})
    counts, places = [], []
    for seed in range(256):
        hot = simulate(simcam, 0, DARK, settings, seed).truth.defects_of("hot")
        counts.append((hot.size - 102.4) / np.sqrt(102.4 * 0.998))
        places.append((np.log10(hot["value"] / 10.0) / 2).mean() - 0.5)
        places[-1] *= np.sqrt(12 * hot.size)
    standard(np.array(counts))
    standard(np.array(places))


def test_thermal_charge_doubles_with_temperature_and_glow_does_not(simcam, only, assembled):
    settings = only(
        "hot_pixels",
        dark_current={"rate": 0.1, "doubling": 7.0},
        glow={"rate": 2.0},
        unstable_pixels={"fraction": 0.01},
    )
    cold, warm = (simulate(simcam, 0, dark(temperature=t), settings) for t in (-100.0, -86.0))
    assert (cold.truth.exposure.dark_factor, warm.truth.exposure.dark_factor) == (1.0, 4.0)
    np.testing.assert_array_equal(cold.truth.dark_rate, warm.truth.dark_rate)
    glow = 100.0 * cold.truth.glow
    np.testing.assert_allclose(assembled(warm) - glow, 4 * (assembled(cold) - glow), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(warm.truth.mean_dark(1), assembled(warm), rtol=1e-5)


@pytest.mark.parametrize(
    ("place", "peak", "far"),
    [
        ({"x": 0.0, "y": 0.0}, (0, 0), (30, 40)),
        ({"x": 1.0, "y": 1.0}, (199, 255), (169, 215)),
        ({"x": None, "y": 0.0}, (0, 17), (50, 200)),
        ({"x": 1.0, "y": None}, (100, 255), (3, 205)),
    ],
    ids=str,
)
def test_glow_falls_off_from_a_corner_or_an_edge(simcam, only, assembled, place, peak, far):
    glow = assembled(simulate(simcam, 0, DARK, only(glow={"rate": 2.0, "scale": 25.0, **place})))
    assert glow[peak] == pytest.approx(200.0)
    assert glow[far] == pytest.approx(200.0 * np.exp(-2.0)), "50 pixels away"


def test_unstable_pixels_have_two_states(simcam, only, assembled, standard):
    settings = only(unstable_pixels={"fraction": 0.004, "rate": 2.0, "duty": 0.3})
    pixels = simulate(simcam, 0, DARK, settings, seed=3).truth.defects_of("unstable")
    pulls = []
    for number in range(1, 257):
        raw = simulate(simcam, 0, dark(number), settings, seed=3)
        charge = assembled(raw)
        seen = charge[pixels["y"], pixels["x"]]
        assert set(np.unique(seen)) <= {0.0, 200.0}
        assert (charge > 0).sum() == (seen > 0).sum() == raw.truth.unstable.size
        pulls.append(((seen > 0).sum() - 0.3 * pixels.size) / np.sqrt(0.21 * pixels.size))
    standard(np.array(pulls))


def test_more_charge_than_can_be_counted_is_refused(simcam):
    with pytest.raises(ConfigError, match="inf electron in a pixel of exposure 1"):
        simulate(simcam, 0, DARK, SimSettings.model_validate({"dark_current": {"rate": 1e300}}))


def test_a_bias_frame_has_no_dark_charge(simcam):
    on = SimSettings.model_validate(
        {"glow": {"rate": 9.0}, "unstable_pixels": {"fraction": 0.1}, "dark_current": {"rate": 50.0}}
    )
    off = SimSettings(off=frozenset({"glow", "unstable_pixels", "dark_current", "hot_pixels", "cosmic_rays"}))
    one, other = simulate(simcam, settings=on), simulate(simcam, settings=off)
    for name, array in one.amplifiers.items():
        np.testing.assert_array_equal(array, other.amplifiers[name])
    assert one.truth.maps.keys() == {"bias_structure"}
    assert one.truth.defects.size == 0
