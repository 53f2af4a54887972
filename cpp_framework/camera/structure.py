"""The cards by which every FITS reader finds the pixels of an HDU and scales them: are they sound?

Other cards may be as wrong as they like: they are refused when somebody asks for them. These here are used by the FITS
library itself, so an unsound one is refused, by name, as soon as the header is read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from astropy.io import fits
from astropy.io.fits.verify import VerifyError

_BITPIX = (8, 16, 32, 64, -32, -64)
_MOST_AXES = 999
_LONGEST_AXIS = 2**31 - 1
_SIGNED = ("BITPIX", "BLANK", "ZBITPIX")
_KEYWORDS = frozenset(
    ("SIMPLE", "XTENSION", "BITPIX", "NAXIS", "PCOUNT", "GCOUNT", "GROUPS", "BSCALE", "BZERO", "BLANK", "TFIELDS",
     "ZIMAGE", "ZBITPIX", "ZNAXIS")
)  # fmt: skip
_NUMBERED = ("NAXIS", "ZNAXIS", "ZTILE")

Values = Mapping[str, Any]
"""Values of the cards looked at, by keyword; a card that is not there is not in it."""


def data_length(cards: fits.Header, index: int) -> int:
    """Bytes of data (without padding) behind the header of HDU ``index``, as its cards say.

    Raises
    ------
    ValueError
        A card that decides where the pixels lie or what they mean is missing, impossible, or there twice with
        different values. The message names it.
    """
    values = _values(cards)
    if index == 0 and values.get("SIMPLE") is not True:
        raise ValueError("SIMPLE is not T: the file itself says that it is not standard FITS")
    if index > 0 and not isinstance(values.get("XTENSION"), str):
        raise ValueError("XTENSION does not name a kind of extension")
    _check_scaling(values)
    _whole(values, "TFIELDS", largest=_MOST_AXES, default=0)
    if index > 0 and values.get("ZIMAGE") is True:
        _check_tiles(values)
    bits = _bits(values, "BITPIX")
    axes = _whole(values, "NAXIS", largest=_MOST_AXES)
    lengths = [_whole(values, f"NAXIS{i}") for i in range(1, axes + 1)]
    parameters, groups = _whole(values, "PCOUNT", default=0), _whole(values, "GCOUNT", default=1)
    if groups == 0:
        raise ValueError("GCOUNT = 0")
    if axes == 0:
        return 0
    if values.get("GROUPS") is True and lengths[0] == 0:
        lengths = lengths[1:]  # random groups: NAXIS1 is 0 and does not count
    return abs(bits) // 8 * groups * (parameters + math.prod(lengths))


def _values(cards: fits.Header) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for card in cards.cards:
        keyword = card.keyword
        if keyword not in _KEYWORDS and keyword.rstrip("0123456789") not in _NUMBERED:
            continue
        try:
            value = card.value
        except VerifyError as error:
            raise ValueError(f"card {keyword} cannot be read") from error
        if value is None or value == "" or isinstance(value, fits.card.Undefined):
            raise ValueError(f"{keyword} has no value")
        if keyword in found and str(found[keyword]) != str(value):
            raise ValueError(f"{keyword} is there twice: {found[keyword]}, {value}")
        found.setdefault(keyword, value)
    return found


def _check_tiles(values: Values) -> None:
    _bits(values, "ZBITPIX")
    for i in range(1, _whole(values, "ZNAXIS", largest=_MOST_AXES) + 1):
        # The library multiplies these as 64-bit numbers, and divides by the tiles.
        _whole(values, f"ZNAXIS{i}", largest=_LONGEST_AXIS)
        if _whole(values, f"ZTILE{i}", default=1) == 0:
            raise ValueError(f"ZTILE{i} = 0")


def _check_scaling(values: Values) -> None:
    for keyword in ("BSCALE", "BZERO"):
        value = values.get(keyword, 1)
        if isinstance(value, bool | str | complex) or not math.isfinite(value):
            raise ValueError(f"{keyword} = {value!r} is not a number")
    if values.get("BSCALE") == 0:
        raise ValueError("BSCALE = 0 makes all pixels the same")
    _whole(values, "BLANK", default=0)


def _bits(values: Values, keyword: str) -> int:
    bits = _whole(values, keyword)
    if bits not in _BITPIX:
        raise ValueError(f"{keyword} = {bits} is none of {', '.join(map(str, _BITPIX))}")
    return bits


def _whole(values: Values, keyword: str, *, largest: int | None = None, default: int | None = None) -> int:
    value = values.get(keyword, default)
    if value is None:
        raise ValueError(f"there is no {keyword}")
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{keyword} = {value!r} is not a whole number")
    if (value < 0 and keyword not in _SIGNED) or (largest is not None and value > largest):
        raise ValueError(f"{keyword} = {value} is impossible")
    return value
