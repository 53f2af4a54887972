"""Cosmic rays: found by comparison across a stack, and by their shape where there is nothing to compare with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cpp_dark.limits import WARN

from cpp_framework.model import Mask

CASES = [(60,) * 3, (60,) * 5, (60,) * 9, (60, 60, 60, 120, 120, 120)]


def sigmas_above(one: Any) -> np.ndarray:
    """How far each sample lies above the truth, in its own noise."""
    expected = one.rate * one.times[:, None, None]
    return np.asarray((one.samples - expected) / np.sqrt(25 + expected))


@pytest.mark.parametrize("times", CASES, ids=str)
def test_hits_are_rejected_and_little_else(night: Any, times: tuple[float, ...]) -> None:
    """Completeness above 99 % for samples more than 6 σ high; where two were hit, nothing is asked."""
    far, found, clean, lost = 0, 0, 0, 0
    for seed in range(6):
        one = night(times, 5000 + seed, cosmic_rays=0.01, bias_of=400)
        product = one.produce()
        rejected = np.stack([product.rejected_mask(exposure.id) for exposure in one.exposures])
        once = (one.hits > 0).sum(axis=0) <= 1
        high = (sigmas_above(one) > 6) & (one.hits > 0) & once
        far, found = far + int(high.sum()), found + int((high & rejected).sum())
        quiet = (one.hits == 0) & ((one.hits > 0).sum(axis=0) == 0)
        clean, lost = clean + int(quiet.sum()), lost + int((quiet & rejected).sum())
    assert far > 1000
    assert found / far > 0.99
    # A clip at 4 σ about a median of three loses up to 0.4 % of good samples (DESIGN 5).
    assert lost / clean < 5e-3


@pytest.mark.parametrize("times", [(60,) * 3, (30, 60, 90)], ids=str)
def test_none_above_five_sigma_survives_in_a_stack_of_three(night: Any, times: tuple[float, ...]) -> None:
    """What survives is within 5 σ of the held-out prediction of the other two, if only one of three was hit."""
    survivors, hits = 0, 0
    for seed in range(6):
        one = night(times, 5100 + seed, cosmic_rays=0.01, bias_of=400)
        product = one.produce()
        once = (one.hits > 0).sum(axis=0) == 1
        for k, exposure in enumerate(one.exposures):
            others = [j for j in range(3) if j != k]
            t, x = one.times[others], one.samples[others].astype(float)
            prediction = np.tensordot(t, x, 1) / np.sum(t**2) * one.times[k]
            sigma = np.sqrt(25 + one.rate * one.times[k]) * np.sqrt(1 + one.times[k] ** 2 / np.sum(t**2))
            high = once & (one.hits[k] > 0) & ((one.samples[k] - prediction) / sigma > 5)
            hits += int(high.sum())
            survivors += int((high & ~product.rejected_mask(exposure.id)).sum())
    assert hits > 1000
    assert survivors <= hits // 1000


def test_of_two_darks_beside_biases_the_lower_is_believed(night: Any) -> None:
    """A line through the biases and either dark fits as well: hits are positive."""
    one = night((60, 60), 5200, biases=4, bias_of=0, cosmic_rays=0.0)
    one.samples[4, 10:20, 10] += np.float32(400)
    one.samples[5, 30:40, 90] += np.float32(400)
    product = one.produce()
    assert product.rejected_mask("dark-4")[10:20, 10].all()
    assert product.rejected_mask("dark-5")[30:40, 90].all()
    assert not product.rejected_mask("dark-5")[10:20, 10].any()


def test_rate_of_hits_is_counted(night: Any) -> None:
    one = night((60,) * 5, 5300, bias_of=400)
    tracks = 12
    for k in range(5):
        for track in range(tracks):
            y, x = 4 + 7 * track, 8 + 20 * k
            one.samples[k, y, x : x + 6] += np.float32(200)
    product = one.produce()
    exposed = 300 * 96 * 128 / 1e6
    total = sum(amp.values["cosmic_rays"].value for amp in product.amplifiers.values()) / 2
    assert total * exposed == pytest.approx(5 * tracks, rel=0.05)
    for amp in product.amplifiers.values():
        rate = amp.values["cosmic_rays"]
        assert rate.unit == "1/(Mpixel s)"
        assert (rate.error or 0) ** 2 == pytest.approx(rate.value * 2 / exposed, rel=0.01)


def test_noise_counts_as_no_hit(night: Any) -> None:
    """False rate below 1e-6 per sample: none of 0.6 million samples."""
    for seed in range(10):
        product = night((60,) * 5, 5400 + seed, bias_of=400).produce()
        assert {amp.values["cosmic_rays"].value for amp in product.amplifiers.values()} == {0.0}


@pytest.mark.parametrize("times", [(1, 1, 30), (1, 2, 5, 10, 30), (10, 10, 10, 300), (10, 10, 300)], ids=str)
def test_noise_of_mixed_times_counts_as_no_hit(night: Any, times: tuple[float, ...]) -> None:
    """Short exposures predict a long one badly, and share the error of a bias of five: still no hit."""
    most = WARN["D10_cosmic_rays"].high
    for seed in range(5):
        product = night(times, 5450 + seed, bias_of=5).produce()
        for amp in product.amplifiers.values():
            assert amp.values["cosmic_rays"].value < most


@pytest.mark.parametrize("times", [(10, 10, 10, 300), (10, 30, 60, 120, 300)], ids=str)
def test_hits_of_mixed_times_are_counted(night: Any, times: tuple[float, ...]) -> None:
    """Five tracks of 3000 electron in the longest exposure."""
    one = night(times, 5460, bias_of=25)
    for track in range(5):
        one.samples[-1, 8 + 16 * track, 20:26] += np.float32(3000)
    product = one.produce()
    hits = product.amplifiers["A"].values["cosmic_rays"].value * sum(times) * 96 * 64 / 1e6
    assert hits == pytest.approx(5)


def single_exposure(night: Any) -> tuple[Any, np.ndarray]:
    """One exposure with twenty sharp tracks of 3 to 9 pixels, and a hundred hot pixels."""
    rng = np.random.default_rng(6)
    rate = np.full((96, 128), 0.05)
    rate[rng.integers(0, 96, 100), rng.integers(0, 128, 100)] = 20.0
    one = night((60,), 5500, rate=rate, bias_of=400)
    tracks = np.zeros((96, 128), bool)
    for number in range(20):
        y, x = 4 + 18 * (number // 4), 5 + 30 * (number % 4)
        for step in range(rng.integers(3, 10)):
            tracks[y + step, x + step // 2] = True
    one.samples[0][tracks] += rng.uniform(200, 2000, tracks.sum()).astype(np.float32)
    return one, tracks


def test_a_single_exposure_loses_tracks_and_keeps_hot_pixels(night: Any) -> None:
    one, tracks = single_exposure(night)
    product = one.produce()
    lost = (product.mask & np.uint32(Mask.CR)) != 0
    assert np.isnan(product.image[lost]).all()
    assert ((product.mask[lost] & np.uint32(Mask.NO_DATA)) != 0).all()
    assert (lost & tracks).sum() / tracks.sum() > 0.95
    from scipy.ndimage import binary_dilation

    alone = (one.rate > 10) & ~binary_dilation(tracks, iterations=3)
    assert (lost & alone).sum() < 0.1 * alone.sum()
    assert (lost & (one.rate < 10) & ~binary_dilation(tracks, iterations=2)).mean() < 1e-3
    assert all("told by their shape" in amp.reason for amp in product.amplifiers.values())


def test_hits_in_a_single_exposure_are_counted_and_listed(night: Any) -> None:
    one, _ = single_exposure(night)
    product = one.produce()
    exposed = 60 * 96 * 64 / 1e6
    hits = sum(amp.values["cosmic_rays"].value * exposed for amp in product.amplifiers.values())
    assert 18 <= hits <= 30
    assert np.array_equal(product.rejected_mask("dark-0"), (product.mask & np.uint32(Mask.CR)) != 0)
