"""Frames as a shutter without shading would have made them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cpp_flat.surface import Surface
from cpp_framework.model import AmplifierRecord, Detector, Exposure, Measurement
from cpp_framework.model.context import Frames


class EvenlyLit:
    """`Frames` divided by 1 + δ/t, so that all exposures show the same flat; those without a time stay as they are."""

    def __init__(self, frames: Frames, shading: Surface) -> None:
        self.detector: Detector = frames.detector
        self.exposures: Sequence[Exposure] = frames.exposures
        self.unit = frames.unit
        self.measurements: Sequence[Measurement] = frames.measurements
        self.shared: Measurement | None = frames.shared
        self._frames = frames
        self._delay = shading.plane()
        self._inverse = np.array(
            [1 / e.exposure_time if e.exposure_time > 0 else 0.0 for e in frames.exposures], np.float32
        )

    def records(self, amplifier: str) -> list[AmplifierRecord]:
        """Overscan level, read noise and gain of one amplifier, per exposure."""
        return self._frames.records(amplifier)

    def rows(self, y0: int, y1: int) -> NDArray[np.float32]:
        """Samples ``[exposure, y, x]`` of rows ``y0 <= y < y1``, NaN where masked."""
        light = np.float32(1) + self._inverse[:, None, None] * self._delay[y0:y1]
        return self._frames.rows(y0, y1) / light

    def masks(self, y0: int, y1: int) -> NDArray[np.uint32]:
        """Mask bits ``[exposure, y, x]`` of the same rows."""
        return self._frames.masks(y0, y1)
