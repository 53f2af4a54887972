"""Smooth surfaces over a detector: low-order polynomials in x and y, fitted robustly to block values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.table import Table
from numpy.typing import ArrayLike, NDArray

from cpp_framework.stats.chi2 import chi2_quantile

Float = NDArray[np.float64]

REJECT = 5.0
"""Blocks further from the surface than this many of their errors, and of the blocks' scatter, do not count."""

INFLATE_BELOW = 1e-4
"""Tail probability of χ² below which the scatter of the blocks, not their errors, sets the covariance."""


@dataclass(frozen=True)
class Surface:
    """Σ c_ij·X^i·Y^j with X and Y running from -1 to 1 over the detector's ``shape`` (height, width).

    ``powers`` int ``[term, 2]`` are (i, j); ``coefficients`` ``[term]`` and ``covariance`` ``[term, term]``.
    """

    shape: tuple[int, int]
    powers: NDArray[np.int64]
    coefficients: Float
    covariance: Float

    def at(self, x: ArrayLike, y: ArrayLike) -> Float:
        """Value at pixel positions (the centre of the first pixel is 0)."""
        found: Float = terms(self.shape, self.powers, x, y) @ self.coefficients
        return found

    def error_at(self, x: ArrayLike, y: ArrayLike) -> Float:
        """One σ of the value at pixel positions."""
        design = terms(self.shape, self.powers, x, y)
        found: Float = np.sqrt(np.einsum("...i,ij,...j->...", design, self.covariance, design))
        return found

    def plane(self) -> NDArray[np.float32]:
        """Value of every pixel ``[y, x]``."""
        order = int(self.powers.max()) + 1
        matrix = np.zeros((order, order))
        matrix[self.powers[:, 1], self.powers[:, 0]] = self.coefficients
        ys, xs = (np.vander(_unit(np.arange(n), n), order, increasing=True) for n in self.shape)
        return (ys @ matrix @ xs.T).astype(np.float32)

    def minus(self, constant: float) -> Surface:
        """Return the surface lowered by a constant."""
        lowered = self.coefficients.copy()
        lowered[0] -= constant
        return Surface(self.shape, self.powers, lowered, self.covariance)

    def table(self, unit: str) -> Table:
        """Coefficients with errors and covariance, as products keep it."""
        table = Table({"X_POWER": self.powers[:, 0], "Y_POWER": self.powers[:, 1]})
        table["COEFFICIENT"] = self.coefficients
        table["ERROR"] = np.sqrt(np.diag(self.covariance))
        table["COVARIANCE"] = self.covariance
        for name, power in (("COEFFICIENT", 1), ("ERROR", 1), ("COVARIANCE", 2)):
            table[name].unit = unit if power == 1 or not unit else f"{unit}{power}"
        return table

    @classmethod
    def from_table(cls, table: Table, shape: tuple[int, int]) -> Surface:
        """Read what `table` wrote."""
        powers = np.stack([np.asarray(table["X_POWER"], np.int64), np.asarray(table["Y_POWER"], np.int64)], axis=1)
        coefficients = np.asarray(table["COEFFICIENT"], np.float64)
        return cls(shape, powers, coefficients, np.asarray(table["COVARIANCE"], np.float64))


@dataclass(frozen=True)
class SurfaceFit:
    """A surface, which of the blocks it was fitted to, its χ² over them, and what the covariance was inflated by."""

    surface: Surface
    kept: NDArray[np.bool_]
    chi2: float
    inflation: float
    extra: Float


def powers_up_to(order: int) -> NDArray[np.int64]:
    """All (i, j) with i + j <= ``order``; the constant first."""
    return np.array([(total - j, j) for total in range(order + 1) for j in range(total + 1)], np.int64)


def terms(shape: tuple[int, int], powers: NDArray[np.int64], x: ArrayLike, y: ArrayLike) -> Float:
    """X^i·Y^j of positions, ``[..., term]``."""
    along_x, along_y = _unit(np.asarray(x, float), shape[1]), _unit(np.asarray(y, float), shape[0])
    found: Float = along_x[..., None] ** powers[:, 0] * along_y[..., None] ** powers[:, 1]
    return found


def _unit(pixel: NDArray[np.floating] | NDArray[np.integer], size: int) -> Float:
    """Pixel positions as fractions from -1 to 1 of the detector's side."""
    return (2 * np.asarray(pixel, np.float64) + 1) / size - 1


def fit_surface(
    shape: tuple[int, int],
    position: tuple[Float, Float],
    values: Float,
    errors: Float,
    order: int,
    extra: Float | None = None,
) -> SurfaceFit | None:
    """Weighted least squares of a polynomial surface, leaving out deviating blocks.

    Parameters
    ----------
    shape : (height, width) of the detector
    position : (x, y), each float64 ``[block]`` in pixels
    values, errors : float64 ``[block]``
        Blocks that are not finite do not count.
    order : int
        Highest i + j.
    extra : float64 ``[block, column]``, optional
        Further columns of the design, fitted together with the surface.

    Returns
    -------
    SurfaceFit, or None if there are not more blocks than terms.
    """
    powers = powers_up_to(order)
    design = terms(shape, powers, *position)
    if extra is not None:
        design = np.hstack([design, extra])
    good = np.isfinite(values) & np.isfinite(errors) & (np.nan_to_num(errors) > 0)
    kept = good
    while True:
        if np.count_nonzero(kept) <= design.shape[1]:
            return None
        weighted = design[kept] / errors[kept, None]
        solution = np.asarray(np.linalg.lstsq(weighted, values[kept] / errors[kept], rcond=1e-10)[0], np.float64)
        deviation = np.full(values.shape, np.inf)
        deviation[good] = np.abs(values - design @ solution)[good] / errors[good]
        scale = max(1.0, 1.4826 * float(np.median(deviation[good])))
        # Blocks are only ever taken away, so this ends.
        kept, before = kept & (deviation <= REJECT * scale), kept
        if np.array_equal(kept, before):
            break
    chi2 = float(np.sum(deviation[kept] ** 2))
    dof = int(kept.sum()) - int(np.linalg.matrix_rank(weighted))
    covariance = np.asarray(np.linalg.pinv(weighted.T @ weighted, rcond=1e-12, hermitian=True), np.float64)
    inflation = 1.0
    if dof > 0 and chi2 > chi2_quantile(INFLATE_BELOW, dof):
        inflation = chi2 / dof
    n = len(powers)
    surface = Surface(shape, powers, solution[:n], inflation * covariance[:n, :n])
    return SurfaceFit(surface, kept, chi2, inflation, solution[n:])
