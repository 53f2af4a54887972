"""Level and noise of one overscan-corrected exposure, by which `solve` refuses those that do not belong."""

from __future__ import annotations

import numpy as np

from cpp_framework.declare import Config
from cpp_framework.model import Image, Measurement
from cpp_framework.model.context import Context
from cpp_framework.stats import frame_statistics

QUANTITIES = ("level", "level_error", "noise", "noise_error")


def measure(image: Image, config: Config, ctx: Context) -> Measurement:  # noqa: ARG001  (the contract's signature)
    """Measure level and noise of each amplifier.

    Returns
    -------
    Measurement
        Arrays ``level``, ``level_error``, ``noise``, ``noise_error`` [adu], one value per amplifier in the
        detector's order; NaN where an amplifier has no usable pixel.
    """
    statistics = frame_statistics(image.data, image.mask, image.detector.amplifiers)
    in_order = [statistics[amp.name] for amp in image.detector.amplifiers]
    return Measurement({name: np.array([getattr(one, name) for one in in_order]) for name in QUANTITIES})
