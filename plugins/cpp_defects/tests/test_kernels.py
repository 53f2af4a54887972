"""The compiled loops equal plain numpy."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from cpp_defects._kernels import block_medians, interpolate, strongest_tails
from cpp_defects.local import local_level
from numpy.typing import NDArray


def with_holes(seed: int, shape: tuple[int, int], share: float) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    values = rng.normal(100, 5, shape).astype(np.float32)
    values[rng.random(shape) < share] = np.nan
    return values


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99, 1.0])
@pytest.mark.filterwarnings("ignore:All-NaN")
def test_block_medians(share: float) -> None:
    values = with_holes(1, (70, 50), share)
    rows, columns = np.array([0, 30, 70]), np.array([0, 20, 40, 50])
    y, x = np.indices(values.shape)
    board = np.where((y + x) % 2 == 0, values, np.nan)
    wanted = [[np.nanmedian(board[a:b, c:d]) for c, d in pairwise(columns)] for a, b in pairwise(rows)]
    assert np.allclose(block_medians(values, rows, columns), wanted, equal_nan=True, rtol=1e-7)


def test_strongest_tails() -> None:
    values = with_holes(2, (60, 30), 0.2) - np.float32(100)
    values[40:, 3] += 20
    values[:, 4] = np.nan
    clip, least = 12.0, 10
    clipped = np.clip(values, -clip, clip).astype(np.float64)
    tails = {}
    for y in range(60):
        part = clipped[y:]
        n = np.isfinite(part).sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            tails[y] = np.where((n >= least) & np.isfinite(values[y]), np.nansum(part, axis=0) / np.sqrt(n), 0)
    table = np.array(list(tails.values()))
    best = np.argmax(np.abs(table), axis=0)
    start, strength, mean = strongest_tails(values, clip, least)
    assert np.allclose(strength, table[best, np.arange(30)])
    assert np.array_equal(start[strength != 0], best[strength != 0])
    assert (start[4], strength[4], mean[4]) == (60, 0, 0)
    assert mean[3] == pytest.approx(np.nanmean(clipped[start[3] :, 3]))


@pytest.mark.parametrize("shape", [(40, 50), (200, 130), (33, 500)])
def test_the_level_of_a_plane_is_the_plane(shape: tuple[int, int]) -> None:
    y, x = np.mgrid[: shape[0], : shape[1]]
    plane = (10 + 0.02 * y - 0.03 * x).astype(np.float32)
    level = local_level(plane, 1.0)
    if min(shape) >= 64:
        assert np.allclose(level, plane, atol=0.02)  # less than a pixel's step
    assert np.allclose(np.median(level - plane), 0, atol=0.02)


def test_the_level_ignores_a_blob_of_defects() -> None:
    values = np.random.default_rng(3).normal(50, 1, (256, 256)).astype(np.float32)
    values[64:96, 64:96] = 500
    values[:, 200] = 0
    assert abs(local_level(values, 5.0) - 50).max() < 1.5


def test_the_level_of_nothing_is_nothing() -> None:
    assert np.isnan(local_level(np.full((70, 70), np.nan, np.float32), 1.0)).all()


def reference(
    data: NDArray[np.float32], variance: NDArray[np.float32], bad: NDArray[np.bool_], most: int
) -> NDArray[np.bool_]:
    """Interpolation by the words of its docstring, pixel by pixel, from untouched copies."""
    values, noise, filled = data.copy(), variance.copy(), np.zeros(bad.shape, bool)
    for y, x in np.argwhere(bad):
        options = []
        for axis in (1, 0):
            line, good = (values[y], ~bad[y]) if axis == 1 else (values[:, x], ~bad[:, x])
            error, at = (noise[y], x) if axis == 1 else (noise[:, x], y)
            before, after = np.flatnonzero(good[:at]), at + 1 + np.flatnonzero(good[at + 1 :])
            a, b = (before[-1] if before.size else -1), (after[0] if after.size else line.size)
            if b - a - 1 > most or (not before.size and not after.size):
                continue
            if before.size and after.size:
                part = (at - a) / (b - a)
                value = line[a] * (1 - part) + line[b] * part
                new = error[a] * (1 - part) ** 2 + error[b] * part**2
                options.append((0, b - a, abs(line[b] - line[a]), value, new))
            else:
                end = a if before.size else b
                options.append((1, abs(end - at), 0.0, line[end], error[end]))
        if options:
            *_, data[y, x], variance[y, x] = min(options, key=lambda one: one[:3])
            filled[y, x] = True
    return filled


@pytest.mark.parametrize("most", [1, 3, 11])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.8])
def test_interpolation(share: float, most: int) -> None:
    rng = np.random.default_rng(4)
    data = rng.normal(100, 10, (60, 45)).astype(np.float32)
    variance = rng.uniform(1, 5, data.shape).astype(np.float32)
    bad = rng.random(data.shape) < share
    bad[:, 20:22] = bad[30] = bad[:, 0] = True
    wanted, wanted_variance = data.copy(), variance.copy()
    filled = reference(wanted, wanted_variance, bad, most)
    assert np.array_equal(interpolate(data, variance, bad, most), filled)
    assert np.allclose(data, wanted, rtol=1e-6)
    assert np.allclose(variance, wanted_variance, rtol=1e-6)
