"""Effects on light: lamp, shutter, vignetting, dust, response of pixels."""

from __future__ import annotations

import numpy as np
import pytest

from cpp_framework.sim import ExposureRequest, simulate


def flat(number=1, **fields):
    return ExposureRequest(
        kind=fields.pop("kind", "flat"), number=number, **{"exposure_time": 10.0, "light": 100.0, **fields}
    )


def test_flats_are_poisson_about_the_true_maps(simcam, only, assembled, in_blocks, standard):
    settings = only(
        "light", "photon_noise", "lamp_drift", "vignetting", "prnu",
        shutter={"middle": 0.5, "corner": -0.2}, dust={"number": 5}, cold_pixels={"fraction": 0.001, "lowest": 0.1},
    )  # fmt: skip
    means, variances = [], []
    for number in range(1, 9):
        raw = simulate(simcam, 0, flat(number), settings, seed=32)
        expected = in_blocks(raw.truth.mean_light(number).astype(float))
        residual = in_blocks(assembled(raw)) - expected
        means.append(residual.sum(axis=1) / np.sqrt(expected.sum(axis=1)))
        variances.append(((residual**2 / expected) - 1).sum(axis=1) / np.sqrt((2 + 1 / expected).sum(axis=1)))
    standard(np.concatenate(means))
    standard(np.concatenate(variances))


def test_vignetting_is_one_in_the_middle_and_less_in_the_corners(simcam, only, assembled):
    lit = assembled(simulate(simcam, 0, flat(), only("light", vignetting={"corner": 0.2, "gradient_x": 0})))
    assert lit[[0, 0, -1, -1], [0, -1, 0, -1]] == pytest.approx(800.0)
    assert lit[99:101, 127:129] == pytest.approx(1000.0, rel=1e-5)
    # Half way to the corner a quarter of the loss.
    y, x = np.ogrid[:200, :256]
    radius = np.hypot(y - 99.5, x - 127.5) / np.hypot(99.5, 127.5)
    np.testing.assert_allclose(lit, 1000 * (1 - 0.2 * radius**2), rtol=1e-5)


def test_the_gradient_is_the_change_across_the_detector(simcam, only, assembled):
    settings = only("light", vignetting={"corner": 0, "gradient_x": 0.1, "gradient_y": -0.2})
    lit = assembled(simulate(simcam, 0, flat(), settings)) / 1000
    assert lit.mean() == pytest.approx(1, rel=1e-5)
    assert np.diff(lit.mean(axis=0)) == pytest.approx(0.1 / 256, rel=0.01)
    assert np.diff(lit.mean(axis=1)) == pytest.approx(-0.2 / 200, rel=0.01)


def test_dust_dims_rings_by_their_depth(simcam, only):
    clean, dusty = (
        simulate(simcam, 0, flat(filter="r"), only("light", dust={"number": n, "depth": 0.1, "radius": 6.0}))
        for n in (0, 3)
    )
    assert np.all(clean.truth.response("r") == 1)
    shadow = 1 - dusty.truth.response("r")
    assert shadow.min() >= 0
    assert shadow.max() == pytest.approx(0.1, abs=0.003)
    # Each ring: depth × ∫ exp(−(r−R)²/2σ²) 2πr dr = depth × 2πR σ √2π, less what is cut at 3 R and at the edges.
    assert shadow.sum() == pytest.approx(3 * 0.1 * 2 * np.pi * 6 * 2 * np.sqrt(2 * np.pi), rel=0.1)


def test_white_response_has_mean_one_and_the_rms_set(simcam, only, in_blocks, standard):
    means, variances = [], []
    for seed in range(8):
        settings = only("light", prnu={"rms": 0.01, "smooth": 0})
        blocks = in_blocks(simulate(simcam, 0, flat(), settings, seed).truth.response().astype(float)) - 1
        means.append(blocks.mean(axis=1) / (0.01 / np.sqrt(800)))
        variances.append((blocks.var(axis=1, ddof=1) / 1e-4 - 1) * np.sqrt(799 / 2))
    standard(np.concatenate(means))
    standard(np.concatenate(variances))


