"""The rules of columns: intermittent ones, whole ones, saturated ones, tails."""

from __future__ import annotations

import numpy as np
import pytest
from cpp_defects.columns import fill_columns, fill_gaps, tails, widened
from numpy.typing import NDArray

from cpp_framework.model import Mask

HEIGHT, WIDTH = 200, 12
LEAST, GAP = 10, 5


def column(*rows: range | int) -> NDArray[np.bool_]:
    """Bad pixels in column 4."""
    bad = np.zeros((HEIGHT, WIDTH), bool)
    for one in rows:
        bad[one if isinstance(one, int) else slice(one.start, one.stop, one.step), 4] = True
    return bad


CASES = {
    "a full column": (column(range(HEIGHT)), [range(HEIGHT)]),
    "a long part": (column(range(30, 150)), [range(30, 150)]),
    "a short part": (column(range(30, 41)), [range(30, 41)]),
    "blobs with a gap below the threshold": (column(range(20, 30), range(33, 43)), [range(20, 43)]),
    "blobs with a gap at the threshold": (column(range(20, 30), range(34, 44)), [range(20, 30), range(34, 44)]),
    "blobs far apart": (column(range(20, 30), range(80, 90)), [range(20, 30), range(80, 90)]),
    "every other pixel": (column(range(10, 60, 2)), [range(10, 59)]),
    "too few pixels": (column(range(10, 28, 2)), [range(0)]),
    "blobs and lone pixels": (column(range(20, 30), 32, 100, 103), [range(20, 33), range(100, 104)]),
}


@pytest.mark.parametrize("name", CASES)
def test_intermittent_columns(name: str) -> None:
    bad, parts = CASES[name]
    wanted = np.zeros_like(bad)
    for part in parts:
        wanted[part.start : part.stop, 4] = True
    found = fill_gaps(bad, LEAST, GAP)
    assert np.array_equal(found, wanted)


def test_gaps_are_those_of_one_column_only() -> None:
    bad = np.zeros((HEIGHT, WIDTH), bool)
    bad[HEIGHT - 20 :, 3] = True
    bad[:20, 4] = True
    assert np.array_equal(fill_gaps(bad, LEAST, GAP), bad)


def test_without_bad_pixels_nothing_is_filled() -> None:
    nothing = np.zeros((HEIGHT, WIDTH), bool)
    for found in (fill_gaps(nothing, LEAST, GAP), fill_columns(nothing, 1), widened(nothing, 5, 2)):
        assert not found.any()


@pytest.mark.parametrize(("n", "filled"), [(24, False), (25, True)])
def test_many_bad_pixels_fill_the_column(n: int, filled: bool) -> None:
    found = fill_columns(column(range(0, 3 * n, 3)), 25)
    assert found[:, 4].all() == filled
    assert not np.delete(found, 4, axis=1).any()


def test_saturated_pixels_are_widened_and_fill_columns() -> None:
    saturated = np.zeros((HEIGHT, WIDTH), bool)
    saturated[:5, 0] = True
    saturated[50, 6] = True
    found = widened(saturated, 5, 2)
    wanted = np.zeros_like(found)
    wanted[:, 0] = wanted[:5, 1:3] = wanted[50, 4:9] = True
    assert np.array_equal(found, wanted)


def field(seed: int = 1) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 1, (500, 64)).astype(np.float32)


@pytest.mark.parametrize("low", [None, Mask.BLOCKED])
def test_tails_begin_where_the_column_goes_wrong(low: Mask | None) -> None:
    values = field()
    values[:, 10] += 3
    values[200:, 20] += 3
    values[200:, 30] -= 3
    values[:, 40] -= 3
    values[100, 50] += 1e6
    found = tails(values, 1.0, 5.0, low)
    columns = {int(x): np.flatnonzero(found[:, x]) for x in np.flatnonzero(found.any(axis=0))}
    assert set(columns) == ({10, 20} if low is None else {10, 20, 30, 40})
    assert columns[10].size == 500
    assert abs(columns[20][0] - 200) <= 2
    assert np.all(found[columns[20], 20] == Mask.BAD_COLUMN)
    assert columns[20][-1] == 499
    if low is not None:
        assert abs(columns[30][0] - 200) <= 2
        assert np.all(found[columns[30], 30] == Mask.BLOCKED)
        assert np.all(found[:, 40] == Mask.BAD_COLUMN)


def test_significant_columns_within_the_limit_are_good() -> None:
    values = field()
    values[:, 10] += 3
    assert not tails(values, 4.0, 5.0, Mask.BLOCKED).any()


def test_healthy_columns_are_no_defects() -> None:
    """64 columns of each of 40 fields, limits of a tenth of the noise: n_sigma alone decides."""
    assert not any(tails(field(seed), 0.1, 5.0, Mask.BLOCKED).any() for seed in range(40))
