"""The dark against simulated truth: rates and errors, for few and many exposures, equal and mixed times, with and
without bias, with free offsets; hot and saturated pixels; median and 95th percentile.

Fields are pixels of independent noise. The limits give all pull statistics of this file together a false-alarm rate of
1 %, beside a systematic of 1 % in the errors (the Poisson noise is known from the rate, as far as that is).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from cpp_dark.config import DarkConfig
from cpp_dark.product import Dark

from cpp_framework.model import AmplifierStatus, Mask

SIGMA = 3.7
"""50 statistics, two-sided, 1 % together."""
SYSTEMATIC = 0.01
MIXED = {2: (10, 300), 3: (10, 60, 300), 5: (10, 30, 60, 120, 300), 9: (10, 10, 30, 30, 60, 60, 120, 300, 300)}
EQUAL = {n: (60,) * n for n in MIXED}
SEEDS = range(4)


def pulls(product: Dark, truth: np.ndarray) -> np.ndarray:
    good = product.mask == 0
    assert good.mean() > 0.99
    return ((product.image - truth) / product.error)[good].astype(float)


def assert_honest(pull: np.ndarray, systematic: float = SYSTEMATIC) -> None:
    mean, rms = float(np.mean(pull)), float(np.sqrt(np.mean(pull**2)))
    assert abs(mean) < SIGMA / math.sqrt(pull.size) + systematic, (mean, rms, pull.size)
    assert abs(rms - 1) < SIGMA / math.sqrt(2 * pull.size) + systematic, (mean, rms, pull.size)


@pytest.mark.parametrize("times", [EQUAL, MIXED], ids=["equal", "mixed"])
@pytest.mark.parametrize("n", MIXED)
def test_pulls_with_a_bias(night: Any, n: int, times: dict[int, tuple[float, ...]]) -> None:
    found = []
    for seed in SEEDS:
        one = night(times[n], 100 * n + seed, bias_of=5)
        found.append(pulls(one.produce(), one.rate))
    # Where one long exposure outweighs all others, that they scatter costs it 0.5 % of its samples, and noise.
    assert_honest(np.concatenate(found), 0.03 if times[n] == MIXED[5] else SYSTEMATIC)


@pytest.mark.parametrize(
    ("times", "biases"),
    [((60, 60), 5), ((10, 60, 300), 5), ((60,) * 5, 9), (MIXED[5], 0), (MIXED[9], 0), ((10, 10, 10, 300, 300, 300), 3)],
    ids=str,
)
def test_pulls_of_the_joint_fit(night: Any, times: tuple[float, ...], biases: int) -> None:
    found, zeros = [], []
    for seed in SEEDS:
        one = night(times, 1000 + seed, biases=biases, bias_of=0)
        product = one.produce()
        good = product.mask == 0
        found.append(pulls(product, one.rate))
        zeros.append(((product.zero - one.zero) / product.zero_error)[good].astype(float))
        assert not product.relative
        assert all("zero was fitted" in amp.reason for amp in product.amplifiers.values())
    assert_honest(np.concatenate(found))
    assert_honest(np.concatenate(zeros))


@pytest.mark.parametrize("times", [(60,) * 5, MIXED[5], MIXED[9]], ids=str)
@pytest.mark.parametrize("joint", [False, True], ids=["bias", "joint"])
def test_pulls_with_free_offsets(night: Any, times: tuple[float, ...], joint: bool) -> None:
    """The zero drifts by 40 electron: rates count from the median of the amplifier, and the product says so."""
    if joint and len(set(times)) == 1:
        pytest.skip("zero and rate cannot be told apart")
    found = []
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        rate = 0.1 + 0.05 * rng.random((96, 128))
        one = night(times, 2000 + seed, rate=rate, bias_of=0 if joint else 25, drift=40.0, overscan=False)
        product = one.produce()
        assert product.relative
        assert all("rates count from" in amp.reason for amp in product.amplifiers.values())
        for amp in one.detector.amplifiers:
            part = product.image[amp.box.slices]
            assert abs(float(np.median(part))) < 1e-6
            truth = one.rate[amp.box.slices]
            found.append(((part - (truth - np.median(truth))) / product.error[amp.box.slices]).ravel())
    # Without overscan, of exposures all of different times, only differences of unlike noise are known.
    assert_honest(np.concatenate(found), 0.08 if times == MIXED[5] else SYSTEMATIC)


def test_offsets_are_found(night: Any) -> None:
    """Of each exposure against the simulated level: the median dark signal is part of it, by choice."""
    one = night(MIXED[9], 1, rate=0.2, drift=40.0, overscan=False)
    product = one.produce()
    expected = np.median(one.samples, axis=(1, 2))
    assert np.allclose(product.offsets.mean(axis=1), expected, atol=0.5)


def test_overscan_or_a_steady_zero_leaves_rates_absolute(night: Any) -> None:
    for options in ({"drift": 0.0, "overscan": False}, {"drift": 3.0, "overscan": True}):
        product = night(MIXED[9], 3, **options).produce()
        assert not product.relative
        assert product.offsets.size == 0


def test_offsets_can_be_asked_for_and_forbidden(night: Any) -> None:
    one = night(MIXED[5], 4)
    one.config = DarkConfig(offsets="free")
    assert one.produce().relative
    drifting = night(MIXED[5], 4, drift=40.0, overscan=False)
    drifting.config = DarkConfig(offsets="none")
    assert not drifting.produce().relative


def test_hot_pixels_are_within_their_errors(night: Any) -> None:
    """Rates from 1 to 2000 electron/s; above 200, the longest exposures are saturated and do not count."""
    found, saturated = [], 0
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        rate = np.full((96, 128), 0.05)
        hot = rng.random(rate.shape) < 0.05
        rate[hot] = 2000.0 ** rng.random(hot.sum())
        one = night(MIXED[9], 3000 + seed, rate=rate)
        product = one.produce()
        usable = hot & np.isfinite(product.image) & ((product.mask & np.uint32(Mask.UNSTABLE)) == 0)
        assert usable.sum() > 0.99 * hot.sum()
        lost = hot & (one.rate * 300 > 70_000)
        saturated += int(lost.sum())
        assert np.all(product.used[lost] <= 7)
        assert np.all(np.isfinite(product.image[lost]))
        found.append(((product.image - one.rate) / product.error)[usable].astype(float))
        above = int(np.sum(one.rate > 5.0))
        assert abs(product.metrics["hot_pixels"].value - above) < 0.02 * above
    assert saturated > 100
    pull = np.concatenate(found)
    assert abs(np.mean(pull)) < SIGMA / math.sqrt(pull.size) + SYSTEMATIC
    # Poisson noise is taken from the fitted rate, and of few electrons it is skewed: 5 %.
    assert abs(np.sqrt(np.mean(pull**2)) - 1) < SIGMA / math.sqrt(2 * pull.size) + 0.05


def test_weights_follow_the_noise(night: Any) -> None:
    """Long exposures of a bright dark are shot-noise limited: weights are those of read and shot noise."""
    product = night((10, 10, 300, 300), 5, rate=2.0).produce()
    expected = (25 + 600) / (25 + 20)
    assert product.weights[0] / product.weights[2] == pytest.approx(expected, rel=0.02)
    assert product.weights.mean() == pytest.approx(1)
    assert np.array_equal(product.scales, [10, 10, 300, 300])


def test_the_error_of_a_shared_bias_is_in_the_error(night: Any) -> None:
    """Image-products 5.5: a bias of 5 exposures adds more noise to 9 darks than the darks have themselves."""
    product = night((10,) * 9, 6, rate=0.0, bias_of=5).produce()
    expected = math.hypot(5 / 3, 5 / math.sqrt(5)) / 10
    assert float(np.median(product.error)) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("joint", [False, True], ids=["bias", "joint"])
def test_pulls_of_median_and_95th_percentile(night: Any, joint: bool) -> None:
    """Gaussian spread of true rates, as wide as the noise: truth from the true rates of each amplifier."""
    medians, highs = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        rate = np.maximum(rng.normal(0.3, 0.05, (48, 64)), 0)
        one = night((60, 60, 120, 120), 4000 + seed, rate=rate, biases=4 if joint else 0, shape=(48, 64))
        product = one.produce()
        for amp in one.detector.amplifiers:
            values, truth = product.amplifiers[amp.name].values, one.rate[amp.box.slices]
            for name, true, pull in (("median", np.median(truth), medians), ("p95", np.quantile(truth, 0.95), highs)):
                assert values[name].unit == "electron/s"
                pull.append((values[name].value - true) / (values[name].error or 0))
    for pull in (medians, highs):
        assert abs(np.mean(pull)) < SIGMA / math.sqrt(len(pull))
        # Both errors count all of the scatter of rates, of which the true rates' own part is not an error here.
        assert 0.6 < np.sqrt(np.mean(np.square(pull))) < 1 + SIGMA / math.sqrt(2 * len(pull))


@pytest.mark.parametrize("scale", [0.03, 0.1, 0.5])
@pytest.mark.parametrize("least", [0.0, 0.1])
def test_median_of_rates_with_an_exponential_tail(night: Any, scale: float, least: float) -> None:
    """Noise of 0.03 electron/s moves the median of the image towards the mean, by up to a quarter of the rate."""
    found = []
    for seed in range(10):
        rate = least + np.random.default_rng(seed).exponential(scale, (192, 256))
        one = night((60, 60, 120, 120), 4500 + seed, rate=rate, shape=(192, 256))
        for amp, result in zip(one.detector.amplifiers, one.produce().amplifiers.values(), strict=True):
            median = result.values["median"]
            truth = np.median(one.rate[amp.box.slices])
            found.append((median.value - truth) / (median.error or 0))
            assert (median.error or 0) < 0.15 * truth
    assert abs(np.mean(found)) < 2
    assert np.sqrt(np.mean(np.square(found))) < 2


def test_noise_alone_does_not_make_a_95th_percentile(night: Any) -> None:
    """A detector whose pixels are all alike: noise alone would put the percentile 0.27 electron/s above the median."""
    for amp in night((10,) * 9, 7, rate=0.02).produce().amplifiers.values():
        high = amp.values["p95"]
        assert abs(high.value - 0.02) < 3 * (high.error or 0)
        assert (high.error or 0) < 0.1


def test_a_single_exposure_is_enough(night: Any) -> None:
    one = night((60,), 8)
    product = one.produce()
    assert {amp.status for amp in product.amplifiers.values()} == {AmplifierStatus.OK}
    assert_honest(pulls(product, one.rate))


def test_without_a_gain_rates_are_in_adu(night: Any) -> None:
    product = night(MIXED[9], 9, rate=0.5).in_adu(nominal_gain=False).produce()
    assert product.unit == "adu/s"
    assert product.amplifiers["A"].values["median"].unit == "adu/s"
    assert product.amplifiers["A"].values["median"].value == pytest.approx(0.5 / 1.5, rel=0.01)


@pytest.mark.parametrize("nominal_gain", [True, False], ids=["nominal gain", "no gain"])
@pytest.mark.parametrize("signal", [400, 2000])
@pytest.mark.parametrize("n", [2, 3, 5])
def test_pulls_in_adu_have_the_shot_noise(night: Any, n: int, signal: int, nominal_gain: bool) -> None:
    """Of 400 to 2000 electron it is four to nine times the read noise of the overscan."""
    found, biases = [], []
    for seed in SEEDS:
        one = night((200,) * n, 9000 + seed, rate=signal / 200).in_adu(nominal_gain=nominal_gain)
        product = one.produce()
        assert not product.refused
        assert product.used.mean() > 0.999 * n
        assert product.metrics["unstable_pixels"].value <= 1
        found.append(pulls(product, one.rate / 1.5))
        biases.append(float(np.mean(product.image)) * 1.5 / (signal / 200) - 1)
    assert_honest(np.concatenate(found))
    assert abs(np.mean(biases)) < 2e-3


@pytest.mark.parametrize("times", [(50, 100, 200), (100, 100, 200, 200)], ids=str)
def test_pulls_of_mixed_times_in_adu(night: Any, times: tuple[float, ...]) -> None:
    found = []
    for seed in SEEDS:
        one = night(times, 9100 + seed, rate=10.0).in_adu(nominal_gain=True)
        product = one.produce()
        assert not product.refused
        found.append(pulls(product, one.rate / 1.5))
    assert_honest(np.concatenate(found))


def test_noise_of_a_camera_without_overscan_comes_from_exposures_of_one_time(night: Any) -> None:
    for times, source in (((60,) * 4, "differences of exposures"), ((60,), "differences of rows")):
        product = night(times, 10, overscan=False).produce()
        for amp in product.amplifiers.values():
            assert f"read noise from {source}" in amp.reason
            noise = amp.values["read_noise"]
            assert abs(noise.value - 5.0) < 4 * (noise.error or 0)
