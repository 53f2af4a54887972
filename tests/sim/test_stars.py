"""Stars: light, places and shapes."""

from __future__ import annotations

import numpy as np
import pytest

from cpp_framework.sim import ExposureRequest, simulate


def science(number=1, **fields):
    return ExposureRequest(kind="science", number=number, **{"exposure_time": 10.0, "light": 5.0, **fields})


def around(frame, x, y, reach=12):
    return frame[round(y) - reach : round(y) + reach + 1, round(x) - reach : round(x) + reach + 1]


GRID = [(20 + 27 * i + 0.37 * j, 20 + 27 * j - 0.21 * i, 2000.0) for i in range(9) for j in range(6)]


def test_fluxes_are_poisson_about_those_injected(simcam, only, assembled, standard):
    settings = only("light", "photon_noise", stars={"listed": GRID})
    pulls = []
    for number in range(1, 7):
        raw = simulate(simcam, 0, science(number), settings, seed=8)
        frame = assembled(raw)
        assert raw.truth.stars.size == len(GRID)
        for star in raw.truth.stars:
            aperture = around(frame, star["x"], star["y"])
            sky = 50.0 * aperture.size
            pulls.append((aperture.sum() - sky - star["electrons"]) / np.sqrt(sky + star["electrons"]))
    standard(np.array(pulls))


@pytest.mark.parametrize("fwhm", [0.8, 3.0])
def test_pixels_hold_the_integral_of_the_gaussian(simcam, only, assembled, fwhm):
    x, y = 60.31, 41.77
    frame = assembled(simulate(simcam, 0, science(), only(stars={"listed": [(x, y, 1e5)], "fwhm": fwhm})))
    sigma = fwhm / 2.3548
    fine = (np.arange(200 * 41) + 0.5) / 200 - 0.5
    v, u = (np.exp(-(((fine + round(centre) - 20 - centre) / sigma) ** 2) / 2) for centre in (y, x))
    expected = np.outer(v.reshape(41, 200).sum(axis=1), u.reshape(41, 200).sum(axis=1))
    expected *= 1e5 / (2 * np.pi * sigma**2) / 200**2
    np.testing.assert_allclose(around(frame, x, y, 20), expected, atol=0.05, rtol=1e-4)
    assert frame.sum() == pytest.approx(1e5, rel=1e-6)


def test_a_star_off_the_edge_gives_the_part_that_is_on_the_detector(simcam, only, assembled):
    listed = [(-0.5, 100.0, 1000.0), (255.5, 199.5, 1000.0), (-60.0, 10.0, 1e6)]
    frame = assembled(simulate(simcam, 0, science(), only(stars={"listed": listed})))
    assert frame[:, :128].sum() == pytest.approx(500.0, rel=1e-5)
    assert frame[:, 128:].sum() == pytest.approx(250.0, rel=1e-5)


def test_the_same_stars_are_in_every_exposure_and_dithers_move_all_alike(simcam, only):
    one, two = (simulate(simcam, 0, science(n), only(stars={"dither": 3.0})).truth.stars for n in (1, 2))
    np.testing.assert_array_equal(one["electrons"], two["electrons"])
    dx, dy = two["x"] - one["x"], two["y"] - one["y"]
    assert np.ptp(dx) < 1e-9 > np.ptp(dy)
    assert abs(dx[0]) > 0.01
    assert np.all((one["electrons"] >= 1e3) & (one["electrons"] <= 1e5))


def test_star_light_goes_through_response_and_shutter(simcam, only, assembled):
    settings = only(stars={"listed": [(0.0, 0.0, 1e5)], "fwhm": 1.0}, vignetting={"corner": 0.2, "gradient_x": 0})
    bare = assembled(simulate(simcam, 0, science(), only(stars={"listed": [(0.0, 0.0, 1e5)], "fwhm": 1.0})))
    dimmed = simulate(simcam, 0, science(filter="r"), settings)
    np.testing.assert_allclose(assembled(dimmed), bare * dimmed.truth.response("r"), rtol=1e-6)
    assert dimmed.truth.response("r")[0, 0] == pytest.approx(0.8)


def test_only_science_exposures_have_stars(simcam, only):
    raw = simulate(simcam, 0, ExposureRequest(kind="flat", exposure_time=1.0, light=1.0), only("stars"))
    assert raw.truth.stars.size == 0
    assert all(not amp.any() for amp in raw.amplifiers.values())
