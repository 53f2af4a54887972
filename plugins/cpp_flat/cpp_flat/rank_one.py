"""Throughput of each amplifier times level of each exposure: a rank-one model, linear in logarithms.

log B[a, e] = log G[a] + log E[e], weighted least squares, solved in closed form: eliminating the amplifiers leaves one
equation per exposure. Cells without a good value have no weight; nothing is filled in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Float = NDArray[np.float64]


@dataclass(frozen=True)
class RankOne:
    """The fit B = G·E.

    ``throughput`` ``[amplifier]`` is dimensionless, with a pixel-weighted mean of 1; ``level`` ``[exposure]`` has the
    unit of the values. Errors are one σ, in that gauge. ``residual`` ``[amplifier, exposure]`` is log(B / (G·E)). NaN
    where nothing connects an amplifier or exposure with the rest.
    """

    throughput: Float
    throughput_error: Float
    level: Float
    level_error: Float
    residual: Float


def fit_rank_one(values: Float, errors: Float, pixels: Float) -> RankOne:
    """Fit levels of exposures and throughputs of amplifiers.

    Parameters
    ----------
    values, errors : float64 ``[amplifier, exposure]``
        Mean light and its error. Cells that are not finite or not above zero, in value or error, do not count.
    pixels : float64 ``[amplifier]``
        How many pixels each amplifier has: the weights of the gauge.
    """
    good = np.isfinite(values) & np.isfinite(errors) & (np.nan_to_num(values) > 0) & (np.nan_to_num(errors) > 0)
    good &= _largest_component(good)
    rows, columns = good.any(axis=1), good.any(axis=0)
    by_amplifier, by_exposure = np.full((2, rows.size), np.nan), np.full((2, columns.size), np.nan)
    fit = RankOne(by_amplifier[0], by_amplifier[1], by_exposure[0], by_exposure[1], np.full(values.shape, np.nan))
    if not good.any():
        return fit
    inside = np.ix_(rows, columns)
    used = good[inside]
    logs = np.log(np.where(used, values[inside], 1.0))
    weights = np.where(used, (np.where(used, values[inside], 0.0) / np.where(used, errors[inside], 1.0)) ** 2, 0.0)
    log_g, log_e, error_g, error_e = _solve(logs, weights, pixels[rows])
    fit.throughput[rows], fit.throughput_error[rows] = np.exp(log_g), np.exp(log_g) * error_g
    fit.level[columns], fit.level_error[columns] = np.exp(log_e), np.exp(log_e) * error_e
    fit.residual[inside] = np.where(used, logs - log_g[:, None] - log_e, np.nan)
    return fit


def _largest_component(good: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Cells of the largest set of amplifiers and exposures that good cells connect: only there ratios are known."""
    amplifiers, exposures = np.nonzero(good)
    size = sum(good.shape)
    graph = coo_array((np.ones(amplifiers.size), (amplifiers, exposures + good.shape[0])), shape=(size, size))
    _, label = connected_components(graph, directed=False)
    cells = np.where(good, label[: good.shape[0], None], -1)
    found, counts = np.unique(cells[good], return_counts=True)
    largest: NDArray[np.bool_] = cells == (found[np.argmax(counts)] if found.size else -2)
    return largest


def _solve(logs: Float, weights: Float, pixels: Float) -> tuple[Float, Float, Float, Float]:
    """Log throughputs and log levels, and their errors, in the gauge of a pixel-weighted mean throughput of 1."""
    total = weights.sum(axis=1)
    share = weights / total[:, None]
    mean = np.sum(share * logs, axis=1)
    normal = np.diag(weights.sum(axis=0)) - weights.T @ share
    # Adding a constant to all levels changes nothing: the pseudo-inverse leaves that direction out.
    covariance = np.linalg.pinv(normal, rcond=1e-12, hermitian=True)
    level = covariance @ (np.sum(weights * logs, axis=0) - weights.T @ mean)
    throughput = mean - share @ level
    part = pixels * np.exp(throughput - throughput.max())
    gauge = np.log(np.sum(part) / np.sum(pixels)) + throughput.max()
    # ``mean`` and ``level`` are uncorrelated, so the errors in the gauge Σ part·δ(log G) = 0 are sums of two terms.
    part /= part.sum()
    common = part @ share
    shared = np.sum(part**2 / total)
    to_level = np.eye(level.size) - common
    error_level = np.sqrt(np.einsum("ij,jk,ik->i", to_level, covariance, to_level) + shared)
    to_throughput = share - common
    variance = np.einsum("ij,jk,ik->i", to_throughput, covariance, to_throughput)
    error_throughput = np.sqrt(np.maximum(variance + (1 - 2 * part) / total + shared, 0.0))
    return throughput - gauge, level + gauge, error_throughput, error_level
