"""Checks of the whole stack on exposures with known truth: lines (B3), stability and steps (B6), correlation (B7)."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from cpp_bias.examples import GAIN, HALF, NOISE, SIZE, disturbed, example, good, hum, produce, simulate
from cpp_bias.stability import _range_of_noise
from cpp_bias.verify import verify

from cpp_framework.model import AmplifierRecord, Check, ResidualFrame, Status, VerifyContext


def named(name: str, made: tuple[object, VerifyContext]) -> dict[str, Check]:
    """Return the checks of that name by amplifier."""
    return {check.amplifier: check for check in verify(*made) if check.name == name}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "per_row", "per_column", "found"),
    [
        ("B3_row_line", 0.23, 0.0, 0.23),
        ("B3_column_line", 0.0, 0.17, 0.17),
        ("B3_stream_line", 0.31, 0.17, 0.17),
        ("B3_stream_line", 0.4, 0.0625, 0.0625),
    ],
)
def test_pick_up_of_one_electron_is_found_at_its_frequency(
    name: str, per_row: float, per_column: float, found: float
) -> None:
    for check in named(name, hum(per_row, per_column)).values():
        assert check.status == Status.FAIL
        frequency = re.match(r"(0\.\d+) cycles/pixel; noise makes", check.reason)
        assert frequency is not None
        assert float(frequency[1]) == pytest.approx(found, abs=0.001)
        assert check.error is not None
        assert check.value == pytest.approx(1 / GAIN, abs=4 * check.error + 0.02)


def test_pick_up_is_reported_without_a_previous_verdict() -> None:
    product, ctx = hum(0.23, 0.0)
    check = named("B3_row_line", (product, replace(ctx, previous_verdict=None)))["A"]
    assert check.status == Status.PASS
    assert check.reason.startswith(("0.2299", "0.2300", "0.2301"))
    quiet = named("B3_row_line", good())["A"]
    assert "no significant line" in quiet.reason


def test_a_line_that_was_there_before_does_not_fail() -> None:
    product, ctx = hum(0.0, 0.17)
    assert ctx.previous_verdict is not None
    previous = ctx.previous_verdict.model_copy(update={"checks": tuple(verify(product, ctx))})
    check = named("B3_column_line", (product, replace(ctx, previous_verdict=previous)))["A"]
    assert check.status == Status.PASS
    assert "in the previous verdict" in check.reason


@pytest.mark.parametrize("n", [4, 10, 25])
def test_range_of_a_still_level_is_what_noise_makes_of_it(n: int) -> None:
    """Against other draws than the check's own: 5 sigma of the mean of 20000."""
    draws = np.random.default_rng(99).standard_normal((20_000, n))
    ranges = np.percentile(draws, 95, axis=1) - np.percentile(draws, 5, axis=1)
    mean, error = _range_of_noise(n)
    assert mean == pytest.approx(ranges.mean(), abs=5 * error / np.sqrt(4000))
    assert error == pytest.approx(ranges.std(), rel=0.06)


def test_the_range_of_the_level_is_that_of_the_exposures() -> None:
    shifts = np.random.default_rng(5).normal(0, 0.5, 25)
    for check in named("B6_stability", disturbed(lambda k, _: shifts[k])).values():
        assert check.status == Status.FAIL
        truth = np.percentile(shifts, 95) - np.percentile(shifts, 5)
        assert check.error is not None
        assert check.value == pytest.approx(truth, abs=5 * check.error)


def test_a_wandering_level_within_its_noise_passes() -> None:
    """Whole-amplifier noise that the overscan states, as of few parallel rows, is not instability."""
    stack = simulate(12)
    rng = np.random.default_rng(6)
    for half in (slice(0, HALF), slice(HALF, SIZE)):
        stack.samples[:, :, half] += rng.normal(0, 0.4, (12, 1, 1)).astype(np.float32)
    product, ctx = example(stack, produce(stack))
    assert {check.status for check in named("B6_stability", (product, ctx)).values()} == {Status.FAIL}

    def stated(frame: ResidualFrame) -> ResidualFrame:
        records = {name: replace(record, amplifier_variance=0.16) for name, record in frame.records.items()}
        return replace(frame, records=records)

    known = replace(ctx, residuals=lambda: (stated(frame) for frame in ctx.residuals()))
    assert {check.status for check in named("B6_stability", (product, known)).values()} == {Status.PASS}


def test_steps_of_the_overscan_level_count_though_the_data_have_none() -> None:
    product, ctx = good()

    def stepping(frame: ResidualFrame) -> ResidualFrame:
        step = AmplifierRecord(
            read_noise=NOISE,
            read_noise_error=0.02,
            step=-3.0,
            step_row=77,
            step_alarm=1e-9 if frame.exposure.number < 2 else 0.3,
        )
        return replace(frame, records={"A": step, "B": frame.records["B"]})

    checks = named("B6_shifts", (product, replace(ctx, residuals=lambda: map(stepping, ctx.residuals()))))
    assert checks["A"].status == Status.FAIL
    assert checks["A"].value == pytest.approx(2 / 25)
    assert "bias-0 by -3 adu from row 77" in checks["A"].reason
    assert checks["B"].status == Status.PASS


def test_amplifiers_are_compared_in_readout_order() -> None:
    """Noise common to pixels read at the same time; B is read from the other side. In detector order there is none."""
    sigma = 2.0
    truth = sigma**2 / (sigma**2 + NOISE**2)
    in_order = disturbed(lambda _, rng: np.hstack([own := rng.normal(0, sigma, (SIZE, HALF)), own[:, ::-1]]))
    check = named("B7_correlation", in_order)[""]
    assert check.error is not None
    assert check.value == pytest.approx(truth, abs=5 * check.error)
    as_stored = disturbed(lambda _, rng: np.hstack([own := rng.normal(0, sigma, (SIZE, HALF)), own]))
    check = named("B7_correlation", as_stored)[""]
    assert check.error is not None
    assert abs(check.value) < 5 * check.error


def test_pixels_missing_in_one_amplifier_do_not_bias_the_correlation() -> None:
    product, ctx = disturbed(lambda _, rng: np.hstack([own := rng.normal(0, 3.0, (SIZE, HALF)), own[:, ::-1]]))
    truth = 9 / (9 + NOISE**2)

    def with_gaps(frame: ResidualFrame) -> ResidualFrame:
        residual = frame.residual.copy()
        residual[:, :50] = np.nan
        return replace(frame, residual=residual)

    check = named("B7_correlation", (product, replace(ctx, residuals=lambda: map(with_gaps, ctx.residuals()))))[""]
    assert check.error is not None
    assert check.value == pytest.approx(truth, abs=5 * check.error)
