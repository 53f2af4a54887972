"""An image on its way through the correctors: data, variance, mask, unit, and the overscans beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cpp_framework.model.detector import Amplifier, Detector
from cpp_framework.model.exposure import Exposure
from cpp_framework.model.geometry import Box

Float = NDArray[np.float32]
Bits = NDArray[np.uint32]


@dataclass(frozen=True)
class AmplifierView:
    """Views of one amplifier in readout orientation (``[0, 0]`` is read first). Writing to them changes the image."""

    amplifier: Amplifier
    data: Float
    mask: Bits
    variance: Float | None


@dataclass
class AmplifierRecord:
    """What the overscan and gain stages found out about one amplifier of one exposure.

    ``bias_level`` is the mean level subtracted [adu], ``level_variance`` the variance of the level of one row
    [adu²], common to that row's pixels, ``column_variance`` the same for columns where a parallel overscan is used.
    The mean of h rows has ``level_variance·level_length/h`` (never more than that of one row): 1 where each row has a
    level of its own, about the distance of the knots for a spline.
    ``amplifier_variance`` is that of what the whole amplifier shares: the few rows of a parallel overscan have row
    noise of their own, which all columns take over. ``read_noise`` [adu] is None where the camera has no overscan.
    ``step`` is the most significant step of the overscan level inside the exposure [adu], from row ``step_row`` of
    the data on, and ``step_alarm`` the probability that noise makes such a step; None without serial overscan.
    """

    bias_level: float | None = None
    level_variance: float = 0.0
    level_length: float = 1.0
    column_variance: float = 0.0
    amplifier_variance: float = 0.0
    read_noise: float | None = None
    read_noise_error: float | None = None
    gain: float | None = None
    gain_source: str = ""
    step: float | None = None
    step_row: int | None = None
    step_alarm: float | None = None


@dataclass
class Image:
    """An assembled, trimmed image of one detector.

    ``data`` and ``variance`` are float32 ``[y, x]`` in ``unit`` and unit²; ``mask`` holds the bits of
    `cpp_framework.model.Mask`. ``overscans`` keeps each amplifier's pre- and overscans in readout orientation under
    the names ``serial_prescan``, ``serial_overscan``, ``parallel_prescan``, ``parallel_overscan``. ``applied``
    names what was done, in order.
    """

    data: Float
    mask: Bits
    detector: Detector
    unit: str = "adu"
    variance: Float | None = None
    exposure: Exposure | None = None
    window: Box | None = None
    overscans: Mapping[str, Mapping[str, Float]] = field(default_factory=dict)
    records: dict[str, AmplifierRecord] = field(default_factory=dict)
    applied: list[str] = field(default_factory=list)

    def amp(self, name: str) -> AmplifierView:
        """Return views of one amplifier in readout orientation."""
        amp = self.detector.amplifier(name)
        data, mask = oriented(self.data, amp), oriented(self.mask, amp)
        variance = None if self.variance is None else oriented(self.variance, amp)
        return AmplifierView(amp, data, mask, variance)


def oriented(plane: NDArray[Any], amp: Amplifier) -> NDArray[Any]:
    """View of an assembled plane: one amplifier, in readout orientation."""
    return plane[amp.box.slices][:: -1 if amp.flip_y else 1, :: -1 if amp.flip_x else 1]
