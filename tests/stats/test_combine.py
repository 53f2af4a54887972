"""`combine` equals a plain reference, whatever the tiles, the threads and the order of the exposures."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2

from cpp_framework.errors import ContractError
from cpp_framework.model import Mask
from cpp_framework.stats import ArrayFrames, Combined, StackNoise, combine

Frames = Callable[..., ArrayFrames]


def combine_pixel(samples: np.ndarray, variance: float, per_signal: float, unstable_below: float) -> dict[str, Any]:
    """The rule of `combine` for one pixel, written as it is documented."""
    values = np.sort(samples[np.isfinite(samples)]).astype(np.float64)
    n = len(values)
    if n == 0:
        return {"image": math.nan, "error": math.nan, "used": 0, "unstable": False, "kept": samples != samples}
    median = np.median(values)
    sigma = math.sqrt(variance + max(median, 0) * per_signal)
    scale = max(sigma, 1.4826 * np.median(np.abs(values - median))) if n >= 4 else sigma
    low, high = median - 4 * scale, median + 4 * scale
    if n == 2 and values[1] - values[0] > 4 * math.sqrt(2) * sigma:
        low = high = values[0]
    if n == 3 and values[0] < low and values[2] > high:
        low = high = values[0]
    if low == high:
        sigma = math.sqrt(variance + max(low, 0) * per_signal)
    kept = values[(values >= low) & (values <= high)]
    scatter = np.sum((kept - kept.mean()) ** 2) / sigma**2
    dof = len(kept) - 1
    tail = chi2.sf(scatter, dof) if dof else 1.0
    return {
        "image": kept.mean(),
        "error": sigma / math.sqrt(len(kept)) * (math.sqrt(scatter / dof) if tail < 1e-4 else 1.0),
        "used": len(kept),
        "unstable": tail < unstable_below,
        "kept": np.isfinite(samples) & (samples >= low) & (samples <= high),
    }


def assert_equals_reference(frames: ArrayFrames, noise: StackNoise, found: Combined) -> None:
    samples = frames.rows(0, frames.detector.height)
    pixels = frames.detector.height * frames.detector.width
    rejected = np.zeros(samples.shape, bool)
    for k, y, x0, length in found.rejected:
        rejected[k, y, x0 : x0 + length] = True
    for amp in frames.detector.amplifiers:
        variance, per_signal = noise.variance(amp.name)
        for y in range(amp.box.y0, amp.box.y1):
            for x in range(amp.box.x0, amp.box.x1):
                wanted = combine_pixel(samples[:, y, x], variance, per_signal, 0.01 / pixels)
                assert found.used[y, x] == wanted["used"], (y, x)
                np.testing.assert_array_equal(rejected[:, y, x], np.isfinite(samples[:, y, x]) & ~wanted["kept"])
                np.testing.assert_allclose(found.image[y, x], wanted["image"], rtol=1e-7, atol=1e-6)
                np.testing.assert_allclose(found.error[y, x], wanted["error"], rtol=1e-6)
                assert bool(found.mask[y, x] & Mask.UNSTABLE) == wanted["unstable"]
                assert bool(found.mask[y, x] & Mask.NO_DATA) == (wanted["used"] == 0)


def wild_stack(count: int, shape: tuple[int, int], seed: int, *, whole: bool) -> np.ndarray:
    """Noise with outliers of both signs, unstable pixels, NaN, infinities, ties and zeros of both signs."""
    rng = np.random.default_rng(seed)
    samples = rng.normal(0, 3, (count, *shape))
    samples += np.where(rng.random(samples.shape) < 0.05, rng.normal(0, 200, samples.shape), 0)
    samples *= np.where(rng.random(shape) < 0.1, 5, 1)
    if whole:
        samples = np.round(samples)
    samples[rng.random(samples.shape) < 0.1] = np.nan
    samples[rng.random(samples.shape) < 0.01] = np.inf
    samples[rng.random(samples.shape) < 0.01] = -np.inf
    samples[rng.random(samples.shape) < 0.05] = -0.0
    samples[:, 0, :3] = np.nan
    samples[:, 1, :3] = 7.0
    return samples.astype(np.float32)


@pytest.mark.parametrize("whole", [False, True], ids=["real", "whole"])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 10, 16, 25])
def test_equals_plain_reference(frames_of: Frames, count: int, whole: bool) -> None:
    frames = frames_of(wild_stack(count, (9, 70), seed=count, whole=whole), fields=(1, 2))
    noise = StackNoise({"A0": 3.0, "A1": 2.5}, gain={"A1": 1.7})
    assert_equals_reference(frames, noise, combine(frames, noise))


def test_equals_reference_where_nothing_is_missing_and_rows_are_longer_than_a_chunk(frames_of: Frames) -> None:
    rng = np.random.default_rng(5)
    frames = frames_of(rng.normal(1000, 4, (6, 2, 700)) + 60 * (rng.random((6, 2, 700)) < 0.01))
    noise = StackNoise({"A0": 4.0})
    found = combine(frames, noise)
    assert found.rejected_samples > 0
    assert_equals_reference(frames, noise, found)


def test_result_depends_on_neither_threads_nor_tiles_nor_order(frames_of: Frames) -> None:
    samples = wild_stack(11, (40, 90), seed=3, whole=False)
    noise = StackNoise({f"A{k}": 3.0 + k / 10 for k in range(4)})
    first = combine(frames_of(samples, fields=(2, 2)), noise)
    for threads, tile_rows in [(1, 1), (2, 7), (3, 13), (2, None), (1, 40)]:
        again = combine(frames_of(samples, fields=(2, 2)), noise, threads=threads, tile_rows=tile_rows)
        assert again.rejected.tobytes() == first.rejected.tobytes()
        _assert_same_planes(again, first)
    order = np.random.default_rng(8).permutation(11)
    _assert_same_planes(combine(frames_of(samples[order], fields=(2, 2)), noise), first)


def _assert_same_planes(one: Combined, other: Combined) -> None:
    for name in ("image", "error", "used", "mask"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes(), name


def test_rejected_runs_are_joined_along_x_and_sorted(frames_of: Frames) -> None:
    samples = np.zeros((5, 4, 8), np.float32)
    samples[3, 2, 1:4] = samples[3, 2, 6] = samples[1, 3, 7] = 100
    found = combine(frames_of(samples), StackNoise({"A0": 1.0}), tile_rows=1)
    assert found.rejected.tolist() == [[1, 3, 7, 1], [3, 2, 1, 3], [3, 2, 6, 1]]
    assert found.rejected_samples == 5


def test_of_a_wide_pair_the_lower_is_kept_even_where_it_is_the_outlier(frames_of: Frames) -> None:
    samples = np.array([[[10, 10, 10]], [[10 + 5.6, 10 + 5.7, 10 - 50]]])
    found = combine(frames_of(samples), StackNoise({"A0": 1.0}))
    np.testing.assert_allclose(found.image, [[12.8, 10, -40]], rtol=1e-6)
    assert found.used.tolist() == [[2, 1, 1]]


@pytest.mark.parametrize("others", [(5000,), (5000, 9000)], ids=["pair", "triple"])
def test_the_error_of_the_lowest_sample_is_that_of_its_own_signal(frames_of: Frames, others: tuple[int, ...]) -> None:
    samples = np.array([[[100.0]], *([[other]] for other in others)])
    found = combine(frames_of(samples), StackNoise({"A0": 3.0}, gain={"A0": 1.0}))
    assert (found.image[0, 0], found.used[0, 0]) == (100, 1)
    assert found.error[0, 0] == pytest.approx(math.sqrt(3**2 + 100), rel=1e-6)


def test_single_exposure_has_the_error_of_one_sample(frames_of: Frames) -> None:
    found = combine(frames_of(np.array([[[5.0, -3.0, np.nan]]])), StackNoise({"A0": 2.0}, gain={"A0": 0.5}))
    np.testing.assert_allclose(found.image, [[5, -3, np.nan]])
    np.testing.assert_allclose(found.error, [[math.sqrt(4 + 5 / 0.5), 2, np.nan]], rtol=1e-6)
    assert found.mask.tolist() == [[0, 0, Mask.NO_DATA]]


def test_constant_pixels_have_the_error_of_rounding(frames_of: Frames) -> None:
    found = combine(frames_of(np.full((5, 2, 2), 100.0)), StackNoise({"A0": 0.0}))
    np.testing.assert_array_equal(found.image, 100)
    np.testing.assert_allclose(found.error, math.sqrt(1 / 12 / 5), rtol=1e-6)


def test_pixel_that_jumps_is_unstable_with_the_error_of_its_scatter(frames_of: Frames) -> None:
    samples = np.zeros((8, 1, 2), np.float32)
    samples[::2, 0, 1] = 20
    found = combine(frames_of(samples), StackNoise({"A0": 1.0}))
    assert found.mask.tolist() == [[0, Mask.UNSTABLE]]
    assert found.unstable_pixels == 1
    np.testing.assert_allclose(found.error[0], [1 / math.sqrt(8), np.std(samples[:, 0, 1], ddof=1) / math.sqrt(8)])


def test_weights_are_per_exposure_and_do_not_change_the_clipping(frames_of: Frames) -> None:
    rng = np.random.default_rng(2)
    samples = rng.normal(50, 2, (5, 3, 30)).astype(np.float32)
    samples[2, 1, 4] = 500
    samples[1, 0, 0] = np.nan
    weights = np.array([1, 2, 3, 4, 5.0])
    frames, noise = frames_of(samples), StackNoise({"A0": 2.0})
    plain, weighted = combine(frames, noise), combine(frames, noise, weights=list(weights))
    kept = np.isfinite(samples)
    for k, y, x0, length in plain.rejected:
        kept[k, y, x0 : x0 + length] = False
    w = weights[:, None, None] * kept
    np.testing.assert_array_equal(weighted.rejected, plain.rejected)
    np.testing.assert_allclose(weighted.image, (w * np.nan_to_num(samples)).sum(0) / w.sum(0), rtol=1e-6)
    inflation = plain.error / (2 / np.sqrt(plain.used))
    np.testing.assert_allclose(weighted.error, inflation * 2 * np.sqrt((w**2).sum(0)) / w.sum(0), rtol=1e-5)
    equal = combine(frames, noise, weights=[0.3] * 5)
    np.testing.assert_allclose(equal.image, plain.image, rtol=1e-7)
    np.testing.assert_allclose(equal.error, plain.error, rtol=1e-6)


def test_refused_exposures_do_not_count_in_their_amplifier(frames_of: Frames) -> None:
    samples = np.ones((3, 2, 4), np.float32)
    samples[1, :, 2:] = 3
    use = np.array([[True, True], [True, False], [True, True]])
    found = combine(frames_of(samples, fields=(1, 2)), StackNoise({"A0": 1.0, "A1": 1.0}), used_exposures=use)
    np.testing.assert_array_equal(found.image, 1)
    assert found.used.tolist() == [[3, 3, 2, 2]] * 2
    assert found.rejected.size == 0
    none = combine(
        frames_of(samples, fields=(1, 2)), StackNoise({"A0": 1.0}), used_exposures=np.array([[True, False]] * 3)
    )
    assert none.mask.tolist() == [[0, 0, Mask.NO_DATA, Mask.NO_DATA]] * 2
    assert np.isnan(none.image[:, 2:]).all()


def test_read_noise_per_exposure_is_pooled_over_those_used(frames_of: Frames) -> None:
    noise = StackNoise({"A0": [1.0, 3.0, 100.0]})
    used = np.array([[True], [True], [False]])
    found = combine(frames_of(np.zeros((3, 1, 1))), noise, used_exposures=used)
    np.testing.assert_allclose(found.error, math.sqrt(5 / 2), rtol=1e-6)


def test_mask_has_the_bits_of_most_exposures(frames_of: Frames) -> None:
    masks = np.zeros((4, 1, 5), np.uint32)
    masks[:3, 0, 1] = Mask.SUSPECT
    masks[:2, 0, 2] = Mask.SUSPECT
    masks[:, 0, 3] = Mask.SAT | Mask.CROSSTALK
    masks[:3, 0, 4] = Mask.BAD
    found = combine(frames_of(np.ones((4, 1, 5)), masks=masks), StackNoise({"A0": 1.0}))
    assert found.mask.tolist() == [[0, Mask.SUSPECT, 0, Mask.SAT | Mask.CROSSTALK | Mask.NO_DATA, Mask.BAD]]
    assert found.used.tolist() == [[4, 4, 4, 0, 1]]


def test_memory_is_bounded_by_the_tiles(frames_of: Frames) -> None:
    shape, count, tile_rows = (400, 500), 30, 10
    frames, noise = frames_of(np.zeros((count, *shape), np.float32)), StackNoise({"A0": 1.0})
    combine(frames, noise, tile_rows=tile_rows)
    tracemalloc.start()
    combine(frames, noise, threads=2, tile_rows=tile_rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    planes = shape[0] * shape[1] * (4 + 4 + 2 + 4)
    tile = count * tile_rows * shape[1] * 4
    assert peak < planes + 2 * 3 * tile


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"used_exposures": np.ones((2, 1), bool)}, "used_exposures"),
        ({"used_exposures": np.ones((3, 1), int)}, "used_exposures"),
        ({"weights": [1.0, 2.0]}, "weights"),
        ({"weights": [1.0, 0.0, 1.0]}, "weights"),
        ({"weights": [1.0, math.nan, 1.0]}, "weights"),
    ],
)
def test_arguments_that_do_not_fit_are_named(frames_of: Frames, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ContractError, match=message):
        combine(frames_of(np.zeros((3, 2, 2))), StackNoise({"A0": 1.0}), **options)


def test_noise_must_be_known_and_finite(frames_of: Frames) -> None:
    frames = frames_of(np.zeros((3, 2, 2)))
    with pytest.raises(ContractError, match="no read noise for amplifier 'A0'"):
        combine(frames, StackNoise({}))
    with pytest.raises(ContractError, match="not finite"):
        combine(frames, StackNoise({"A0": math.nan}))


def test_no_exposure_is_an_error(frames_of: Frames) -> None:
    with pytest.raises(ContractError, match="no exposure"):
        combine(frames_of(np.zeros((0, 2, 2))), StackNoise({"A0": 1.0}))