def test_smooth_response_is_smooth_and_of_each_filter_its_own(simcam, only):
    settings = only("light", prnu={"rms": 0, "smooth": 0.01})
    r, g = (simulate(simcam, 0, flat(filter=band), settings).truth.response(band) for band in "rg")
    for response in (r, g):
        assert response.mean(dtype=float) == pytest.approx(1, abs=1e-6)
        assert response.std(dtype=float) == pytest.approx(0.01, rel=1e-3)
        assert np.abs(np.diff(response, axis=1)).max() < 0.05 * 0.01 * 5
    assert abs(np.corrcoef(r.ravel(), g.ravel())[0, 1]) < 0.9


def test_the_white_response_is_the_same_in_all_filters_and_exposures(simcam, only):
    settings = only("light", prnu={"rms": 0.01, "smooth": 0})
    r = simulate(simcam, 0, flat(1, filter="r"), settings).truth.response("r")
    g = simulate(simcam, 0, flat(2, filter="g", kind="science"), settings).truth.response("g")
    np.testing.assert_array_equal(r, g)


@pytest.mark.parametrize("seconds", [0.5, 10.0, 200.0])
def test_the_shutter_adds_the_same_light_whatever_the_exposure_time(simcam, only, assembled, seconds):
    settings = only("light", shutter={"middle": 0.03, "corner": -0.01})
    raw = simulate(simcam, 0, flat(exposure_time=seconds, light=1000.0), settings)
    y, x = np.ogrid[:200, :256]
    squared = ((y - 99.5) ** 2 + (x - 127.5) ** 2) / (99.5**2 + 127.5**2)
    added = assembled(raw) - 1000 * seconds
    np.testing.assert_allclose(added, 1000 * (0.03 - 0.04 * squared), atol=2e-7 * 1000 * seconds + 1e-3)
    np.testing.assert_allclose(raw.truth.shutter, 0.03 - 0.04 * squared, atol=1e-8)


def test_a_shutter_does_not_act_on_dark_charge(simcam, only, assembled):
    settings = only("light", "dark_current", shutter={"middle": 1.0, "corner": 1.0})
    raw = simulate(simcam, 0, ExposureRequest(kind="dark", exposure_time=10.0), settings)
    assert assembled(raw) == pytest.approx(0.2)
    assert "shutter" not in raw.truth.maps


def test_the_lamp_scatters_between_flats(simcam, only, standard):
    settings = only("light", lamp_drift={"rms": 0.02, "slope": 1e-4})
    levels = []
    for number in range(1, 257):
        raw = simulate(simcam, 0, flat(number), settings, seed=7)
        level = raw.truth.exposure.lamp_factor
        for amp in raw.amplifiers.values():
            assert amp.max() == pytest.approx(1000 * level, rel=1e-6)
        levels.append((level - 1 - 1e-4 * (number - 1)) / 0.02)
    standard(np.array(levels))


def test_the_lamp_drifts_from_the_first_exposure_on(simcam, only):
    settings = only("light", lamp_drift={"rms": 0.0, "slope": -0.01})
    levels = [simulate(simcam, 0, flat(number), settings).truth.exposure.lamp_factor for number in (1, 2, 11)]
    assert levels == pytest.approx([1.0, 0.99, 0.9])


def test_the_lamp_is_the_same_for_all_detectors_and_only_flats_see_it(simcam):
    second = simcam.detectors[0].model_copy(update={"id": 1, "name": "S01"})
    camera = simcam.model_copy(update={"detectors": (*simcam.detectors, second)})
    one, other = (simulate(camera, detector, flat(5)) for detector in (0, 1))
    assert one.truth.exposure.lamp_factor == other.truth.exposure.lamp_factor != 1
    assert not np.array_equal(one.truth.response(), other.truth.response())
    assert simulate(camera, 0, flat(5, kind="science")).truth.exposure.lamp_factor == 1
