"""A dark that was damaged must fail: which check sees what is the table in the README."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from cpp_dark.declare import CHECKS
from cpp_dark.examples import (
    HALF,
    NOISE,
    SIZE,
    changed,
    compared,
    example,
    good,
    made,
    produce,
    simulate,
    true_rate,
)
from cpp_dark.limits import FAIL
from cpp_dark.product import Dark
from cpp_dark.verify import verify
from numpy.typing import NDArray

from cpp_framework.declare import Need
from cpp_framework.model import Check, Limit, Limits, Status, VerifyContext

Plane = NDArray[np.floating]
Damage = Callable[[NDArray[np.float32]], Plane]


def without_a_column(rate: NDArray[np.float32]) -> Plane:
    damaged = rate.copy()
    damaged[:, [40, HALF + 40]] += np.float32(0.5)
    return damaged


def with_a_bad_row(rate: NDArray[np.float32]) -> Plane:
    damaged = rate.copy()
    damaged[40] += np.float32(0.5)
    return damaged


def with_cosmic_rays(rate: NDArray[np.float32]) -> Plane:
    """Forty hits of 9000 electron, each in one of 30 exposures of 60 s, that were averaged instead of rejected."""
    damaged = rate.copy()
    places = np.random.default_rng(9).integers(0, SIZE, (2, 40))
    damaged[places[0], places[1]] += np.float32(9000 / 30 / 60)
    return damaged


def glowing(rate: NDArray[np.float32]) -> Plane:
    y, x = np.mgrid[:SIZE, :SIZE]
    return rate + 3 * np.exp(-((y - SIZE / 2) ** 2 + (np.abs(x - HALF) - 30) ** 2) / 30.0**2)


CONTROLS: dict[str, tuple[Damage, str]] = {
    "noise added": (
        lambda rate: rate + np.random.default_rng(1).normal(0, NOISE / 2 / 60, rate.shape),
        "D2_noise",
    ),
    "amplifiers swapped": (lambda rate: np.roll(rate, HALF, axis=1), "D1_level"),
    "shifted by a column": (lambda rate: np.roll(rate, 1, axis=1), "D10_tail"),
    "shifted by a row": (lambda rate: np.roll(rate, 1, axis=0), "D10_tail"),
    "a column replaced": (without_a_column, "D3_columns"),
    "a row replaced": (with_a_bad_row, "D3_rows"),
    "scaled by exposures of twice the time": (lambda rate: rate * 2, "D1_level"),
    "per minute instead of per second": (lambda rate: rate * 60, "D7_current"),
    "all zero": (np.zeros_like, "D1_level"),
    "light leak in the darks": (lambda rate: rate + np.float32(0.5), "D7_current"),
    "glow": (glowing, "D8_glow"),
    "gradient": (lambda rate: rate + 1.5 * np.mgrid[:SIZE, :SIZE][0] / SIZE, "D8_gradient"),
    "cosmic rays left in": (with_cosmic_rays, "D10_tail"),
}


def run(product: Dark, ctx: VerifyContext) -> list[Check]:
    return list(verify(product, ctx))


def failures(checks: list[Check]) -> set[str]:
    return {check.name for check in checks if check.status == Status.FAIL}


@pytest.mark.parametrize("name", CONTROLS)
def test_damage_is_found(name: str) -> None:
    damage, check = CONTROLS[name]
    checks = run(*compared(damage))
    wrong = [one for one in checks if one.name == check and one.status == Status.FAIL]
    assert {one.amplifier for one in wrong} == {"A", "B"}, failures(checks)


@pytest.mark.parametrize("sign", [1, -1], ids=["too low", "too high"])
def test_a_level_ten_sigma_beyond_its_limit_fails(sign: int) -> None:
    """The rate of each amplifier is moved so that one residual of 120 s is at the limit and 10 of its errors beyond."""
    exposure, limit = "dark-20", FAIL["D1_level"].high
    product, ctx = good()
    # A residual is x − t·rate over 1 − h.
    leverage = product.weights * product.scales**2 / np.sum(product.weights * product.scales**2)
    k = product.stacked.index(exposure)
    per_rate = product.scales[k] / (1 - leverage[k])
    image, wanted = product.image.copy(), {}
    for amp, healthy in _levels(product, ctx, exposure).items():
        wanted[amp] = sign * (limit + 10 * healthy.error)
        image[ctx.detector.amplifier(amp).box.slices] -= np.float32((wanted[amp] - healthy.value) / per_rate)
    for amp, check in _levels(*changed(lambda _: image), exposure).items():
        assert check.value == pytest.approx(wanted[amp], abs=0.1 * check.error)
        assert abs(check.value) < 2
        assert check.status == Status.FAIL


def _levels(product: Dark, ctx: VerifyContext, exposure: str) -> dict[str, Check]:
    """D1 of one exposure by amplifier."""
    return {one.amplifier: one for one in run(product, ctx) if (one.name, one.exposure) == ("D1_level", exposure)}


def test_the_undamaged_dark_passes() -> None:
    assert {check.status for check in run(*compared(lambda rate: rate))} == {Status.PASS}


def test_a_wrong_dark_time_shows_in_the_trend() -> None:
    """Half of the exposures, of a detector of high current, were 10 s longer than their headers say."""
    stack = simulate(rate=true_rate() + 0.1)
    wrong = replace(stack, times=tuple(time - 10 if time > 100 else time for time in stack.times))
    assert "D6_linearity" in failures(run(*made(wrong)))


def test_hot_pixels_that_doubled_are_seen_against_the_previous_dark() -> None:
    product, ctx = good()
    rate = product.image.copy()
    rate[10:16, 10:24] = 8.0
    rate[10:16, HALF + 10 : HALF + 24] = 8.0
    (a, b) = (one for one in run(replace(product, image=rate), ctx) if one.name == "D9_growth")
    assert {a.status, b.status} == {Status.FAIL}
    assert "before" in a.reason


def test_a_dead_amplifier_is_said_once_and_not_judged() -> None:
    stack = simulate()
    stack.samples[:, :, HALF:] = 7.0
    checks = run(*made(stack))
    (dead,) = [check for check in checks if check.amplifier == "B" and check.dead]
    assert "same value" in dead.reason
    assert not failures([check for check in checks if not check.dead])
    assert [check for check in checks if check.amplifier == "B" and not check.dead] == []


def test_all_amplifiers_dead_are_said_and_nothing_is_promised_in_vain() -> None:
    stack = simulate((60.0,) * 3)
    stack.samples[:] = 7.0
    checks = run(*made(stack))
    assert {check.amplifier for check in checks if check.dead} == {"A", "B"}
    assert {check.name for check in checks} == {check.name for check in run(*good())}


def test_a_refused_exposure_is_not_judged() -> None:
    stack = simulate((60.0,) * 6)
    stack.samples[2] += np.float32(100)
    stack.samples[4, :, HALF:] += np.random.default_rng(3).normal(0, 50, (SIZE, HALF)).astype(np.float32)
    product, ctx = made(stack)
    judged = {(check.exposure, check.amplifier) for check in run(product, ctx) if check.exposure}
    everything = {(f"dark-{k}", amp) for k in range(6) for amp in "AB"}
    assert everything - judged == {("dark-2", "A"), ("dark-2", "B"), ("dark-4", "B")}
    assert not failures(run(product, ctx))


def test_without_gain_levels_are_not_run_unless_limits_are_in_adu() -> None:
    """The product is turned into one in adu/s: as if no gain had been known."""
    product, ctx = good()
    in_adu = replace(product, unit="adu/s")
    blind = replace(ctx, gains={}, needs={}, previous=None)
    names = ("D1_level", "D6_linearity", "D7_current", "D8_glow", "D9_hot_pixels")
    found = [check for check in run(in_adu, blind) if check.name in names]
    assert {check.status for check in found} == {Status.NOT_RUN}
    limits = Limits(fail={n: Limit(low=-50, high=50) for n in names}, units=dict.fromkeys(names, "adu"))
    found = [check for check in run(in_adu, replace(blind, limits=limits)) if check.name in names]
    assert {(check.status, check.unit) for check in found} <= {
        (Status.PASS, "adu"), (Status.PASS, "adu/s"), (Status.PASS, "1"),
    }  # fmt: skip


def test_noise_is_not_judged_by_itself() -> None:
    """Without an overscan or a gain the expected noise is that of the same exposures, however noisy they are."""
    stack = simulate((60.0,) * 6)
    stack.samples[:] += np.random.default_rng(8).normal(0, 3 * NOISE, stack.samples.shape).astype(np.float32)
    in_overscan = run(*made(stack))
    blind = replace(stack, has_overscan=False)
    in_frames = run(*made(blind))
    product, ctx = made(stack)
    without_gain = run(replace(product, unit="adu/s"), replace(ctx, gains={}, needs={}))
    for name in ("D2_noise", "D5_halves_noise"):
        assert {check.status for check in in_overscan if check.name == name} == {Status.FAIL}
        assert {check.status for check in in_frames if check.name == name} == {Status.NOT_RUN}
        assert all("no overscan" in check.skipped for check in in_frames if check.name == name)
        assert all("no gain" in check.skipped for check in without_gain if check.name == name)
        (spec,) = (spec for spec in CHECKS if spec.name == name)
        assert {Need.GAIN, Need.OVERSCAN} <= set(spec.needs)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_exposures_leave_no_check_out_without_a_word(n: int) -> None:
    stack = simulate((60.0,) * n)
    product = produce(stack)
    checks = run(*example(stack, product))
    assert {check.name for check in checks} == {check.name for check in run(*good())}
    halves = [check for check in checks if check.name.startswith("D5")]
    assert all("it takes two of each" in check.skipped for check in halves)
    if n == 1:
        assert {c.status for c in checks if c.name == "D2_noise"} == {Status.NOT_RUN}


def test_equal_dark_times_leave_the_trend_out() -> None:
    checks = run(*made(simulate((60.0,) * 6)))
    assert {check.skipped for check in checks if check.name == "D6_linearity"} == {"all exposures have one dark time"}


def test_growth_of_structure_is_measured_against_the_previous_verdict() -> None:
    checks = run(*compared(_raised_columns))
    grown = {check.name: check for check in checks if check.amplifier == "A" and not check.exposure}
    assert grown["D3_columns"].status == Status.FAIL
    assert "in the previous verdict" in grown["D3_columns"].reason
    alone = {check.name: check for check in run(*changed(_raised_columns)) if check.amplifier == "A"}
    assert grown["D3_columns"].error == pytest.approx(np.sqrt(2) * alone["D3_columns"].error)
    assert grown["D3_rows"].status == Status.PASS


def _raised_columns(rate: NDArray[np.float32]) -> Plane:
    return rate + np.where(np.arange(SIZE) % 8 == 0, 0.05, 0.0)
