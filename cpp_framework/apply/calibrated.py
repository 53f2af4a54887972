"""Calibrated images read back: planes, unit, and what was applied to them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from cpp_framework.apply.output import CalibrationRecord
from cpp_framework.declare import Stage
from cpp_framework.errors import RawFileError
from cpp_framework.model.mask import UNUSABLE

if TYPE_CHECKING:
    from astropy.nddata import CCDData


@dataclass(frozen=True, eq=False)
class CalibratedImage:
    """A calibrated image of one detector.

    ``data`` (float32, in ``unit``), ``variance`` (float32, in its square) and ``mask`` (uint32, bits of
    `cpp_framework.model.Mask`) are ``[y, x]``. ``gains`` [electron/adu] by amplifier, NaN where none was applied.
    ``steps`` names what was done, in order; ``header`` are the cards of the image.
    """

    data: NDArray[np.float32]
    variance: NDArray[np.float32]
    mask: NDArray[np.uint32]
    unit: str
    header: fits.Header
    calibrations: tuple[CalibrationRecord, ...]
    steps: tuple[str, ...]
    gains: Mapping[str, float]

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Pixels ``[y, x]`` without any of the bits `cpp_framework.model.UNUSABLE`."""
        usable: NDArray[np.bool_] = (self.mask & np.uint32(UNUSABLE)) == 0
        return usable

    def to_ccddata(self) -> CCDData:
        """The image as astropy knows it: unit, `VarianceUncertainty`, mask (True where unusable), cards as meta."""
        from astropy.nddata import CCDData, VarianceUncertainty
        from astropy.units import Unit
        from astropy.wcs import WCS, FITSFixedWarning

        with warnings.catch_warnings(action="ignore", category=FITSFixedWarning):  # of old names of the same cards
            coordinates = WCS(self.header) if "CTYPE1" in self.header else None
        return CCDData(
            self.data,
            unit=Unit(self.unit),
            uncertainty=VarianceUncertainty(self.variance, unit=Unit(self.unit) ** 2),
            mask=~self.usable,
            meta=self.header,
            wcs=coordinates,
        )


def read_calibrated(path: str | Path) -> CalibratedImage:
    """Read a file that `cpp apply` wrote.

    Raises
    ------
    RawFileError
        It is not there, or no such file.
    """
    try:
        with Path(path).open("rb") as stream, fits.open(stream, memmap=False) as hdus:
            planes = {name: _native(hdus[name].data) for name in ("DATA", "VARIANCE", "DQ")}
            amplifiers = hdus["AMPLIFIERS"].data
            return CalibratedImage(
                data=planes["DATA"],
                variance=planes["VARIANCE"],
                mask=planes["DQ"],
                unit=hdus["DATA"].header["BUNIT"],
                header=hdus["DATA"].header,
                calibrations=tuple(_record(row) for row in hdus["CALIBRATIONS"].data),
                steps=tuple(str(step) for step in hdus["STEPS"].data["STEP"]),
                gains=dict(zip(map(str, amplifiers["NAME"]), map(float, amplifiers["GAIN"]), strict=True)),
            )
    except (OSError, LookupError, ValueError, TypeError) as error:
        raise RawFileError(f"{path}: not a calibrated image: {error}", hint="cpp apply writes them") from error


def _record(row: Any) -> CalibrationRecord:
    stages = tuple(Stage[name] for name in str(row["STAGES"]).split(",") if name)
    name, identity, digest, created, why = (str(row[name]) for name in ("TYPE", "ID", "DIGEST", "CREATED", "WHY"))
    return CalibrationRecord(name, identity, digest, created, stages, why)


def _native(data: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(data, dtype=data.dtype.newbyteorder("="))
