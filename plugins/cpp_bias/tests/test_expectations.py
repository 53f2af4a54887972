"""The expectations of the checks are exact: pulls over independent stacks, with noise that rows and columns share.

Of each stack one exposure is judged, as held-out residuals of one stack are not independent. 20 statistics: the
limits give all of them together a false-alarm rate of 1 %.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from cpp_bias.config import BiasConfig
from cpp_bias.declare import BIAS
from cpp_bias.product import Bias
from cpp_bias.verify import verify

from cpp_framework.model import Check, Status, Verdict, VerifyContext
from cpp_framework.stats.residuals import held_out_residual
from cpp_framework.testing import Stack, make_stack, run_type
from cpp_framework.testing.stacks import READ_NOISE

SIGMA = 3.48
STACKS = 200
ROW, COLUMN, AMPLIFIER = 0.2 * READ_NOISE, 0.4 * READ_NOISE, 0.05 * READ_NOISE


def noisy_stack(n: int, seed: int) -> Stack:
    """Return a stack whose overscan levels have errors of their own: by row, by column, and in the whole amplifier."""
    stack = make_stack(n, seed)
    rng = np.random.default_rng(seed + 1_000_000)
    for image in stack.images["bias"]:
        for amp in stack.detector.amplifiers:
            data, record = image.amp(amp.name).data, image.records[amp.name]
            data += rng.normal(0, ROW, (data.shape[0], 1)).astype(np.float32)
            data += rng.normal(0, COLUMN, (1, data.shape[1])).astype(np.float32)
            data += np.float32(rng.normal(0, AMPLIFIER))
            assert record.read_noise is not None
            measured = (record.read_noise / READ_NOISE) ** 2
            record.level_variance, record.column_variance = ROW**2 * measured, COLUMN**2 * measured
            record.amplifier_variance = AMPLIFIER**2
    # A hit that the stack rejects must not disturb the expectations.
    stack.images["bias"][1].data[20, 30] += np.float32(500)
    return stack


def checks_of(stack: Stack, previous: list[Check] | None = None) -> list[Check]:
    product = run_type(BIAS, stack)
    assert isinstance(product, Bias)
    frames = stack.frames("bias")
    height = stack.detector.height
    ctx = VerifyContext(
        detector=stack.detector,
        config=BiasConfig(),
        residuals=lambda: (
            held_out_residual(product, image.exposure, plane, image.records)
            for image, plane in zip(stack.images["bias"], frames.rows(0, height), strict=True)
            if image.exposure is not None
        ),
        exposures=frames.exposures,
        gains={"A": 1.5, "B": 1.5},
        previous_verdict=previous
        and Verdict(id="previous", product="", digest="", type="bias", checks=tuple(previous)),
    )
    return list(verify(product, ctx))


@pytest.mark.parametrize("n", [4, 7])
def test_pulls_of_the_checks(n: int) -> None:
    pulls: dict[str, list[float]] = {}
    for seed in range(STACKS):
        for check in checks_of(noisy_stack(n, seed)):
            if check.z is not None and check.exposure in ("", "bias-0002"):
                pulls.setdefault(check.name, []).append(check.z)
    limit = SIGMA / math.sqrt(2 * STACKS)
    found = {name: (float(np.mean(z)), float(np.sqrt(np.mean(np.square(z))))) for name, z in pulls.items()}
    for name in ("B1_level", "B2_noise", "B5_halves_noise", "B5_halves_mean", "B8_corner"):
        mean, rms = found[name]
        assert abs(mean) < limit, (name, found)
        assert rms < 1 + limit / math.sqrt(2), (name, found)
        # Errors of the mean of halves are the larger of two estimates: a little too large by construction.
        assert rms > 1 - limit / math.sqrt(2) - (0.1 if name == "B5_halves_mean" else 0), (name, found)
    for name in ("B3_columns", "B3_rows", "B3_blocks"):
        assert abs(found[name][0]) < 1, (name, found)
    mean, rms = found["B6_stability"]
    # The scatter of a range is not quite Gaussian.
    assert abs(mean) < limit, found
    assert rms == pytest.approx(1, abs=limit / math.sqrt(2) + 0.03), found


@pytest.mark.parametrize("n", [4, 10])
def test_healthy_stacks_fail_no_check_against_the_one_before(n: int) -> None:
    """60 stacks with noise by row, by column and in the whole amplifier; correlations by pulls: none there is."""
    previous, correlations = None, []
    for seed in range(60):
        checks = checks_of(noisy_stack(n, 3000 + seed), previous)
        assert not [check for check in checks if check.status in (Status.FAIL, Status.NOT_FINITE)]
        assert not [check for check in checks if check.name.endswith("_line") and "no significant" not in check.reason]
        correlations += [
            check.value / check.error
            for check in checks
            if check.name == "B7_correlation" and check.error and not check.amplifier
        ]
        previous = checks
    assert abs(np.mean(correlations)) < 4 / math.sqrt(60)
    # The error is the larger of two estimates: too large by construction, never too small.
    assert 0.4 < np.sqrt(np.mean(np.square(correlations))) < 1 + 4 / math.sqrt(120)


@pytest.mark.parametrize("axis", [0, 1], ids=["rows", "columns"])
def test_noise_that_lines_share_does_not_scatter_the_means_of_the_others(axis: int) -> None:
    """Row noise moves all column means alike, column noise all row means: 5 sigma of the mean of 60 stacks."""
    name = ("B3_columns", "B3_rows")[axis]
    ratios = []
    for seed in range(100):
        stack = make_stack(4, seed)
        rng = np.random.default_rng(seed + 2_000_000)
        for image in stack.images["bias"]:
            for amp in stack.detector.amplifiers:
                data, record = image.amp(amp.name).data, image.records[amp.name]
                lines = (data.shape[0], 1) if axis == 0 else (1, data.shape[1])
                data += rng.normal(0, 0.5 * READ_NOISE, lines).astype(np.float32)
                variances = [0.25 * READ_NOISE**2, 0.0]
                record.level_variance, record.column_variance = variances[axis], variances[1 - axis]
        for check in checks_of(stack):
            if check.name == name:
                assert check.expected is not None
                ratios.append(check.value / check.expected)
    assert abs(np.mean(ratios) - 1) < 5 * np.std(ratios) / math.sqrt(len(ratios))


def test_a_held_out_residual_is_that_of_the_stack_made_without_the_exposure() -> None:
    stack = make_stack(5, 1)
    samples = np.stack([image.data for image in stack.images["bias"]])
    product = run_type(BIAS, stack)
    assert isinstance(product, Bias)
    exposure = stack.images["bias"][3].exposure
    assert exposure is not None
    frame = held_out_residual(product, exposure, samples[3], {})
    clean = product.used == 5
    others = np.mean(np.delete(samples, 3, axis=0), axis=0, dtype=np.float64)
    assert np.allclose(frame.residual[clean], (samples[3] - others)[clean], atol=2e-5)
    assert np.all(frame.variance_factor[clean] == np.float32(1.25))
    rejected = product.rejected_mask(exposure.id)
    assert np.array_equal(frame.residual[rejected], (samples[3] - product.image)[rejected])


def test_residuals_of_a_clean_stack_sum_to_zero() -> None:
    stack = make_stack(5, 1)
    product = run_type(BIAS, stack)
    assert isinstance(product, Bias)
    total = np.zeros(product.image.shape)
    for image in stack.images["bias"]:
        assert image.exposure is not None
        total += held_out_residual(product, image.exposure, image.data, {}).residual
    assert np.abs(total[product.used == 5]).max() < 1e-4
