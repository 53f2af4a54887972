"""The simulator's random numbers against theory, over independent fields: one amplifier in one exposure each.

Amplifiers of one bank share noise; where that matters only one of each bank is used.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from cpp_framework.sim import ExposureRequest, simulate

N = 256


def _variance_pull(data, expected):
    return (data.var(ddof=1) - expected) / (expected * math.sqrt(2 / (data.size - 1)))


def _rounded_normal(mean, sigma):
    """Mean and variance of a normal variable rounded to whole numbers, by summing over the numbers."""
    k = np.arange(math.floor(mean - 10 * sigma) - 1, math.ceil(mean + 10 * sigma) + 2)
    edges = np.array([math.erf(z / math.sqrt(2)) for z in (np.append(k, k[-1] + 1) - 0.5 - mean) / sigma])
    share = np.diff(edges) / 2
    centre = (share * k).sum()
    return centre, (share * (k - centre) ** 2).sum()


@pytest.mark.parametrize("shared", [0.0, 0.5, 1.0])
def test_read_noise_has_the_variance_that_was_set(simcam, only, standard, shared):
    settings = only("gain", "bias_level", "adc", read_noise={"sigma": 6.0, "shared": shared})
    pulls = []
    for number in range(1, N // 2 + 1):
        raw = simulate(simcam, 0, ExposureRequest(number=number), settings, seed=11)
        for amp in ("C00", "C10"):
            expected = (6.0 / raw.truth.amplifiers[amp].gain) ** 2 + 1 / 12
            pulls.append(_variance_pull(raw.amplifiers[amp].astype(np.float64), expected))
    standard(np.array(pulls))


def test_half_of_the_noise_is_common_to_a_bank_in_order_of_readout(simcam, only, standard):
    settings = only("read_noise")
    same, across = [], []
    for number in range(1, N + 1):
        amps = simulate(simcam, 0, ExposureRequest(number=number), settings, seed=12).amplifiers
        n = amps["C00"].size
        correlations = np.corrcoef([amps[name].ravel() for name in ("C00", "C01", "C10", "C11")])
        same += [(correlations[i, i + 1] - 0.5) / ((1 - 0.5**2) / math.sqrt(n)) for i in (0, 2)]
        across.append(correlations[0, 2] * math.sqrt(n))
    standard(np.array(same))
    standard(np.array(across))


def test_noise_is_white_in_time(simcam, only, standard):
    pulls = []
    for number in range(1, N // 2 + 1):
        amps = simulate(simcam, 0, ExposureRequest(number=number), only("read_noise"), seed=13).amplifiers
        for name in ("C00", "C10"):
            x = amps[name].astype(np.float64).ravel()
            x -= x.mean()
            pulls.append((x[1:] * x[:-1]).sum() / (x**2).sum() * math.sqrt(x.size - 1))
    standard(np.array(pulls))


def test_photons_have_variance_equal_to_mean_over_gain(simcam, only, standard):
    request = {"kind": "flat", "exposure_time": 10.0, "light": 50.0}
    variances, means = [], []
    for number in range(1, N // 4 + 1):
        raw = simulate(simcam, 0, ExposureRequest(number=number, **request), only("light", "photon_noise", "gain"), 14)
        for amp in raw.readout.amplifiers:
            gain = raw.truth.amplifiers[amp.name].gain
            data = raw.amplifiers[amp.name][amp.data].astype(np.float64)
            error = math.sqrt(2 / (data.size - 1) + 1 / (500.0 * data.size))
            variances.append((data.var(ddof=1) * gain / (500.0 / gain) - 1) / error)
            means.append((data.mean() - 500.0 / gain) / math.sqrt(500.0 / gain**2 / data.size))
    standard(np.array(variances))
    standard(np.array(means))


def test_coarse_quantisation_is_that_of_a_rounded_normal_variable(simcam, only, standard):
    settings = only("adc", read_noise={"sigma": 0.3, "shared": 0}, bias_level={"level": 1000.2})
    centre, variance = _rounded_normal(1000.2, 0.3)
    assert abs(centre - 1000.2) > 0.02, "the case must be one in which rounding matters"
    fourth = []
    pulls = []
    for number in range(1, N // 4 + 1):
        raw = simulate(simcam, 0, ExposureRequest(number=number), settings, seed=15)
        for amp in raw.amplifiers.values():
            assert np.array_equal(amp, np.rint(amp))
            pulls.append((amp.mean(dtype=np.float64) - centre) / math.sqrt(variance / amp.size))
            fourth.append(amp.var(dtype=np.float64))
    standard(np.array(pulls))
    assert np.mean(fourth) == pytest.approx(variance, rel=0.005)


def test_drift_and_rows_have_the_spread_that_was_set(simcam, only, standard):
    settings = only(bias_drift={"sigma": 3.0}, row_pattern={"sigma": 2.0})
    drifts, rows = [], []
    for number in range(1, N // 4 + 1):
        raw = simulate(simcam, 0, ExposureRequest(number=number), settings, seed=16)
        for name, amp in raw.amplifiers.items():
            assert np.ptp(amp, axis=1).max() == 0, "drift and row pattern are constant along a row"
            drifts.append(raw.truth.exposure.drift[name] / 3.0)
            rows.append(_variance_pull(amp[:, 0].astype(np.float64), 2.0**2))
    standard(np.array(drifts))
    standard(np.array(rows))
