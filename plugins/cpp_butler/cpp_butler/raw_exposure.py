"""A raw file in memory: the pixels as the camera wrote them, one image per HDU.

How amplifiers lie in the detector is in the instrument file of cpp, not in the raw file, so nothing is assembled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from cpp_butler.exposure_file import metadata


@dataclass(frozen=True, eq=False)
class RawExposure:
    """A raw file.

    ``metadata`` is its primary header; ``images`` are its images ``[y, x]`` in counts, by EXTNAME (by the number of
    the HDU where it has none); ``headers`` are the headers of those HDUs. A file with several detectors comes whole.
    """

    metadata: dict[str, Any]
    images: dict[str, NDArray[Any]]
    headers: dict[str, dict[str, Any]]

    @classmethod
    def readFits(cls, path: str) -> Self:  # noqa: N802  as `Exposure` has it
        """Read a FITS file: plain, gzip or tile-compressed."""
        images, headers = {}, {}
        with fits.open(path, memmap=False) as hdus:
            for i, hdu in enumerate(hdus):
                if hdu.is_image and hdu.data is not None:
                    name = hdu.name if hdu.name not in ("", "PRIMARY") and hdu.name not in images else str(i)
                    images[name] = np.ascontiguousarray(hdu.data, dtype=hdu.data.dtype.newbyteorder("="))
                    headers[name] = metadata(hdu.header)
            return cls(metadata(hdus[0].header), images, headers)
