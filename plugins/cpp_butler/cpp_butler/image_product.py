"""An image product as the file of an exposure: Rubin's planes first, then the tables cpp writes of every product."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy.io import fits

from cpp_butler import exposure_file
from cpp_framework.model import fits as product_fits
from cpp_framework.model.header import Header
from cpp_framework.model.mask import Mask
from cpp_framework.model.product import ImageProduct
from cpp_framework.model.timespan import NANOSECONDS, to_iso

PLANES = {plane.name or "": int(plane).bit_length() - 1 for plane in Mask}
"""Mask plane → number of its bit."""

_REPLACED = ("DATA", "ERR", "DQ")
"""HDUs of a product's own file that Rubin's three planes stand for."""

_MJD_1970 = 40587
_DAY = 86_400 * NANOSECONDS


def exposure_hdus(product: ImageProduct, provenance: Mapping[str, Any]) -> fits.HDUList:
    """The HDUs of a product that has its header, with the cards of Butler's provenance."""
    assert product.header is not None, "a stored product has its header"
    own = product_fits.to_hdus(product)
    header = own[0].header.copy()
    _put_dates(header, product.header)
    # Rubin's instrument signature removal compares this card with the unit it works in.
    exposure_file.put(header, "LSST ISR UNITS", product.unit)
    for key, value in provenance.items():
        exposure_file.put(header, key, value)
    hdus = exposure_file.hdus(header, product.image, product.mask.view(np.int32), np.square(product.error), PLANES)
    hdus.extend(hdu for hdu in own[1:] if hdu.name not in _REPLACED)
    return hdus


def _put_dates(header: fits.Header, of: Header) -> None:
    """Give all dates in TAI, and that of the middle: afw refuses a DATE-AVG of any other time scale."""
    header["TIMESYS"] = "TAI"
    instants = {"BEG": of.begin, "END": of.end, "OBS": of.begin}
    if of.begin is not None and of.end is not None:
        instants["AVG"] = (of.begin + of.end) // 2
    for suffix, instant in instants.items():
        if instant is not None:
            header[f"DATE-{suffix}"] = to_iso(instant, "tai")
            header[f"MJD-{suffix}"] = _MJD_1970 + instant / _DAY
