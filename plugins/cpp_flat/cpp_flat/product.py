"""The flat as a product."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cpp_framework.model import Exposure, ImageProduct


@dataclass(frozen=True, eq=False, kw_only=True)
class Flat(ImageProduct):
    """Relative response of every pixel, for infinitely long exposures; dimensionless, near 1.

    ``scales`` are the lamp levels of the exposures, shared by all amplifiers and detectors: the pixel-weighted mean
    of the amplifiers' clipped means over the focal plane is 1, so relative throughput stays in the image.

    Per amplifier: ``throughput`` (mean response), ``read_noise`` and ``gain_used`` (electron per unit of the frames)
    that the errors rest on, ``exposures``. Tables: FOCAL_PLANE (throughput of every amplifier of the focal plane),
    STATEMENTS (normalisation, unit of the levels …), ILLUMINATION (polynomial over X and Y from -1 to 1), and
    SHUTTER, a polynomial of the same form of the shutter's delay in seconds, where one was found.
    Pixels that are not above zero are masked BAD and must not be divided by.
    """

    @property
    def frame_unit(self) -> str:
        """Unit of the exposures, ``electron`` or ``adu``; empty where no amplifier is live."""
        return next((amp.values["read_noise"].unit for amp in self.amplifiers.values() if amp.values), "")

    def factor(self, exposure: Exposure) -> NDArray[np.float32] | None:
        """Light of each pixel of one exposure over that without shading: 1 + δ/t; None if none was found."""
        if "SHUTTER" not in self.tables or exposure.exposure_time <= 0:
            return None
        from cpp_flat.surface import Surface

        delay = Surface.from_table(self.tables["SHUTTER"], self.image.shape).plane()
        return np.float32(1) + delay / np.float32(exposure.exposure_time)
