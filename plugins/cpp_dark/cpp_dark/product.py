"""The dark rate as a product."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cpp_framework.model import Exposure, ImageProduct


def _absent() -> NDArray[np.float32]:
    return np.zeros((0, 0), np.float32)


@dataclass(frozen=True, eq=False, kw_only=True)
class Dark(ImageProduct):
    """Signal per second of dark time [electron/s, or adu/s where no gain is known].

    A sample of an exposure is rate × dark time (+ zero + offset). ``zero`` and ``zero_error`` ``[y, x]`` are there
    where zero and rate were fitted together, for want of a bias, in the unit of the frames; else of shape (0, 0).

    Per amplifier it holds ``median`` and ``p95`` (95th percentile) of the rate, ``read_noise`` of one exposure,
    ``cosmic_rays`` (hits per megapixel and second) and ``exposures`` used there. Median and percentile are those of the
    rates without the noise of the image, to a first approximation; half of what that takes off the median is in its
    error. The metric ``relative`` is 1 where each exposure had a free offset: the median rate of each amplifier is then
    0 by choice, not by measurement.
    """

    plane_names: ClassVar[Mapping[str, str]] = {
        **ImageProduct.plane_names, "zero": "ZERO", "zero_error": "ZEROERR",
    }  # fmt: skip

    zero: NDArray[np.float32] = field(default_factory=_absent)
    zero_error: NDArray[np.float32] = field(default_factory=_absent)

    @property
    def relative(self) -> bool:
        """Whether rates are counted from the median of their amplifier."""
        return self.metrics["relative"].value == 1

    @property
    def frame_unit(self) -> str:
        """Unit of the exposures the rate was fitted to: ``electron`` or ``adu``."""
        return self.unit.partition("/")[0]

    def scale_of(self, exposure: Exposure) -> float:
        """Dark time [s]; 0 for a bias exposure."""
        return dark_time(exposure)

    def intercept(self) -> NDArray[np.float32] | None:
        """The zero ``[y, x]``, where it was fitted."""
        return self.zero if self.zero.size else None


def dark_time(exposure: Exposure) -> float:
    """Dark time of an exposure [s]; 0 for a bias exposure, NaN where the header had none."""
    return 0.0 if exposure.kind == "bias" else float(exposure.dark_time)
