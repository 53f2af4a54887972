"""Exposures that do not belong are refused and named, whatever their dark time; healthy ones never are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from cpp_framework.errors import InputsMissingError
from cpp_framework.model import AmplifierStatus, Mask

MIXED = (10, 30, 60, 120, 300, 300)


@pytest.mark.parametrize("times", [(60,) * 3, (60,) * 5, MIXED], ids=str)
@pytest.mark.parametrize("shift", [20.0, 200.0])
def test_a_light_struck_exposure_is_refused_and_named(night: Any, times: tuple[float, ...], shift: float) -> None:
    one = night(times, 1)
    one.samples[1] += np.float32(shift)
    product = one.produce()
    assert set(product.refused) == {"dark-1"}
    assert product.refused["dark-1"].startswith("level")
    assert "dark-1" not in product.stacked
    assert len(product.scales) == len(product.stacked) == len(times) - 1


@pytest.mark.parametrize("times", [(60,) * 5, (60, 60, 60, 120, 120, 120)], ids=str)
def test_a_noisy_exposure_is_refused_and_named(night: Any, times: tuple[float, ...]) -> None:
    one = night(times, 2)
    one.samples[1] += np.random.default_rng(1).normal(0, 20, one.samples[1].shape).astype(np.float32)
    product = one.produce()
    assert set(product.refused) == {"dark-1"}
    assert product.refused["dark-1"].startswith("noise")


def test_an_exposure_bad_in_one_amplifier_stays_in_the_other(night: Any) -> None:
    one = night(MIXED, 3)
    one.samples[2, :, 64:] += np.float32(100)
    product = one.produce()
    assert list(product.refused) == ["dark-2/B"]
    assert "brought to" not in product.refused["dark-2/B"] or "60" not in product.refused["dark-2/B"]
    rejected = product.rejected_mask("dark-2")
    assert rejected[:, 64:].all()
    assert rejected[:, :64].mean() < 0.01
    assert product.amplifiers["B"].values["exposures"].value == len(MIXED) - 1


@pytest.mark.parametrize(
    ("times", "options"),
    [
        ((60,) * 3, {}),
        (MIXED, {}),
        (MIXED, {"rate": 2.0}),
        (MIXED, {"biases": 5, "bias_of": 0}),
        ((60, 60), {"biases": 5, "bias_of": 0}),
        ((10, 10, 10, 300, 300, 300), {"drift": 40.0, "overscan": False}),
    ],
    ids=str,
)
def test_no_healthy_exposure_is_refused(night: Any, times: tuple[float, ...], options: dict[str, Any]) -> None:
    for seed in range(10):
        assert not night(times, 6000 + seed, **options).produce().refused


def test_two_darks_that_disagree_are_both_kept(night: Any) -> None:
    """Nobody can tell which is wrong; beside biases neither."""
    for options in ({}, {"biases": 4, "bias_of": 0}):
        one = night((60, 60), 4, **options)
        one.samples[-1] += np.float32(15)
        assert not one.produce().refused


@pytest.mark.parametrize("time", [math.nan, -5.0])
def test_an_exposure_without_a_dark_time_is_refused(night: Any, time: float) -> None:
    one = night((60, 60, 60, 60), 5)
    one.exposures[2] = one.exposures[2].model_copy(update={"dark_time": time})
    product = one.produce()
    assert set(product.refused) == {"dark-2"}
    assert product.refused["dark-2"].startswith(f"dark time {time} s")


def test_one_dark_time_without_a_bias_is_an_error_with_a_hint(night: Any) -> None:
    with pytest.raises(InputsMissingError, match="all 4 have 60 s") as caught:
        night((60,) * 4, 6, bias_of=0).produce()
    assert "cpp produce --type bias" in caught.value.hint


def test_an_amplifier_left_with_one_dark_time_is_dead(night: Any) -> None:
    one = night((60, 60, 60, 60, 300), 7, bias_of=0)
    one.masks[4, :, 64:] = Mask.SAT
    product = one.produce()
    assert product.amplifiers["B"].status == AmplifierStatus.DEAD
    assert "two dark times" in product.amplifiers["B"].reason
    assert np.isnan(product.image[:, 64:]).all()
    assert product.amplifiers["A"].status == AmplifierStatus.OK


def test_the_exposures_are_listed_with_their_numbers(night: Any) -> None:
    one = night(MIXED, 8, rate=0.5)
    table = one.produce().tables["EXPOSURES"]
    assert len(table) == 2 * len(MIXED)
    assert [table[name].unit for name in ("DARK_TIME", "LEVEL", "NOISE", "OFFSET")] == ["s", *["electron"] * 3]
    assert np.allclose(table["LEVEL"], 0.5 * np.asarray(table["DARK_TIME"]), atol=2)
    assert np.allclose(table["NOISE"], np.sqrt(25 + 0.5 * np.asarray(table["DARK_TIME"])), rtol=0.05)
