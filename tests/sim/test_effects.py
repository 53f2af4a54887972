"""Effects: what each adds, that it is gone when it is off, and that the others do not notice."""

from __future__ import annotations

import numpy as np
import pytest

from cpp_framework.errors import ConfigError, NotFoundError
from cpp_framework.sim import ExposureRequest, SimSettings, simulate
from cpp_framework.sim.settings import effect_names, settings_from_text

FLAT = ExposureRequest(kind="flat", number=3, exposure_time=10.0, light=100.0)
ADDED_AFTER_GAIN = ("bias_structure", "row_pattern", "bias_level", "bias_drift")


def test_with_all_effects_off_nothing_is_left(simcam, only):
    raw = simulate(simcam, 0, FLAT, only())
    assert all(not amp.any() for amp in raw.amplifiers.values())
    assert not raw.truth.bias_structure.any()
    assert raw.truth.exposure.electrons == 0
    assert raw.truth.exposure.drift == {}
    for amp in raw.truth.amplifiers.values():
        assert (amp.gain, amp.read_noise, amp.bias_level, amp.full_well, amp.adc_maximum) == (1, 0, 0, None, None)


@pytest.mark.parametrize("effect", ADDED_AFTER_GAIN)
def test_switching_one_effect_off_takes_away_what_it_adds_and_nothing_else(simcam, only, effect):
    others = [name for name in effect_names() if name not in ("adc", effect)]
    whole = simulate(simcam, 0, FLAT, only(*others, effect)).amplifiers
    without = simulate(simcam, 0, FLAT, only(*others)).amplifiers
    alone = simulate(simcam, 0, FLAT, only(effect)).amplifiers
    for name in whole:
        assert alone[name].any()
        np.testing.assert_allclose(whole[name] - without[name], alone[name], atol=5e-4)


def test_read_noise_keeps_its_numbers_when_light_is_off(simcam, only):
    dark = simulate(simcam, 0, FLAT, only("read_noise")).amplifiers
    noisy = simulate(simcam, 0, FLAT, only("light", "photon_noise", "read_noise")).amplifiers
    silent = simulate(simcam, 0, FLAT, only("light", "photon_noise")).amplifiers
    for name in dark:
        np.testing.assert_allclose(noisy[name] - silent[name], dark[name], atol=2e-4)


def test_a_common_share_of_nothing_leaves_the_own_noise_of_the_amplifier(simcam, only):
    half = simulate(simcam, 0, FLAT, only(read_noise={"sigma": 1.0, "shared": 0.5})).amplifiers
    none = simulate(simcam, 0, FLAT, only(read_noise={"sigma": 1.0, "shared": 0.0})).amplifiers
    common = {name: half[name] - np.sqrt(0.5) * none[name] for name in half}
    np.testing.assert_allclose(common["C00"], common["C01"], atol=1e-5)
    assert np.abs(common["C00"] - common["C10"]).max() > 1


def test_light_without_noise_is_exact(simcam, only):
    raw = simulate(simcam, 0, FLAT, only("light", "gain", bias_level={"level": 1000.0}))
    for amp in raw.readout.amplifiers:
        array = raw.amplifiers[amp.name]
        np.testing.assert_allclose(array[amp.data], 1000.0 + 1000.0 / amp.layout.gain, rtol=1e-6)
        overscan = np.ones(array.shape, bool)
        overscan[amp.data] = False
        assert np.all(array[overscan] == 1000.0), "no light in pre- and overscans"


def test_full_well_clips_the_charge_at_the_instruments_value(simcam, only):
    bright = ExposureRequest(kind="flat", exposure_time=100.0, light=2000.0)
    raw = simulate(simcam, 0, bright, only("light", "photon_noise", "gain", "full_well", bias_level={"level": 500.0}))
    for amp in raw.readout.amplifiers:
        truth = raw.truth.amplifiers[amp.name]
        assert truth.full_well == pytest.approx(55000 * amp.layout.gain)
        np.testing.assert_allclose(raw.amplifiers[amp.name][amp.data], 55500.0, rtol=1e-6)
        assert truth.saturation == pytest.approx(55500.0)


