"""Where effects act: pixels drawn at random, distances from the middle of a detector, defects in the truth."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cpp_framework.sim.truth import TABLES

Index = NDArray[np.intp]


def draw_pixels(random: np.random.Generator, shape: tuple[int, ...], fraction: float) -> tuple[Index, Index]:
    """Draw rows and columns of different pixels, a binomial number of them, in raster order."""
    rows, columns = shape
    number = random.binomial(rows * columns, fraction)
    chosen = np.sort(random.choice(rows * columns, number, replace=False, shuffle=False))
    return np.divmod(chosen, columns)


def squared_radius(shape: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Parts of the squared distance from the middle, 1 in the corners: ``[y, 1]`` and ``[1, x]``, to be added."""
    v, u = centred(shape)
    norm = v[-1] ** 2 + u[-1] ** 2 or np.float32(1)
    return (v**2 / norm)[:, np.newaxis], (u**2 / norm)[np.newaxis, :]


def centred(shape: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Rows and columns counted from the middle of the detector [pixel]."""
    rows, columns = shape
    return (
        np.arange(rows, dtype=np.float32) - np.float32((rows - 1) / 2),
        np.arange(columns, dtype=np.float32) - np.float32((columns - 1) / 2),
    )


def defect_rows(kind: str, y: ArrayLike, x: ArrayLike, value: ArrayLike, height: ArrayLike = 1) -> NDArray[Any]:
    """Rows for the table of defects; see `cpp_framework.sim.truth.TABLES`."""
    y, x = np.atleast_1d(y), np.atleast_1d(x)
    rows = np.zeros(y.size, TABLES["defects"])
    rows["kind"], rows["y"], rows["x"], rows["height"], rows["value"] = kind, y, x, height, value
    return rows
