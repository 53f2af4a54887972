"""Shutter shading: where the shutter opens later or closes earlier, short exposures get less light.

A block is lit for t + δ of the exposure time t, so block over lamp level is H·(1 + δ/t): a straight line in 1/t for
each block, whose slope over intercept is δ. A smooth surface is then fitted to the δ of all blocks.

The lamp level of each exposure is free, so a delay common to the whole focal plane cannot be told from the lamp: δ is
relative to the mean of the good blocks of the focal plane. The surface is fitted to the blocks' means as if they were
values at their centres: in a sixteenth of the detector the curvature of an iris makes that 0.4 % of the shading.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtri

from cpp_flat.focal_plane import Blocks, FocalPlane
from cpp_flat.surface import INFLATE_BELOW, Surface, SurfaceFit, fit_surface
from cpp_framework.stats.chi2 import chi2_quantile

Float = NDArray[np.float64]

FALSE_ALARM = 1e-6
"""Probability that noise makes shading where there is none."""

DRIFT_ALARM = 1e-4
"""Probability that illumination which differs between exposures, whatever their times, does."""

FEWEST = 3
"""Exposures it takes: a line through two points has no scatter."""


@dataclass(frozen=True)
class Lines:
    """Lines in 1/t of the blocks of one detector: ``delay`` and ``error`` [s], NaN with fewer than three exposures.

    ``left`` and ``freedom`` are χ² about the lines, summed over the blocks, and its degrees of freedom. With lines that
    give all exposures the same weight, ``even_explained`` are the squares the slopes take away and ``even_left`` those
    that are left.
    """

    delay: Float
    error: Float
    left: float
    freedom: int
    even_explained: float
    even_left: float


@dataclass(frozen=True)
class Shading:
    """δ [s] of each detector, and whether it is shading at all."""

    surfaces: Mapping[int, Surface]
    significant: bool


def times_differ(times: Float, ratio: float) -> bool:
    """Whether exposure times are known and differ enough to tell shading from the flat itself."""
    good = times[times > 0]
    return good.size >= FEWEST and good.max() >= ratio * good.min()


def fit_shading(plane: FocalPlane, levels: Float, used: NDArray[np.bool_], order: int) -> Shading | None:
    """Fit the shading of every detector, given the lamp ``levels[exposure]``.

    ``used`` is bool ``[amplifier, exposure]``. None if no detector has blocks enough.
    """
    lines = {detector: _lines(blocks, plane.times, levels, used) for detector, blocks in plane.blocks.items()}
    fits = {}
    for detector, blocks in plane.blocks.items():
        one = lines[detector]
        fit = fit_surface(blocks.shape, (blocks.x, blocks.y), one.delay, one.error, order)
        if fit is not None:
            fits[detector] = fit
    if not fits:
        return None
    mean = _focal_plane_mean(plane, fits)
    surfaces = {detector: fit.surface.minus(mean) for detector, fit in fits.items()}
    exposures = int(np.count_nonzero(used.any(axis=0) & (plane.times > 0)))
    return Shading(surfaces, _beyond_noise(lines, fits) and _beyond_drift(list(lines.values()), exposures))


def _focal_plane_mean(plane: FocalPlane, fits: Mapping[int, SurfaceFit]) -> float:
    """Pixel-weighted mean of the surfaces over the blocks they were fitted to [s]."""
    total, pixels = 0.0, 0.0
    for detector, fit in fits.items():
        blocks = plane.blocks[detector]
        weights = blocks.pixels[fit.kept]
        total += float(weights @ fit.surface.at(blocks.x[fit.kept], blocks.y[fit.kept]))
        pixels += float(weights.sum())
    return total / pixels


def _beyond_noise(lines: Mapping[int, Lines], fits: Mapping[int, SurfaceFit]) -> bool:
    """Whether the surfaces take more χ² from a common delay than noise of so many terms would."""
    parts = [(lines[detector].delay[fit.kept], lines[detector].error[fit.kept], fit) for detector, fit in fits.items()]
    weights = np.concatenate([error for _, error, _ in parts]) ** -2.0
    common = np.average(np.concatenate([delay for delay, _, _ in parts]), weights=weights)
    gain = sum(
        (float(np.sum(((delay - common) / error) ** 2)) - fit.chi2) / fit.inflation for delay, error, fit in parts
    )
    terms = sum(fit.surface.coefficients.size for fit in fits.values()) - 1
    return gain > chi2_quantile(FALSE_ALARM, terms)


def _beyond_drift(lines: Sequence[Lines], exposures: int) -> bool:
    """Whether lines in 1/t explain the light, if it differs between exposures by more than noise.

    Illumination that drifts moves all blocks together, so all of them are no more than one line through as many points
    as there are exposures: an F test of one slope. All exposures have the same weight, as their drift does not fall
    with their photon noise.
    """
    left, freedom = sum(one.left for one in lines), sum(one.freedom for one in lines)
    if left < chi2_quantile(INFLATE_BELOW, freedom):
        return True
    ratio = sum(one.even_explained for one in lines) / sum(one.even_left for one in lines)
    return ratio * (exposures - 2) > float(fdtri(1, exposures - 2, 1 - DRIFT_ALARM))


@dataclass(frozen=True)
class _Line:
    """Weighted straight lines y = intercept + slope·x of many blocks, with the sums they were made from."""

    slope: Float
    intercept: Float
    ones: Float
    firsts: Float
    squares: Float
    determinant: Float
    left: Float

    @classmethod
    def fit(cls, x: Float, y: Float, weight: Float) -> _Line:
        """Fit ``y[block, exposure]`` over ``x[exposure]``; cells of weight 0 do not count."""
        ones, firsts, squares = weight.sum(axis=1), weight @ x, weight @ x**2
        sums, products = (weight * y).sum(axis=1), (weight * y) @ x
        determinant = ones * squares - firsts**2
        slope = (ones * products - firsts * sums) / determinant
        intercept = (squares * sums - firsts * products) / determinant
        left = np.sum(weight * (y - intercept[:, None] - slope[:, None] * x) ** 2, axis=1)
        return cls(slope, intercept, ones, firsts, squares, determinant, left)


def _lines(blocks: Blocks, times: Float, levels: Float, used: NDArray[np.bool_]) -> Lines:
    """Fit light over lamp level of each block as a straight line in 1/t."""
    with np.errstate(divide="ignore", invalid="ignore"):
        known = times > 0
        inverse = np.where(known, 1 / times, 0.0)
        ratio, error = blocks.levels / levels, blocks.errors / levels
        good = used[blocks.amplifier] & np.isfinite(ratio) & np.isfinite(error) & (error > 0) & known
        ratio = np.where(good, ratio, 0.0)
        line = _Line.fit(inverse, ratio, np.where(good, error**-2.0, 0.0))
        delay = line.slope / line.intercept
        # Of the ratio slope/intercept: variances Σw/D and Σwx²/D, covariance -Σwx/D.
        variance = line.ones + delay**2 * line.squares + 2 * delay * line.firsts
        variance /= line.determinant * line.intercept**2
        even = _Line.fit(inverse, ratio, good.astype(np.float64))
        explained = even.slope**2 * even.determinant / even.ones
    counts = good.sum(axis=1)
    enough = (counts >= FEWEST) & (line.determinant > 1e-9 * line.ones * line.squares)
    return Lines(
        delay=np.where(enough, delay, np.nan),
        error=np.where(enough, np.sqrt(np.where(enough, variance, 0.0)), np.nan),
        left=float(np.sum(line.left[enough])),
        freedom=int(np.sum(counts[enough] - 2)),
        even_explained=float(np.sum(explained[enough])),
        even_left=float(np.sum(even.left[enough])),
    )


def lighting(plane: FocalPlane, shading: Shading) -> Float:
    """Mean of 1 + δ/t over each amplifier, ``[amplifier, exposure]``; 1 where a time is not known."""
    delays = np.zeros(len(plane.amplifiers))
    for detector, surface in shading.surfaces.items():
        blocks = plane.blocks[detector]
        values = surface.at(blocks.x, blocks.y)
        for amplifier in np.unique(blocks.amplifier):
            inside = blocks.amplifier == amplifier
            delays[amplifier] = values[inside].mean()
    known = plane.times > 0
    return np.where(known, 1 + delays[:, None] / np.where(known, plane.times, 1.0), 1.0)
