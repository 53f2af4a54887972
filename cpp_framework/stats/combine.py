"""Combine a stack of exposures into image, error, mask and used count, robustly and with errors that hold."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from cpp_framework.errors import ContractError
from cpp_framework.model.context import Frames
from cpp_framework.model.geometry import Box
from cpp_framework.model.mask import Mask
from cpp_framework.stats.chi2 import chi2_thresholds
from cpp_framework.stats.noise import StackNoise

INFLATE_BELOW = 1e-4
"""Tail probability of the scatter below which a pixel's error is inflated to it."""

UNSTABLE_BELOW = 0.01
"""Expected number of healthy pixels per image that are called UNSTABLE by chance."""

TILE_BYTES = 4_000_000
"""Samples of one tile: small enough for the caches, large enough that starting a tile costs nothing."""


@dataclass(frozen=True)
class Combined:
    """A combined stack; planes ``[y, x]`` of the assembled detector, in the unit of the frames.

    ``error`` is one σ of ``image``. ``used`` counts the samples averaged. ``mask`` has NO_DATA where there are none
    (image and error are NaN there), UNSTABLE where the kept samples scatter more than their noise, and the bits
    set in more than half of the exposures used. ``rejected`` lists runs of clipped samples: exposure (index into
    the frames), y, x0, length, sorted.
    """

    image: NDArray[np.float32]
    error: NDArray[np.float32]
    used: NDArray[np.uint16]
    mask: NDArray[np.uint32]
    rejected: NDArray[np.int32]

    @property
    def rejected_samples(self) -> int:
        """Number of clipped samples."""
        return int(self.rejected[:, 3].sum())

    @property
    def unstable_pixels(self) -> int:
        """Number of pixels that scatter more than their noise."""
        return int(np.count_nonzero(self.mask & Mask.UNSTABLE))


