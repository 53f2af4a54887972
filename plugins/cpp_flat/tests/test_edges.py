"""Tearing (F4) is judged by what the largest of several columns does: no false alarm on healthy amplifiers."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from cpp_flat.config import FlatConfig
from cpp_flat.edges import edge_checks, largest_of
from cpp_flat.residual import flat_fielded

from cpp_framework.model import Check, Status, VerifyContext
from cpp_framework.stats.residuals import held_out_residual

STACKS, AMPLIFIERS = 40, 8


@pytest.mark.parametrize("errors", [np.ones(8), np.ones(1), np.array([1.0, 1.0, 2.0, 3.0])])
def test_largest_is_that_of_drawn_numbers(errors: Any) -> None:
    """200 000 draws: mean to 4 of its errors, scatter to a percent."""
    drawn = np.abs(np.random.default_rng(1).normal(0, errors, (200_000, errors.size))).max(axis=1)
    mean, scatter = largest_of(errors)
    assert abs(drawn.mean() - mean) < 4 * scatter / np.sqrt(drawn.size)
    assert drawn.std() == pytest.approx(scatter, rel=0.01)


def tearing(simulate_plane: Any, level: float, seed: int) -> list[Check]:
    """F4 of one exposure of one stack."""
    plane = simulate_plane([level] * 4, seed, amplifiers=(AMPLIFIERS,), shape=(96, 384))
    (flat,), detector = plane.flats().values(), plane.detectors[0]
    image = plane.images[0][seed % 4]
    frame = held_out_residual(flat, image.exposure, image.data, image.records)
    ctx = VerifyContext(detector=detector, config=FlatConfig(), residuals=partial(iter, [frame]))
    checks = edge_checks(flat_fielded(frame, flat, detector).clamped(), ctx)
    return [check for check in checks if check.name == "F4_tearing"]


@pytest.mark.parametrize("level", [300.0, 3000.0])
def test_healthy_amplifiers_do_not_tear(simulate_plane: Any, level: float) -> None:
    """320 amplifiers: none fails, fewer than 1 % warn, and the largest column is where it is expected."""
    checks = [check for seed in range(STACKS) for check in tearing(simulate_plane, level, 900 + seed)]
    assert len(checks) == STACKS * AMPLIFIERS
    assert Status.FAIL not in {check.status for check in checks}
    assert sum(check.status == Status.WARN for check in checks) < 0.01 * len(checks)
    pulls = np.array([check.z for check in checks], float)
    # Neighbours share columns, so half of the checks say something new; the errors of one line are taken to be
    # independent from column to column, which expects up to a tenth too much.
    assert abs(pulls.mean()) < 3.3 / np.sqrt(pulls.size / 2) + 0.1
    assert 0.85 < pulls.std() < 1.15
