"""The expectations of the checks are exact: pulls over independent stacks, with noise that rows and columns share.

Of each stack one exposure is judged, as held-out residuals of one stack are not independent. 15 statistics: the limits
give all of them together a false-alarm rate of 1 %.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from cpp_dark.config import DarkConfig
from cpp_dark.verify import verify

from cpp_framework.model import Check, Status, VerifyContext
from cpp_framework.stats.residuals import HeldOut

SIGMA = 3.4
STACKS = 60
ROW, COLUMN = 0.2, 0.3
"""Noise that a row or a column shares, in read noises of 5 electron = 3.33 adu."""


def checks_of(one: Any) -> list[Check]:
    product = one.produce()
    held_out = HeldOut(product, one.detector)
    ctx = VerifyContext(
        detector=one.detector,
        config=DarkConfig(),
        residuals=lambda: (
            held_out.frame(exposure, plane, records)
            for exposure, plane, records in zip(one.exposures, one.samples, one.records, strict=True)
        ),
        exposures=one.exposures,
        gains={amp.name: amp.gain for amp in one.detector.amplifiers if amp.gain is not None},
        needs=one.needs,
    )
    return list(verify(product, ctx))


def add_line_noise(one: Any, seed: int) -> None:
    rng = np.random.default_rng(seed + 1_000_000)
    for plane, records in zip(one.samples, one.records, strict=True):
        for amp in one.detector.amplifiers:
            height, width = amp.box.height, amp.box.width
            plane[amp.box.slices] += rng.normal(0, 5 * ROW, (height, 1)).astype(np.float32)
            plane[amp.box.slices] += rng.normal(0, 5 * COLUMN, (1, width)).astype(np.float32)
            record = records[amp.name]
            measured = record.read_noise**2
            record.level_variance, record.column_variance = ROW**2 * measured, COLUMN**2 * measured


@pytest.mark.parametrize("times", [(60,) * 5, (30, 30, 60, 60, 120, 120)], ids=["equal", "mixed"])
def test_pulls_of_the_checks(night: Any, times: tuple[float, ...]) -> None:
    pulls: dict[str, list[float]] = {}
    for seed in range(STACKS):
        one = night(times, 7000 + seed, rate=0.1, bias_of=9, shape=(64, 96))
        add_line_noise(one, seed)
        for check in checks_of(one):
            if check.z is not None and check.exposure in ("", "dark-2"):
                pulls.setdefault(check.name, []).append(check.z)
    limit = SIGMA / math.sqrt(2 * STACKS)
    found = {name: (float(np.mean(z)), float(np.sqrt(np.mean(np.square(z))))) for name, z in pulls.items()}
    names = ["D1_level", "D2_noise", "D5_halves_noise", "D5_halves_mean"]
    names += ["D6_linearity"] if len(set(times)) > 1 else []
    for name in names:
        mean, rms = found[name]
        # Of mixed times few samples outweigh the others: clipping those that scatter apart costs 0.8 % of the halves'
        # difference, 0.6 errors here.
        apart = 0.6 if name == "D5_halves_noise" and len(set(times)) > 1 else 0.05
        assert abs(mean) < limit + apart, (name, found)
        assert rms < 1 + limit / math.sqrt(2) + 0.05, (name, found)
        # Errors of the mean of halves are the larger of two estimates: a little too large by construction.
        assert rms > 1 - limit / math.sqrt(2) - (0.15 if name == "D5_halves_mean" else 0.05), (name, found)
    for name in ("D3_columns", "D3_rows", "D3_blocks"):
        assert abs(found[name][0]) < 1, (name, found)


@pytest.mark.parametrize(
    ("times", "options"),
    [
        ((60,) * 9, {}),
        ((30,) * 6 + (120,) * 6, {}),
        ((30, 30, 60, 60, 120, 120), {"biases": 6, "bias_of": 0}),
        ((60,) * 6 + (120,) * 6, {"drift": 40.0, "overscan": False}),
        ((60,), {}),
    ],
    ids=str,
)
def test_healthy_stacks_do_not_fail(night: Any, times: tuple[float, ...], options: dict[str, Any]) -> None:
    """Stacks of each kind, with hot pixels and cosmic rays. Family-wise rate of a failure below 1 %."""
    bad = []
    for seed in range(15):
        rng = np.random.default_rng(seed)
        rate = np.full((64, 96), 0.05)
        hot = rng.random(rate.shape) < 0.002
        rate[hot] = 30.0 ** rng.random(hot.sum())
        one = night(times, 8000 + seed, rate=rate, cosmic_rays=2e-4, shape=(64, 96), **options)
        bad += [check for check in checks_of(one) if check.status in (Status.FAIL, Status.NOT_FINITE)]
    assert not [
        (check.name, check.exposure, check.value, check.error) for check in bad if check.name != "D10_cosmic_rays"
    ]


@pytest.mark.parametrize("overscan", [True, False], ids=["overscan", "no overscan"])
@pytest.mark.parametrize("nominal_gain", [True, False], ids=["nominal gain", "no gain"])
def test_healthy_stacks_in_adu_do_not_fail(night: Any, nominal_gain: bool, overscan: bool) -> None:
    """800 electron of dark signal: shot noise is most of the noise."""
    for seed in range(5):
        one = night((100,) * 4 + (200,) * 4, 8500 + seed, rate=4.0, overscan=overscan).in_adu(nominal_gain=nominal_gain)
        checks = [check for check in checks_of(one) if check.name != "D7_current"]
        assert not [check for check in checks if check.status in (Status.FAIL, Status.NOT_FINITE)]
        noises = {check.status for check in checks if check.name in ("D2_noise", "D5_halves_noise")}
        assert noises == {Status.PASS if nominal_gain and overscan else Status.NOT_RUN}
