"""What only pixels can tell about a camera: dead amplifiers, the column where two amplifiers meet, overscan levels."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cpp_framework.camera.guess import AmplifierGuess
from cpp_framework.camera.raw import open_raw, read_plane
from cpp_framework.model.geometry import Box

SPLIT_SIGNIFICANCE = 5.0
"""The levels of two amplifiers must differ by this many times the scatter of the columns about them."""


class FramePixels:
    """Pixels of the example frames, read when asked for."""

    def __init__(self, paths: Iterable[Path], hdus: Iterable[int]) -> None:
        self.paths = list(paths)
        self.hdus = list(hdus)

    @cached_property
    def quietest(self) -> Path:
        """The frame with the lowest median: the nearest to a bias among those given."""
        return min(self.paths, key=lambda path: float(np.median(self.planes(path)[self.hdus[0]])))

    def planes(self, path: Path) -> dict[int, NDArray[Any]]:
        """Pixels of each HDU of a frame, ``[y, x]``."""
        return read_planes(path, self.hdus)

    def constant(self, amplifiers: Iterable[AmplifierGuess]) -> list[str]:
        """Names of amplifiers whose data pixels are all the same in the first frame: they were not read."""
        planes = self.planes(self.paths[0])
        return [amp.name for amp in amplifiers if np.ptp(planes[amp.header.index][amp.data.slices]) == 0]

    def find_split(self, hdu: int, data: Box, left: Box, right: Box) -> int | None:
        """Column (0-based) of ``data`` where the bias level of overscan ``left`` gives way to that of ``right``.

        The column medians of the quietest frame are compared with the two overscan levels; the split is where the
        sum of absolute deviations is smallest. None if the two levels cannot be told apart.
        """
        plane = self.planes(self.quietest)[hdu]
        columns = np.median(plane[data.slices].astype(float), axis=0)
        levels = [float(np.mean(plane[box.slices])) for box in (left, right)]
        from_left, from_right = (np.abs(columns - level) for level in levels)
        cost = np.concatenate([[0.0], np.cumsum(from_left)]) + np.concatenate(
            [np.cumsum(from_right[::-1])[::-1], [0.0]]
        )
        split = int(np.argmin(cost))
        scatter = float(np.median(np.concatenate([from_left[:split], from_right[split:]])))
        if split in (0, columns.size) or abs(levels[0] - levels[1]) < SPLIT_SIGNIFICANCE * max(scatter, 0.1):
            return None
        return data.x0 + split


def read_planes(path: Path, hdus: Iterable[int]) -> dict[int, NDArray[Any]]:
    """Pixels of some HDUs of a file, scaled as the header says, ``[y, x]``; raises `RawFileError`."""
    with open_raw(path) as file:
        return {index: finite(read_plane(path, file, index)) for index in hdus}


def finite(plane: NDArray[Any]) -> NDArray[Any]:
    """The plane with the median in place of pixels that are not finite; unchanged if all are, zeros if none is."""
    good = np.isfinite(plane)
    if good.all():
        return plane
    return np.where(good, plane, np.median(plane[good]) if good.any() else 0)
