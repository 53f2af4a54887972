"""What can go wrong on purpose, against the same exposure without it."""

from __future__ import annotations

import numpy as np
import pytest

from cpp_framework.errors import ConfigError, NotFoundError
from cpp_framework.sim import (
    DeadAmplifier,
    ExposureRequest,
    ExtraNoise,
    NotFinite,
    Outliers,
    SaturatedFrame,
    Shift,
    SimSettings,
    simulate,
)

FLOAT = SimSettings(off=frozenset({"adc"}))


def pair(simcam, anomaly, settings=FLOAT, **request):
    clean = simulate(simcam, 0, ExposureRequest(**request), settings, seed=21)
    spoiled = simulate(simcam, 0, ExposureRequest(anomalies=(anomaly,), **request), settings, seed=21)
    return clean, spoiled


def difference(clean, spoiled, amp):
    array = spoiled.amplifiers[amp.name] - clean.amplifiers[amp.name]
    side = np.ones(array.shape, bool)
    side[amp.data] = False
    return array[amp.data], array[side]


def test_outliers_have_the_asked_fraction_and_height_and_are_in_the_truth(simcam):
    clean, spoiled = pair(simcam, Outliers(fraction=0.001, lowest=12, highest=50), number=4)
    n = 0
    for amp in clean.readout.amplifiers:
        data, side = difference(clean, spoiled, amp)
        sigma = amp.layout.read_noise / amp.layout.gain
        assert not side.any()
        heights = data[data != 0]
        assert heights.min() >= 12 * sigma * 0.999
        assert heights.max() <= 50 * sigma * 1.001
        n += heights.size
    assert abs(n - 51.2) < 4 * np.sqrt(51.2)
    mask = spoiled.truth.outlier_mask(4)
    assert mask.sum() == n
    for amp in clean.readout.amplifiers:
        box, flip = amp.amplifier.box, (amp.amplifier.flip_y, amp.amplifier.flip_x)
        found = mask[box.y0 : box.y1, box.x0 : box.x1][:: -1 if flip[0] else 1, :: -1 if flip[1] else 1]
        np.testing.assert_array_equal(found, difference(clean, spoiled, amp)[0] != 0)


def test_shift_moves_the_data_and_not_the_overscan(simcam):
    clean, spoiled = pair(simcam, Shift(sigma=30.0))
    for amp in clean.readout.amplifiers:
        data, side = difference(clean, spoiled, amp)
        np.testing.assert_allclose(data, 30 * amp.layout.read_noise / amp.layout.gain, atol=5e-4)
        assert not side.any()
    assert spoiled.truth.exposure.anomalies == ({"amplifier": "", "sigma": 30.0, "name": "shift"},)


def test_extra_noise_is_that_many_times_as_large_in_the_amplifier_named(simcam, only):
    clean, spoiled = pair(simcam, ExtraNoise(factor=5.0, amplifier="C01"), only("read_noise", "gain"))
    for amp in clean.readout.amplifiers:
        ratio = spoiled.amplifiers[amp.name].std() / clean.amplifiers[amp.name].std()
        assert ratio == pytest.approx(5.0 if amp.name == "C01" else 1.0, rel=0.04)


def test_sigma_counts_photons_only_where_there_are_any(simcam, only):
    lit = {"kind": "flat", "exposure_time": 10.0, "light": 100.0}
    clean, spoiled = pair(simcam, Shift(sigma=1.0), only("light", "photon_noise", "read_noise", "gain"), **lit)
    amp = clean.readout.amplifiers[0]
    expected = np.sqrt(amp.layout.read_noise**2 + 1000) / amp.layout.gain
    np.testing.assert_allclose(difference(clean, spoiled, amp)[0], expected, rtol=1e-3)


def test_a_dead_amplifier_holds_one_value_and_the_others_are_untouched(simcam):
    clean, spoiled = pair(simcam, DeadAmplifier(amplifier="C10", value=17), SimSettings())
    for name, array in spoiled.amplifiers.items():
        assert np.all(array == 17) if name == "C10" else np.array_equal(array, clean.amplifiers[name])


@pytest.mark.parametrize("maximum", [4095, 65535])
def test_a_saturated_frame_is_at_the_highest_count(simcam, maximum):
    _, spoiled = pair(simcam, SaturatedFrame(), SimSettings.model_validate({"adc": {"maximum": maximum}}))
    for amp in spoiled.readout.amplifiers:
        assert np.all(spoiled.amplifiers[amp.name][amp.data] == maximum)
        assert spoiled.amplifiers[amp.name][-1, -1] < maximum


def test_nan_needs_float_raws(simcam):
    _, spoiled = pair(simcam, NotFinite(fraction=0.01, amplifier="C00"))
    bad = np.isnan(spoiled.amplifiers["C00"]).mean()
    assert 0.005 < bad < 0.012
    assert np.isfinite(spoiled.amplifiers["C01"]).all()
    with pytest.raises(ConfigError, match="cannot hold NaN"):
        pair(simcam, NotFinite(), SimSettings())


def test_an_unknown_amplifier_is_named(simcam):
    with pytest.raises(NotFoundError, match="no amplifier 'C77'; there are C00, C01, C10, C11"):
        pair(simcam, Shift(amplifier="C77"))


def test_a_request_with_anomalies_survives_json():
    request = ExposureRequest(anomalies=(Shift(sigma=2.0), Outliers()))
    assert ExposureRequest.model_validate_json(request.model_dump_json()) == request
