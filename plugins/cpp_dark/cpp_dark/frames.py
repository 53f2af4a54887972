"""Several selections as one stack: bias and dark exposures of a joint fit, or only some exposures of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cpp_framework.model import AmplifierRecord, Detector, Exposure, Measurement
from cpp_framework.model.context import Frames

T = TypeVar("T", bound=np.generic)

ROWS_AT_ONCE = 128


class StackedFrames:
    """The exposures of several selections one after another.

    Parameters
    ----------
    parts : sequence of Frames
        Of one detector and unit.
    chosen : sequence of int, optional
        Which exposures to keep, counted over all parts; all by default.
    left_out : bool array ``[exposure, y, x]``, optional
        Samples to hand out as NaN.
    """

    measurements: Sequence[Measurement] = ()
    shared: Measurement | None = None

    def __init__(
        self,
        parts: Sequence[Frames],
        chosen: Sequence[int] | None = None,
        left_out: NDArray[np.bool_] | None = None,
    ) -> None:
        every = [(part, k) for part in parts for k in range(len(part.exposures))]
        self._parts = list(parts)
        self._chosen = list(range(len(every))) if chosen is None else list(chosen)
        self._left_out = left_out
        self.detector: Detector = parts[0].detector
        self.unit: str = parts[0].unit
        self.exposures: Sequence[Exposure] = [every[k][0].exposures[every[k][1]] for k in self._chosen]

    def records(self, amplifier: str) -> list[AmplifierRecord]:
        """Overscan level, read noise and gain of one amplifier, per exposure."""
        every = [record for part in self._parts for record in part.records(amplifier)]
        return [every[k] for k in self._chosen]

    def poisson_gains(self) -> dict[str, float]:
        """Electron per unit of the frames by amplifier, for Poisson noise; in ADU the nominal gain, where known."""
        if self.unit == "electron":
            return {amp.name: 1.0 for amp in self.detector.amplifiers}
        return {amp.name: amp.gain for amp in self.detector.amplifiers if amp.gain is not None}

    def rows(self, y0: int, y1: int) -> NDArray[np.float32]:
        """Samples ``[exposure, y, x]`` of rows ``y0 <= y < y1``; NaN where masked or left out."""
        samples = self._take([part.rows(y0, y1) for part in self._parts])
        if self._left_out is None:
            return samples
        return np.where(self._left_out[:, y0:y1], np.float32(np.nan), samples)

    def masks(self, y0: int, y1: int) -> NDArray[np.uint32]:
        """Mask bits ``[exposure, y, x]`` of the same rows."""
        return self._take([part.masks(y0, y1) for part in self._parts])

    def choose(self, chosen: Sequence[int]) -> StackedFrames:
        """Return some of the exposures only."""
        left_out = None if self._left_out is None else self._left_out[list(chosen)]
        return StackedFrames(self._parts, [self._chosen[k] for k in chosen], left_out)

    def without(self, left_out: NDArray[np.bool_]) -> StackedFrames:
        """Return the same exposures without the samples of a mask ``[exposure, y, x]``."""
        return StackedFrames(self._parts, self._chosen, left_out)

    def _take(self, planes: list[NDArray[T]]) -> NDArray[T]:
        together = planes[0] if len(planes) == 1 else np.concatenate(planes)
        everything = self._chosen == list(range(len(together)))
        return together if everything else together[self._chosen]


def row_blocks(y0: int, y1: int) -> list[tuple[int, int]]:
    """Blocks of rows small enough to hold all exposures of."""
    return [(y, min(y + ROWS_AT_ONCE, y1)) for y in range(y0, y1, ROWS_AT_ONCE)]
