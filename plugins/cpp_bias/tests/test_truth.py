"""The bias against simulated truth: values, errors, cost in noise, outliers, exposures that do not belong.

Fields are pixels of independent white noise. The limits give all pull statistics of this file together a false-alarm
rate of 1 %.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from cpp_bias.declare import BIAS
from cpp_bias.product import Bias
from numpy.typing import NDArray

from cpp_framework.model import AmplifierStatus
from cpp_framework.testing import Stack, make_stack, run_type
from cpp_framework.testing.stacks import READ_NOISE

SIZES = (2, 3, 5, 10, 25)
SEEDS = range(16)
SIGMA = 3.48
"""20 statistics, two-sided, 1 % together."""
OUTLIERS = 0.001


def produce(stack: Stack) -> Bias:
    product = run_type(BIAS, stack)
    assert isinstance(product, Bias)
    return product


def samples(stack: Stack) -> NDArray[np.float32]:
    return np.stack([image.data for image in stack.images["bias"]])


def add_outliers(stack: Stack, seed: int) -> NDArray[np.bool_]:
    """Raise 0.1 % of the samples by 10 to 110 sigma; return where."""
    rng = np.random.default_rng(seed)
    hit = rng.random(samples(stack).shape) < OUTLIERS
    for image, where in zip(stack.images["bias"], hit, strict=True):
        image.data[where] += ((10 + 100 * rng.random(where.sum())) * READ_NOISE).astype(np.float32)
    return hit


@pytest.mark.parametrize("outliers", [False, True], ids=["clean", "outliers"])
@pytest.mark.parametrize("n", SIZES)
def test_pulls_and_cost(n: int, outliers: bool) -> None:
    pulls, ours, best = [], [], []
    for seed in SEEDS:
        stack = make_stack(n, 1000 * n + seed)
        hit = add_outliers(stack, seed) if outliers else np.zeros(samples(stack).shape, bool)
        product = produce(stack)
        # Where most samples of a pixel are outliers nothing can tell (0.3 pixels of the whole table are expected).
        good = (product.mask == 0) & (hit.sum(axis=0) <= n // 2)
        clean = np.mean(samples(stack)[:, good], axis=0, where=~hit[:, good], dtype=np.float64) - stack.truth[good]
        error = product.image[good] - stack.truth[good]
        pulls.append(error / product.error[good])
        ours.append(error)
        best.append(clean)
    pull = np.concatenate(pulls)
    overscan = len(SEEDS) * n * 2 * 64 * 32
    assert abs(pull.mean()) < SIGMA / math.sqrt(pull.size)
    assert abs(np.sqrt(np.mean(pull**2)) - 1) < SIGMA * math.sqrt(0.5 / pull.size + 0.5 / overscan)
    cost = np.sqrt(np.mean(np.concatenate(ours) ** 2) / np.mean(np.concatenate(best) ** 2)) - 1
    assert cost < 0.01


@pytest.mark.parametrize("shift", [2.0, 5.0, 30.0])
@pytest.mark.parametrize("n", [3, 5, 10, 25])
def test_a_shifted_exposure_is_refused_and_named(n: int, shift: float) -> None:
    stack = make_stack(n, n)
    stack.images["bias"][1].data += np.float32(shift * READ_NOISE)
    assert_refused(stack, "level")


@pytest.mark.parametrize("factor", [5.0, 50.0])
@pytest.mark.parametrize("n", [3, 5, 10, 25])
def test_a_noisy_exposure_is_refused_and_named(n: int, factor: float) -> None:
    stack = make_stack(n, n)
    image = stack.images["bias"][1]
    image.data[:] = stack.truth + factor * (image.data - stack.truth)
    assert_refused(stack, "noise")


def assert_refused(stack: Stack, quantity: str) -> None:
    """The second exposure is refused, and the bias is that of the others, bit for bit."""
    product = produce(stack)
    assert set(product.refused) == {"bias-0001"}
    assert product.refused["bias-0001"].startswith(quantity)
    others = [image for k, image in enumerate(stack.images["bias"]) if k != 1]
    alone = produce(Stack({"bias": others}, stack.truth, stack.detector))
    assert product.stacked == alone.stacked
    for name, plane in product.planes().items():
        assert np.array_equal(plane, alone.planes()[name]), name


@pytest.mark.parametrize("n", SIZES)
def test_no_healthy_exposure_is_refused(n: int) -> None:
    assert not any(produce(make_stack(n, 50_000 + seed)).refused for seed in range(40))


def test_an_exposure_bad_in_one_amplifier_stays_in_the_other() -> None:
    stack = make_stack(5, 1)
    stack.images["bias"][2].amp("B").data[:] += np.float32(5 * READ_NOISE)
    product = produce(stack)
    assert list(product.refused) == ["bias-0002/B"]
    assert "bias-0002" in product.stacked
    rejected = product.rejected_mask("bias-0002")
    left, right = (stack.detector.amplifier(name).box.slices for name in ("A", "B"))
    assert rejected[right].all()
    assert rejected[left].mean() < 0.01
    assert np.median(product.used[left]) == 5
    assert np.median(product.used[right]) == 4
    assert product.amplifiers["B"].values["exposures"].value == 4


def test_a_lower_outlier_of_two_stays_and_the_product_says_so() -> None:
    stack = make_stack(2, 1)
    stack.images["bias"][0].data[10, 10] -= np.float32(100 * READ_NOISE)
    product = produce(stack)
    assert product.used[10, 10] == 1
    assert product.image[10, 10] < -50 * READ_NOISE
    assert "negative outliers cannot be told" in product.amplifiers["A"].reason


def test_read_noise_is_that_of_the_overscan() -> None:
    stack = make_stack(10, 3)
    for amp in ("A", "B"):
        noise = produce(stack).provided("read_noise")[amp]
        assert noise.error == pytest.approx(READ_NOISE / math.sqrt(2 * 10 * 64 * 32), rel=0.1)
        assert abs(noise.value - READ_NOISE) < 4 * (noise.error or 0)
        assert noise.unit == "adu"


@pytest.mark.parametrize(("n", "source"), [(4, "differences of exposures"), (1, "differences of rows")])
def test_without_overscan_read_noise_comes_from_the_frames_and_says_so(n: int, source: str) -> None:
    stack = make_stack(n, 4)
    for image in stack.images["bias"]:
        for record in image.records.values():
            record.read_noise = record.read_noise_error = record.bias_level = None
    product = produce(stack)
    for amp in product.amplifiers.values():
        assert f"read noise from {source}" in amp.reason
        noise = amp.values["read_noise"]
        assert abs(noise.value - READ_NOISE) < 4 * (noise.error or 0)


def test_all_amplifiers_dead_is_still_a_product() -> None:
    product = produce(make_stack(3, 5, saturated_frame=False, dead_amplifier=True))
    assert product.amplifiers["B"].status == AmplifierStatus.DEAD
    stack = make_stack(1, 5, saturated_frame=True)
    product = produce(stack)
    assert {amp.status for amp in product.amplifiers.values()} == {AmplifierStatus.DEAD}
    assert product.stacked == ()
    assert np.isnan(product.image).all()
