"""Stacks in memory for the tests of `cpp_framework.stats`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from cpp_framework.model import Amplifier, AmplifierRecord, Box, Detector, Exposure
from cpp_framework.stats import ArrayFrames


def _detector(height: int, width: int, fields: tuple[int, int]) -> Detector:
    """A detector cut into ``fields`` = (down, across) equal amplifiers."""
    down, across = fields
    ys, xs = np.linspace(0, height, down + 1, dtype=int), np.linspace(0, width, across + 1, dtype=int)
    boxes = [Box(int(xs[i]), int(ys[j]), int(xs[i + 1]), int(ys[j + 1])) for j in range(down) for i in range(across)]
    amplifiers = tuple(Amplifier(f"A{k}", box) for k, box in enumerate(boxes))
    return Detector("testcam", 0, "D0", width, height, amplifiers)


@pytest.fixture
def frames_of() -> Callable[..., ArrayFrames]:
    """Return a function that wraps samples ``[exposure, y, x]`` as frames of a detector with some amplifiers."""

    def build(
        samples: np.ndarray,
        fields: tuple[int, int] = (1, 1),
        masks: np.ndarray | None = None,
        records: Sequence[dict[str, AmplifierRecord]] | None = None,
    ) -> ArrayFrames:
        count, height, width = samples.shape
        exposures = [
            Exposure(instrument="testcam", detector=0, id=f"e{k}", number=k, kind="bias", exposure_time=0, dark_time=0)
            for k in range(count)
        ]
        samples = samples.astype(np.float32)
        return ArrayFrames(samples, _detector(height, width, fields), exposures, masks=masks, records=records)

    return build