def combine(
    frames: Frames,
    noise: StackNoise,
    *,
    used_exposures: NDArray[np.bool_] | None = None,
    weights: Sequence[float] | None = None,
    clip: float = 4.0,
    threads: int = 1,
    tile_rows: int | None = None,
) -> Combined:
    """Average a stack, leaving out samples too far from the median.

    A sample is rejected if it is more than ``clip`` scales from its pixel's median. The scale is the model noise σ
    for up to three samples, and the larger of σ and 1.48 MAD for four or more. Of two samples differing by more
    than ``clip``·√2·σ the higher is rejected, since cosmic rays are positive: a negative outlier among two stays. Of
    three that all disagree the lowest is kept, for the same reason.
    σ² is the read-noise variance of the amplifier, plus max(median, 0)/gain where a gain is given.

    The error is σ/√used. Where the kept samples scatter more than χ² allows (p < 1e-4) it is inflated to their
    scatter. The result does not depend on threads, tiles or, without weights, on the order of the exposures.

    Parameters
    ----------
    frames : Frames
        Samples that are not finite are left out.
    noise : StackNoise
        Noise of one sample, per amplifier of the detector.
    used_exposures : bool array ``[exposure, amplifier]``, optional
        False where an exposure was refused in an amplifier (see `find_deviant_exposures`). All by default.
    weights : sequence of float, optional
        One per exposure, above 0: the mean becomes Σwx/Σw and the error is propagated. Clipping ignores them.
    clip : float
        Limit in scales.
    threads : int
        Tiles worked on at once.
    tile_rows : int, optional
        Rows per tile; memory is ``threads`` × exposures × rows × width × 4 B, plus about as much.

    Raises
    ------
    ContractError
        ``used_exposures`` or ``weights`` do not fit the frames, or there is no exposure.
    """
    detector = frames.detector
    stack = _Stack(
        frames=frames,
        noise=noise,
        used_exposures=checked_use(frames, used_exposures),
        weights=checked_weights(weights, len(frames.exposures)),
        clip=clip,
        unstable_below=UNSTABLE_BELOW / sum(amp.box.width * amp.box.height for amp in detector.amplifiers),
        result=_empty(detector.shape),
    )
    rows = tile_rows or max(1, TILE_BYTES // (4 * len(frames.exposures) * detector.width))
    tiles = [(y, min(y + rows, detector.height)) for y in range(0, detector.height, rows)]
    with ThreadPoolExecutor(threads) as pool:
        rejected = np.concatenate(list(pool.map(partial(_combine_tile, stack), tiles)))
    order = np.lexsort((rejected[:, 2], rejected[:, 1], rejected[:, 0]))
    return replace(stack.result, rejected=rejected[order])


def checked_use(frames: Frames, used_exposures: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    """Which exposures to use in which amplifier, all by default. Raises as `combine`."""
    shape = (len(frames.exposures), len(frames.detector.amplifiers))
    if shape[0] == 0:
        raise ContractError(f"there is no exposure of detector {frames.detector.name!r} to combine")
    if used_exposures is None:
        return np.ones(shape, bool)
    if used_exposures.shape != shape or used_exposures.dtype != bool:
        raise ContractError(
            f"used_exposures is {used_exposures.dtype} {used_exposures.shape}; "
            f"it must be bool (exposures, amplifiers) = {shape}"
        )
    return used_exposures


def checked_weights(weights: Sequence[float] | None, count: int) -> NDArray[np.float64] | None:
    """Weights of ``count`` exposures. Raises as `combine`."""
    if weights is None:
        return None
    checked = np.asarray(weights, np.float64)
    if checked.shape != (count,) or not np.all(np.isfinite(checked) & (checked > 0)):
        raise ContractError(f"weights must be {count} numbers above 0, one per exposure; got {list(weights)}")
    return checked


def _empty(shape: tuple[int, int]) -> Combined:
    """Planes to be filled tile by tile; what no amplifier covers stays without data."""
    return Combined(
        image=np.full(shape, np.nan, np.float32),
        error=np.full(shape, np.nan, np.float32),
        used=np.zeros(shape, np.uint16),
        mask=np.full(shape, Mask.NO_DATA, np.uint32),
        rejected=np.zeros((0, 4), np.int32),
    )


@dataclass(frozen=True)
class _Stack:
    """What every tile is combined with; ``result`` holds the planes they write to."""

    frames: Frames
    noise: StackNoise
    used_exposures: NDArray[np.bool_]
    weights: NDArray[np.float64] | None
    clip: float
    unstable_below: float
    result: Combined


def _combine_tile(stack: _Stack, tile: tuple[int, int]) -> NDArray[np.int32]:
    """Combine rows ``tile`` of all amplifiers and return the runs of rejected samples."""
    samples = np.ascontiguousarray(stack.frames.rows(*tile), np.float32)
    masks = stack.frames.masks(*tile)
    runs = [np.zeros((0, 4), np.int32)]
    for index, amp in enumerate(stack.frames.detector.amplifiers):
        box = amp.box.intersection(Box(0, tile[0], stack.frames.detector.width, tile[1]))
        which = np.flatnonzero(stack.used_exposures[:, index])
        if box.empty or which.size == 0:
            continue
        inside = slice(box.y0 - tile[0], box.y1 - tile[0])
        runs.append(_combine_box(stack, np.ascontiguousarray(samples[:, inside]), which, amp.name, box))
        add_common_bits(masks[:, inside, box.x0 : box.x1], which, stack.result.mask[box.slices])
    return np.concatenate(runs)


def _combine_box(
    stack: _Stack, samples: NDArray[np.float32], which: NDArray[np.int64], amplifier: str, box: Box
) -> NDArray[np.int32]:
    """Combine the exposures ``which`` in one amplifier; ``samples`` are the rows of ``box`` in full width."""
    from cpp_framework.stats import _combine_kernels as kernels

    columns = (box.x0, box.x1)
    rows, result = slice(box.y0, box.y1), stack.result
    image, error, used = result.image[rows], result.error[rows], result.used[rows]
    counted, unstable = np.zeros(image.shape, np.uint16), np.zeros(image.shape, bool)
    centre, limit = np.zeros(image.shape), np.zeros(image.shape)
    kernels.combine_box(
        samples, which, *columns, *stack.noise.variance(amplifier, which), stack.clip,
        chi2_thresholds(INFLATE_BELOW, which.size), chi2_thresholds(stack.unstable_below, which.size),
        image, error, counted, used, unstable, centre, limit,
    )  # fmt: skip
    if stack.weights is not None:
        kernels.weigh_box(samples, which, stack.weights, *columns, centre, limit, used, image, error)
    mask = result.mask[box.slices]
    mask[:] = np.where(result.used[box.slices] == 0, Mask.NO_DATA, 0)
    mask[unstable[:, slice(*columns)]] = Mask.UNSTABLE
    runs = kernels.rejected_runs(samples, which, *columns, counted, used, centre, limit)
    runs[:, 1] += box.y0
    return runs


def add_common_bits(masks: NDArray[np.uint32], which: NDArray[np.int64], mask: NDArray[np.uint32]) -> None:
    """Set in ``mask`` the bits that more than half of the exposures have."""
    union = np.zeros(mask.shape, np.uint32)
    for k in which:
        union |= masks[k]
    present = Mask(int(np.bitwise_or.reduce(union, axis=None)))
    for bit in present:
        count = np.zeros(mask.shape, np.uint16)
        for k in which:
            count += (masks[k] & bit) != 0
        mask[2 * count > which.size] |= np.uint32(bit)
