"""Fit a stack whose exposures have different scales: dark rates from dark times, a flat from levels."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from cpp_framework.errors import ContractError
from cpp_framework.model.context import Frames
from cpp_framework.model.geometry import Box
from cpp_framework.model.mask import Mask
from cpp_framework.stats.chi2 import chi2_thresholds
from cpp_framework.stats.combine import (
    INFLATE_BELOW,
    TILE_BYTES,
    UNSTABLE_BELOW,
    Combined,
    add_common_bits,
    checked_use,
    checked_weights,
)
from cpp_framework.stats.noise import StackNoise


@dataclass(frozen=True)
class FittedStack(Combined):
    """A fitted stack: as `Combined`, in units of the frames per unit of scale.

    ``zero`` and ``zero_error`` ``[y, x]`` are the intercept in the unit of the frames; of shape (0, 0) if none was
    fitted.
    """

    zero: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    zero_error: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))


def fit_stack(
    frames: Frames,
    noise: StackNoise,
    *,
    scales: Sequence[float] | NDArray[np.float64],
    weights: Sequence[float] | NDArray[np.float64],
    offsets: NDArray[np.float64] | None = None,
    intercept: bool = False,
    used_exposures: NDArray[np.bool_] | None = None,
    clip: float = 4.0,
    threads: int = 1,
    tile_rows: int | None = None,
) -> FittedStack:
    """Fit ``sample[k] = scales[k]·P (+ Z) + offsets[k]`` in every pixel, leaving out samples too far from the model.

    The estimate is P = Σ w s (x − o) / Σ w s² over the samples kept (a weighted line where ``intercept``). Samples are
    judged against a robust start: the median of (x − o)/s; if the scales differ by more than a factor of 2, that of
    one sample to which most others are near; the line through the two samples to which most others are near. A sample
    is left out if it deviates by more than ``clip`` times its noise σ_k or, from four samples on, 1.48 MAD if that is
    larger; σ_k² is the read-noise variance plus max(model, 0)/gain. Of two
    samples that disagree the higher is left out, and of three that all disagree the lowest is kept, since cosmic rays
    are positive. The error propagates σ_k, inflated to the scatter where χ² is too large (p < 1e-4).

    With all scales 1 this is `combine`, which is much faster. The result does not depend on threads or tiles.

    Parameters
    ----------
    frames : Frames
        Samples that are not finite are left out, and so are those of scale 0 where there is no intercept.
    noise : StackNoise
        Noise of one sample at zero signal, and the gain for Poisson noise where known.
    scales : sequence of float
        One per exposure.
    weights : sequence of float
        One per exposure, above 0.
    offsets : float64 array ``[exposure, amplifier]``, optional
        Taken off each exposure, in the unit of the frames.
    intercept : bool
        Whether to fit Z, which takes samples of two different scales in a pixel.
    used_exposures, clip, threads, tile_rows
        As in `combine`.

    Raises
    ------
    ContractError
        The numbers per exposure do not fit the frames.
    """
    count, detector = len(frames.exposures), frames.detector
    checked = checked_weights(list(weights), count)
    assert checked is not None
    stack = _Stack(
        frames=frames,
        noise=noise,
        scales=_checked_scales(scales, count),
        weights=checked,
        offsets=_checked_offsets(offsets, (count, len(detector.amplifiers))),
        intercept=intercept,
        used_exposures=checked_use(frames, used_exposures),
        clip=clip,
        unstable_below=UNSTABLE_BELOW / sum(amp.box.width * amp.box.height for amp in detector.amplifiers),
        result=_empty(detector.shape, intercept),
    )
    rows = tile_rows or max(1, TILE_BYTES // (4 * count * detector.width))
    tiles = [(y, min(y + rows, detector.height)) for y in range(0, detector.height, rows)]
    with ThreadPoolExecutor(threads) as pool:
        rejected = np.concatenate(list(pool.map(partial(_fit_tile, stack), tiles)))
    order = np.lexsort((rejected[:, 2], rejected[:, 1], rejected[:, 0]))
    return replace(stack.result, rejected=rejected[order])


def _checked_scales(scales: Sequence[float] | NDArray[np.float64], count: int) -> NDArray[np.float64]:
    checked = np.asarray(scales, np.float64)
    if checked.shape != (count,) or not np.all(np.isfinite(checked) & (checked >= 0)):
        raise ContractError(f"scales must be {count} numbers of 0 or more, one per exposure; got {list(scales)}")
    return checked


def _checked_offsets(offsets: NDArray[np.float64] | None, shape: tuple[int, int]) -> NDArray[np.float64]:
    if offsets is None:
        return np.zeros(shape)
    if offsets.shape != shape or not np.all(np.isfinite(offsets)):
        raise ContractError(f"offsets must be finite numbers (exposures, amplifiers) = {shape}, not {offsets.shape}")
    return np.asarray(offsets, np.float64)


def _empty(shape: tuple[int, int], intercept: bool) -> FittedStack:
    """Planes to be filled tile by tile; what no amplifier covers stays without data."""
    of_zero = shape if intercept else (0, 0)
    return FittedStack(
        image=np.full(shape, np.nan, np.float32),
        error=np.full(shape, np.nan, np.float32),
        used=np.zeros(shape, np.uint16),
        mask=np.full(shape, Mask.NO_DATA, np.uint32),
        rejected=np.zeros((0, 4), np.int32),
        zero=np.full(of_zero, np.nan, np.float32),
        zero_error=np.full(of_zero, np.nan, np.float32),
    )


@dataclass(frozen=True)
class _Stack:
    """What every tile is fitted with; ``result`` holds the planes they write to."""

    frames: Frames
    noise: StackNoise
    scales: NDArray[np.float64]
    weights: NDArray[np.float64]
    offsets: NDArray[np.float64]
    intercept: bool
    used_exposures: NDArray[np.bool_]
    clip: float
    unstable_below: float
    result: FittedStack


def _fit_tile(stack: _Stack, tile: tuple[int, int]) -> NDArray[np.int32]:
    """Fit rows ``tile`` of all amplifiers and return the runs of samples left out."""
    samples = np.ascontiguousarray(stack.frames.rows(*tile), np.float32)
    masks = stack.frames.masks(*tile)
    runs = [np.zeros((0, 4), np.int32)]
    for index, amp in enumerate(stack.frames.detector.amplifiers):
        box = amp.box.intersection(Box(0, tile[0], stack.frames.detector.width, tile[1]))
        which = np.flatnonzero(stack.used_exposures[:, index])
        if box.empty or which.size == 0:
            continue
        inside = slice(box.y0 - tile[0], box.y1 - tile[0])
        runs.append(_fit_box(stack, np.ascontiguousarray(samples[:, inside]), which, index, box))
        add_common_bits(masks[:, inside, box.x0 : box.x1], which, stack.result.mask[box.slices])
    return np.concatenate(runs)


def _fit_box(
    stack: _Stack, samples: NDArray[np.float32], which: NDArray[np.int64], index: int, box: Box
) -> NDArray[np.int32]:
    """Fit the exposures ``which`` in one amplifier; ``samples`` are the rows of ``box`` in full width."""
    from cpp_framework.stats import _fit_kernels as kernels

    amplifier = stack.frames.detector.amplifiers[index].name
    variances = [stack.noise.variance(amplifier, np.array([k])) for k in which]
    rows, result = slice(box.y0, box.y1), stack.result
    shape = (box.y1 - box.y0, samples.shape[2])
    unstable, rejected = np.zeros(shape, bool), np.zeros((which.size, *shape), bool)
    zero, zero_error = (result.zero[rows], result.zero_error[rows]) if stack.intercept else (result.zero, result.zero)
    kernels.fit_box(
        samples, which, box.x0, box.x1,
        stack.scales[which], stack.weights[which], stack.offsets[which, index],
        np.array([at_zero for at_zero, _ in variances]), variances[0][1], stack.clip, stack.intercept,
        chi2_thresholds(INFLATE_BELOW, which.size), chi2_thresholds(stack.unstable_below, which.size),
        result.image[rows], result.error[rows], zero, zero_error, result.used[rows], unstable, rejected,
    )  # fmt: skip
    mask = result.mask[box.slices]
    mask[:] = np.where(result.used[box.slices] == 0, Mask.NO_DATA, 0)
    mask[unstable[:, box.x0 : box.x1]] = Mask.UNSTABLE
    runs = kernels.runs_of(rejected)
    runs[:, 0] = which[runs[:, 0]]
    runs[:, 1] += box.y0
    return runs
