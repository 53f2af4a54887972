"""A flat that was damaged must fail: which check sees what is the table in the README."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from cpp_flat.examples import (
    HALF,
    SIZE,
    Damage,
    Stack,
    damaged,
    example,
    focal_plane_of,
    good,
    healthy,
    noisier,
    on_half,
    produce,
    response,
    simulate,
)
from cpp_flat.product import Flat
from cpp_flat.verify import verify
from numpy.typing import NDArray

from cpp_framework.model import Check, Limit, Limits, Status, VerifyContext

Plane = NDArray[np.float32]


def with_lost_columns(value: float) -> Damage:
    def damage(image: Plane) -> Plane:
        changed = image.copy()
        changed[:, [40, HALF + 40]] = value
        return changed

    return damage


def of_another_filter(image: Plane) -> Plane:
    """The light falls differently and the pixels respond differently."""
    return (image * response(5) / response(0)).astype(np.float32)


CONTROLS: dict[str, tuple[Damage, str]] = {
    "scaled by 1.02": (lambda image: image * np.float32(1.02), "F8_normalisation"),
    "scaled by 0.98": (lambda image: image * np.float32(0.98), "F2_level"),
    "one amplifier scaled by 1.02": (on_half(1.02), "F3_boundaries"),
    "shifted by a column": (lambda image: np.roll(image, 1, axis=1), "F1_noise"),
    "shifted by a row": (lambda image: np.roll(image, 1, axis=0), "F1_noise"),
    "amplifiers swapped": (lambda image: np.roll(image, HALF, axis=1), "F2_level"),
    "a column lost": (with_lost_columns(0.0), "F8_support"),
    "a column not a number": (with_lost_columns(np.nan), "F8_support"),
    "a column at 0.7": (with_lost_columns(0.7), "F2_flatness"),
    "another filter": (of_another_filter, "F1_noise"),
    "another filter's illumination": (of_another_filter, "F2_flatness"),
    "noise added": (noisier, "F1_noise"),
    "all one": (np.ones_like, "F1_noise"),
}


def run(product: Flat, ctx: VerifyContext) -> list[Check]:
    return list(verify(product, ctx))


def failures(checks: list[Check]) -> set[str]:
    return {check.name for check in checks if check.status == Status.FAIL}


@pytest.mark.parametrize("name", CONTROLS)
def test_damage_is_found(name: str) -> None:
    damage, check = CONTROLS[name]
    assert check in failures(run(*damaged(damage)))


def test_the_undamaged_flat_passes() -> None:
    assert {check.status for check in run(*good())} == {Status.PASS}


def test_levels_scaled_with_the_flat_do_not_hide_it() -> None:
    """A flat scaled by 1.02 with all its levels by 1/1.02 predicts every exposure, but not what it states."""
    stack, product = healthy()
    scaled = replace(product, image=product.image * np.float32(1.02), scales=product.scales / 1.02)
    found = failures(run(*example(stack, scaled)))
    assert "F2_level" not in found
    assert "F8_normalisation" in found


def test_a_wrong_gauge_is_found() -> None:
    stack, product = healthy()
    found = failures(run(*example(stack, focal_plane_of(product, (1.02,)))))
    assert found == {"F8_normalisation"}


@pytest.mark.parametrize("level", [300.0, 2e3, 2e4, 6e4])
def test_noise_is_judged_alike_at_all_levels(level: float) -> None:
    """Faint flats, where read noise counts, and bright ones pass; LSST's rule has no read noise."""
    rng = np.random.default_rng(int(level))
    light = np.broadcast_to(level * response(), (4, SIZE, SIZE))
    stack = Stack((rng.poisson(light) + rng.normal(0, 6, light.shape)).astype(np.float32))
    found = {check.status for check in run(*example(stack, produce(stack))) if check.name == "F1_noise"}
    assert found == {Status.PASS}


@pytest.mark.parametrize(("light", "status"), [(5e3, Status.FAIL), (2e4, Status.WARN)])
def test_a_noise_too_small_is_found_as_well(light: float, status: Status) -> None:
    """Exposures with a tenth less noise than photons have; in bright ones the brighter-fatter effect does the same."""
    stack = simulate(light=light)
    level = stack.samples.mean(axis=(1, 2), keepdims=True) * response()
    smooth = Stack((level + 0.9 * (stack.samples - level)).astype(np.float32))
    found = run(*example(smooth, produce(smooth)))
    assert {check.status for check in found if check.name == "F1_noise"} == {status}


def test_detectors_are_compared_relative_to_their_mean() -> None:
    """The scatter is a fraction, whatever the level; with one detector there is none to speak of."""
    stack, product = healthy()
    two = next(one for one in run(*example(stack, focal_plane_of(product, (1.02, 0.98)))) if one.name == "F5_detectors")
    assert two.value == pytest.approx(np.std([1.02, 0.98], ddof=1), rel=1e-6)
    one = next(check for check in run(*example(stack, product)) if check.name == "F5_detectors")
    assert one.status == Status.NOT_RUN


def test_limits_of_the_camera_count() -> None:
    product, ctx = damaged(on_half(1.02))
    wide = {name: Limit(low=-1, high=1) for name in ("F2_level", "F3_boundaries", "F8_normalisation")}
    assert not failures(run(product, replace(ctx, limits=Limits(fail=wide)))) & set(wide)


def alter(change: Callable[[NDArray[np.float32]], None], exposures: int = 6) -> tuple[Flat, VerifyContext]:
    stack = simulate(exposures)
    change(stack.samples)
    return example(stack, produce(stack))


def test_a_dead_amplifier_is_said_once_and_not_judged() -> None:
    def kill(samples: NDArray[np.float32]) -> None:
        samples[:, :, HALF:] = 7.0

    checks = run(*alter(kill))
    (dead,) = [check for check in checks if check.amplifier == "B"]
    assert dead.dead
    assert "same value" in dead.reason
    assert not failures(checks)


def test_a_refused_exposure_is_not_judged() -> None:
    def tilt(samples: NDArray[np.float32]) -> None:
        samples[2] *= np.linspace(0.8, 1.2, SIZE, dtype=np.float32)

    product, ctx = alter(tilt)
    assert list(product.refused) == ["flat-2"]
    checks = run(product, ctx)
    assert "flat-2" not in {check.exposure for check in checks}
    assert not failures(checks)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_exposures_leave_no_check_out_without_a_word(n: int) -> None:
    checks = run(*alter(lambda samples: None, n))
    assert {check.name for check in checks} == {check.name for check in run(*good())}
    (halves,) = [check for check in checks if check.name == "F7_halves"]
    assert "it takes two of each" in halves.skipped
    if n == 1:
        assert {check.status for check in checks if check.name == "F1_noise"} == {Status.NOT_RUN}
    assert not failures(checks)
