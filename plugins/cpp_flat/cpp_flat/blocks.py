"""Blocks of pixels inside the amplifiers: coarse maps of the light, none of which mixes two amplifiers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cpp_framework.model import Box, Detector

ACROSS = 16
"""Blocks along the longer side of a detector, about."""

SMALLEST = 8
"""Least side of a block in pixels."""

MEDIAN_NOISE = 1.2533
"""σ of the median over that of the mean, for Gaussian noise."""


KEEP = 6.0
"""Pixels further from their block's median than this many σ do not count for its level: bad columns and stars."""


@dataclass(frozen=True)
class Block:
    """A box of pixels inside amplifier number ``amplifier`` (index into the detector's)."""

    amplifier: int
    box: Box

    @property
    def centre(self) -> tuple[float, float]:
        """``(x, y)`` in pixels of the assembled image; the centre of the first pixel is 0."""
        return (self.box.x0 + self.box.x1 - 1) / 2, (self.box.y0 + self.box.y1 - 1) / 2


def blocks_of(detector: Detector) -> list[Block]:
    """Divide every amplifier into whole blocks that are as square as its sides allow."""
    side = max(SMALLEST, max(detector.shape) // ACROSS)
    found = []
    for index, amp in enumerate(detector.amplifiers):
        ys = _edges(amp.box.y0, amp.box.y1, side)
        xs = _edges(amp.box.x0, amp.box.x1, side)
        for y0, y1 in pairwise(ys):
            found += [Block(index, Box(x0, y0, x1, y1)) for x0, x1 in pairwise(xs)]
    return found


def _edges(start: int, stop: int, side: int) -> list[int]:
    number = max(1, round((stop - start) / side))
    return [start + (stop - start) * i // number for i in range(number + 1)]


def block_medians(plane: NDArray[np.float32], blocks: list[Block]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Median and number of the finite pixels of each block of ``plane[y, x]``; NaN where fewer than half are finite.

    Medians, because a bad column or a star in a block must not count.
    """
    medians, counts = np.full(len(blocks), np.nan), np.zeros(len(blocks), np.int64)
    for i, block in enumerate(blocks):
        pixels = plane[block.box.slices]
        good = pixels[np.isfinite(pixels)]
        counts[i] = good.size
        if 2 * good.size >= pixels.size:
            medians[i] = np.median(good)
    return medians, counts


def block_levels(plane: NDArray[np.float32], blocks: list[Block]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Mean of the pixels of each block near its median, and how many; NaN where fewer than half are finite.

    A mean, because the median of pixels that respond differently has the noise of the few in the middle.
    """
    medians, _ = block_medians(plane, blocks)
    means, counts = np.full(len(blocks), np.nan), np.zeros(len(blocks), np.int64)
    for i in np.flatnonzero(np.isfinite(medians)):
        pixels = plane[blocks[i].box.slices]
        off = np.abs(pixels - np.float32(medians[i]))
        kept = off <= KEEP * 1.4826 * np.nanmedian(off)
        counts[i] = np.count_nonzero(kept)
        means[i] = np.mean(pixels, where=kept, dtype=np.float64)
    return means, counts


@dataclass(frozen=True)
class BlockMap:
    """Values of blocks and their noise, of the blocks that have both: float64 ``[block]``; ``x`` and ``y`` [pixel]."""

    values: NDArray[np.float64]
    noise: NDArray[np.float64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]


def median_map(detector: Detector, plane: NDArray[np.float32], sigma: NDArray[np.float32]) -> BlockMap:
    """Medians of the blocks of ``plane[y, x]``, whose pixels have noise ``sigma``; NaN in either is left out."""
    blocks = blocks_of(detector)
    values, counts = block_medians(plane, blocks)
    noise, _ = block_medians(sigma, blocks)
    with np.errstate(divide="ignore"):
        return _good_blocks(blocks, values, MEDIAN_NOISE * noise / np.sqrt(counts))


def mean_map(detector: Detector, plane: NDArray[np.float32], sigma: NDArray[np.float32]) -> BlockMap:
    """Means of the blocks, of those with half of their pixels; otherwise as `median_map`."""
    blocks = blocks_of(detector)
    values, noise = np.full((2, len(blocks)), np.nan)
    for i, block in enumerate(blocks):
        pixels, errors = plane[block.box.slices], sigma[block.box.slices]
        good = np.isfinite(pixels) & np.isfinite(errors)
        if 2 * np.count_nonzero(good) >= good.size:
            values[i] = np.mean(pixels, where=good, dtype=np.float64)
            noise[i] = np.sqrt(np.sum(errors**2, where=good, dtype=np.float64)) / np.count_nonzero(good)
    return _good_blocks(blocks, values, noise)


def _good_blocks(blocks: list[Block], values: NDArray[np.float64], noise: NDArray[np.float64]) -> BlockMap:
    x, y = np.array([block.centre for block in blocks]).T
    good = np.isfinite(values) & np.isfinite(noise) & (noise > 0)
    return BlockMap(values[good], noise[good], x[good], y[good])
