"""A bias that was damaged must fail: which check sees what is the table in the README."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from cpp_bias.declare import CHECKS
from cpp_bias.examples import (
    GAIN,
    HALF,
    NOISE,
    common_noise,
    compared,
    example,
    good,
    jumping,
    produce,
    simulate,
    wandering,
)
from cpp_bias.product import Bias
from cpp_bias.verify import verify
from numpy.typing import NDArray

from cpp_framework.declare import Need
from cpp_framework.model import Check, Limit, Limits, Status, VerifyContext

Damage = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def noisier(image: NDArray[np.float32]) -> NDArray[np.float32]:
    return image + np.random.default_rng(1).normal(0, NOISE / 2, image.shape).astype(np.float32)


def without_a_column(image: NDArray[np.float32]) -> NDArray[np.float32]:
    damaged = image.copy()
    damaged[:, [40, HALF + 40]] = 50.0
    return damaged


def with_a_bad_row(image: NDArray[np.float32]) -> NDArray[np.float32]:
    damaged = image.copy()
    damaged[40] += 30.0
    return damaged


def with_a_wave(per_row: float, per_column: float) -> Damage:
    """Add a sinusoid of 0.7 adu to the product: it is then in every residual."""
    y, x = np.mgrid[: 2 * HALF, : 2 * HALF]
    wave = 0.7 * np.sin(2 * np.pi * (per_row * y + per_column * x))
    return lambda image: image + wave.astype(np.float32)


CONTROLS: dict[str, tuple[Damage, str]] = {
    "2 electrons too high": (lambda image: image + np.float32(2 / GAIN), "B1_level"),
    "2 electrons too low": (lambda image: image - np.float32(2 / GAIN), "B1_level"),
    "noise added": (noisier, "B2_noise"),
    "amplifiers swapped": (lambda image: np.roll(image, HALF, axis=1), "B1_level"),
    "shifted by a column": (lambda image: np.roll(image, 1, axis=1), "B2_noise"),
    "a column lost": (without_a_column, "B3_columns"),
    "a row lost": (with_a_bad_row, "B3_rows"),
    "a wave along the columns": (with_a_wave(0.23, 0.0), "B3_row_line"),
    "a wave along the rows": (with_a_wave(0.0, 0.17), "B3_column_line"),
    "a slanting wave": (with_a_wave(0.31, 0.17), "B3_stream_line"),
    "scaled by 1.5": (lambda image: image * np.float32(1.5), "B1_level"),
    "all zero": (np.zeros_like, "B1_level"),
}


def run(product: Bias, ctx: VerifyContext) -> list[Check]:
    return list(verify(product, ctx))


def failures(checks: list[Check]) -> set[str]:
    return {check.name for check in checks if check.status == Status.FAIL}


@pytest.mark.parametrize("name", CONTROLS)
def test_damage_is_found(name: str) -> None:
    damage, check = CONTROLS[name]
    product, ctx = compared(0.0)
    checks = run(replace(product, image=damage(product.image).astype(np.float32)), _on(damage, product, ctx))
    wrong = [one for one in checks if one.name == check and one.status == Status.FAIL]
    assert {one.amplifier for one in wrong} == {"A", "B"}, failures(checks)


DISTURBANCES = {
    "level rises by 1 adu": (wandering, "B6_stability"),
    "steps of 4 adu in two exposures": (jumping, "B6_shifts"),
    "noise in common": (common_noise, "B7_correlation"),
}


@pytest.mark.parametrize("name", DISTURBANCES)
def test_exposures_that_misbehave_are_found(name: str) -> None:
    disturb, check = DISTURBANCES[name]
    wrong = {one.amplifier for one in run(*disturb()) if one.name == check and one.status == Status.FAIL}
    assert wrong >= {"A", "B"}


def _on(damage: Damage, product: Bias, ctx: VerifyContext) -> VerifyContext:
    """Return the context with the residuals of the damaged product."""
    damaged = replace(product, image=damage(product.image).astype(np.float32))
    return replace(ctx, residuals=lambda: simulate().residuals(damaged))


def test_the_undamaged_bias_passes() -> None:
    assert {check.status for check in run(*compared(0.0))} == {Status.PASS}


def test_a_dead_amplifier_is_said_once_and_not_judged() -> None:
    stack = simulate(6)
    stack.samples[:, :, HALF:] = 7.0
    checks = run(*example(stack, produce(stack)))
    (dead,) = [check for check in checks if check.amplifier == "B"]
    assert dead.dead
    assert "same value" in dead.reason
    assert {check.amplifier for check in checks} == {"A", "B", ""}
    (alone,) = [check for check in checks if check.amplifier == ""]
    assert "no two amplifiers" in alone.skipped
    assert not failures(checks)


def test_a_refused_exposure_is_not_judged() -> None:
    stack = simulate(6)
    stack.samples[2] += np.float32(100)
    stack.samples[4, :, HALF:] *= np.float32(10)
    product, ctx = example(stack, produce(stack))
    judged = {(check.exposure, check.amplifier) for check in run(product, ctx) if check.exposure}
    everything = {(f"bias-{k}", amp) for k in range(6) for amp in "AB"}
    assert everything - judged == {("bias-2", "A"), ("bias-2", "B"), ("bias-4", "B")}
    assert not failures(run(product, ctx))


def test_without_gain_levels_are_not_run_unless_limits_are_in_adu() -> None:
    product, ctx = good()
    blind = replace(ctx, gains={})
    levels = [check for check in run(product, blind) if check.name in ("B1_level", "B8_corner")]
    assert {check.status for check in levels} == {Status.NOT_RUN}
    assert all("no gain" in check.skipped for check in levels)
    names = ("B1_level", "B8_corner")
    limits = Limits(fail={n: Limit(low=-0.5, high=0.5) for n in names}, units=dict.fromkeys(names, "adu"))
    levels = [check for check in run(product, replace(blind, limits=limits)) if check.name in names]
    assert {(check.status, check.unit) for check in levels} == {(Status.PASS, "adu")}


def test_noise_is_not_judged_by_itself() -> None:
    """Without an overscan the expected noise is that of the same exposures, however noisy they are."""
    stack = simulate(6)
    stack.samples[:] += np.random.default_rng(8).normal(0, 3 * NOISE, stack.samples.shape).astype(np.float32)
    in_overscan = run(*example(stack, produce(stack)))
    blind = replace(stack, has_overscan=False)
    in_frames = run(*example(blind, produce(blind)))
    for name in ("B2_noise", "B5_halves_noise"):
        assert {check.status for check in in_overscan if check.name == name} == {Status.FAIL}
        assert {check.status for check in in_frames if check.name == name} == {Status.NOT_RUN}
        assert all("no overscan" in check.skipped for check in in_frames if check.name == name)
        (spec,) = (spec for spec in CHECKS if spec.name == name)
        assert Need.OVERSCAN in spec.needs


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_exposures_leave_no_check_out_without_a_word(n: int) -> None:
    stack = simulate(n)
    checks = run(*example(stack, produce(stack)))
    said = {check.name for check in checks}
    assert said == {check.name for check in run(*good())}
    halves = [check for check in checks if check.name.startswith("B5")]
    assert all("it takes two of each" in check.skipped for check in halves)
    if n == 1:
        assert {c.status for c in checks if c.name == "B2_noise"} == {Status.NOT_RUN}


def test_growth_is_measured_against_the_previous_verdict() -> None:
    checks = run(*compared(np.where(np.arange(256) % 8 == 0, 1.5, 0.0)))
    grown = {check.name: check for check in checks if check.amplifier == "A" and not check.exposure}
    assert grown["B3_columns"].status == Status.FAIL
    assert "in the previous verdict" in grown["B3_columns"].reason
    assert grown["B3_rows"].status == Status.PASS