def test_the_adc_clips_at_its_maximum_and_at_zero(simcam, only):
    bright = ExposureRequest(kind="flat", exposure_time=100.0, light=2000.0)
    settings = only("light", "gain", adc={"maximum": 4095}, bias_level={"level": -20.0})
    raw = simulate(simcam, 0, bright, settings)
    for amp in raw.readout.amplifiers:
        assert np.all(raw.amplifiers[amp.name][amp.data] == 4095)
        assert raw.amplifiers[amp.name][-1, -1] == 0
        assert raw.truth.amplifiers[amp.name].saturation == 4095
    assert {hdu.data.dtype.name for hdu in raw.hdus[1:]} == {"uint16"}


@pytest.mark.parametrize(("maximum", "dtype"), [(65535, "uint16"), (262143, "int32")])
def test_numbers_in_the_file_are_wide_enough_for_the_adc(simcam, maximum, dtype):
    raw = simulate(simcam, settings=SimSettings.model_validate({"adc": {"maximum": maximum}}))
    assert raw.hdus[1].data.dtype.name == dtype


def test_structure_is_the_same_in_every_exposure_and_noise_is_not(simcam):
    one = simulate(simcam, 0, ExposureRequest(number=1), seed=4)
    two = simulate(simcam, 0, ExposureRequest(number=2), seed=4)
    assert np.array_equal(one.truth.bias_structure, two.truth.bias_structure)
    assert one.truth.amplifiers == two.truth.amplifiers
    assert one.truth.exposure.drift != two.truth.exposure.drift
    assert not np.array_equal(one.amplifiers["C00"], two.amplifiers["C00"])


def test_same_seed_same_counts_another_seed_other_counts(simcam):
    first, again, other = (simulate(simcam, 0, FLAT, seed=seed) for seed in (5, 5, 6))
    for name in first.amplifiers:
        assert np.array_equal(first.amplifiers[name], again.amplifiers[name])
        assert not np.array_equal(first.amplifiers[name], other.amplifiers[name])
    assert not np.array_equal(first.truth.bias_structure, other.truth.bias_structure)


def test_values_can_be_given_per_amplifier(simcam, only):
    gains = {"C00": 1.0, "C01": 2.0, "C10": 4.0, "C11": 5.0}
    raw = simulate(simcam, 0, FLAT, only("light", gain={"value": gains}))
    for amp in raw.readout.amplifiers:
        assert raw.amplifiers[amp.name][amp.data].mean() == pytest.approx(1000.0 / gains[amp.name])
    with pytest.raises(ConfigError, match=r"not for C01"):
        simulate(simcam, 0, FLAT, only("light", gain={"value": {"C00": 1.0}}))


def test_settings_from_text():
    settings = settings_from_text(["read_noise.sigma=3.5", "gain.value={C00: 1.5, C01: 2}"], ["bias_drift"])
    assert settings.read_noise.sigma == 3.5
    assert settings.gain.value == {"C00": 1.5, "C01": 2.0}
    assert not settings.is_on("bias_drift")


@pytest.mark.parametrize(
    ("assignment", "off", "message"),
    [
        ("read_nois.sigma=1", "", r"no effect 'read_nois'; there are light"),
        ("read_noise.sgma=1", "", r"no parameter of read_noise 'sgma'; there are sigma, shared"),
        ("read_noise=1", "", r"is not EFFECT.PARAMETER=VALUE"),
        ("read_noise.shared=2", "", r"read_noise.shared: .*less than or equal to 1.*got 2"),
        ("read_noise.sigma=much", "", r"read_noise.sigma: .*got 'much'"),
        ("", "bias_drif", r"no effect 'bias_drif'"),
    ],
)
def test_wrong_settings_are_explained(assignment, off, message):
    with pytest.raises(ConfigError, match=message):
        settings_from_text([assignment] if assignment else [], [off] if off else [])


def test_an_unknown_detector_is_named(simcam):
    with pytest.raises(NotFoundError, match="no detector 7"):
        simulate(simcam, 7)
