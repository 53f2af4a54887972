"""The FITS layout of Rubin's exposures, which ``lsst.afw.image.ExposureF.readFits`` reads.

=======  ===============================================================================================
HDU      content
=======  ===============================================================================================
primary  no data; the metadata
1        ``IMAGE``, float32
2        ``MASK``, int32; card ``MP_NAME`` is the number of the bit of plane NAME
3        ``VARIANCE``, float32
more     nothing a reader of exposures looks at
=======  ===============================================================================================

Each of the three has ``EXTTYPE``, and ``INHERIT``: without it afw leaves out the primary header. Dates are TAI, for
afw refuses others where there is a DATE-AVG. Sources: ``MaskedImageFitsReader``, ``ExposureFitsReader`` and
``VisitInfo`` of lsst/afw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from cpp_framework.errors import IncompatibleError

_PLANE = "MP_"
_STRUCTURE = ("SIMPLE", "BITPIX", "NAXIS", "EXTEND", "COMMENT", "HISTORY", "CHECKSUM", "DATASUM", "")
"""Cards of a primary header that are not metadata."""


@dataclass(frozen=True, eq=False)
class ExposureFile:
    """What an exposure's file holds: arrays ``[y, x]`` in native byte order, numbers of mask planes, metadata."""

    image: NDArray[Any]
    mask: NDArray[Any]
    variance: NDArray[Any]
    planes: dict[str, int]
    metadata: dict[str, Any]


def hdus(
    header: fits.Header,
    image: NDArray[Any],
    mask: NDArray[Any],
    variance: NDArray[Any],
    planes: Mapping[str, int],
) -> fits.HDUList:
    """The first four HDUs of an exposure's file."""
    extensions = [
        fits.ImageHDU(np.asarray(image, np.float32), name="IMAGE"),
        fits.ImageHDU(np.asarray(mask, np.int32), name="MASK"),
        fits.ImageHDU(np.asarray(variance, np.float32), name="VARIANCE"),
    ]
    for hdu in extensions:
        hdu.header["EXTTYPE"] = hdu.name
        hdu.header["INHERIT"] = True
    for name, number in planes.items():
        put(extensions[1].header, _PLANE + name, number)
    if unit := header.get("BUNIT"):
        extensions[0].header["BUNIT"] = unit
        extensions[2].header["BUNIT"] = f"({unit})**2"
    return fits.HDUList([fits.PrimaryHDU(header=header), *extensions])


def read(path: str | Path) -> ExposureFile:
    """Read an exposure's file.

    Raises
    ------
    IncompatibleError
        Its HDUs are not those of an exposure.
    """
    with fits.open(path, memmap=False) as opened:
        kinds = [hdu.header.get("EXTTYPE") for hdu in opened[1:4]]
        if kinds != ["IMAGE", "MASK", "VARIANCE"]:
            raise IncompatibleError(
                f"{path}: HDUs 1 to 3 of an exposure are IMAGE, MASK, VARIANCE; found {kinds}",
                hint="it was not written as an exposure: read it with astropy.io.fits",
            )
        image, mask, variance = (_native(hdu.data) for hdu in opened[1:4])
        found = opened[2].header
        planes = {key.removeprefix(_PLANE): found[key] for key in found if key.startswith(_PLANE)}
        return ExposureFile(image, mask, variance, planes, metadata(opened[0].header))


def metadata(header: fits.Header) -> dict[str, Any]:
    """A primary header as a dictionary, without the cards that only describe the file."""
    return {key: header[key] for key in header if key not in _STRUCTURE}


def cards(values: Mapping[str, Any]) -> fits.Header:
    """The inverse of `metadata`."""
    header = fits.Header()
    for key, value in values.items():
        put(header, key, value)
    return header


def put(header: fits.Header, key: str, value: Any) -> None:
    """Set a card; one whose name FITS finds too long, or with blanks in it, as a HIERARCH card."""
    short = len(key) <= 8 and " " not in key
    header[key if short else f"HIERARCH {key}"] = value


def _native(data: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(data, dtype=data.dtype.newbyteorder("="))
