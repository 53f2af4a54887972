"""The cards by which every FITS reader finds the pixels of an HDU and scales them: are they sound?

Other cards may be as wrong as they like: they are refused when somebody asks for them. These here are used by the FITS
library itself, so an unsound one is refused, by name, as soon as the header is read.
"""

from __future__ import annotations

import math
from typing import Any

from astropy.io import fits
from astropy.io.fits.verify import VerifyError

_BITPIX = (8, 16, 32, 64, -32, -64)
_MOST_AXES = 999
_LONGEST_AXIS = 2**31 - 1
_SIGNED = ("BITPIX", "BLANK", "ZBITPIX")
_ONCE = (
    "SIMPLE", "XTENSION", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "PCOUNT", "GCOUNT", "BSCALE", "BZERO", "BLANK"
)  # fmt: skip


def data_length(cards: fits.Header, index: int) -> int:
    """Bytes of data (without padding) behind the header of HDU ``index``, as its cards say.

    Raises
    ------
    ValueError
        A card that decides where the pixels lie or what they mean is missing, impossible, or there twice with
        different values. The message names it.
    """
    for keyword in _ONCE:
        _check_alone(cards, keyword)
    if index == 0 and _value(cards, "SIMPLE") is not True:
        raise ValueError("SIMPLE is not T: the file itself says that it is not standard FITS")
    if index > 0 and not isinstance(_value(cards, "XTENSION"), str):
        raise ValueError("XTENSION does not name a kind of extension")
    _check_scaling(cards)
    bits = _whole(cards, "BITPIX")
    if bits not in _BITPIX:
        raise ValueError(f"BITPIX = {bits} is none of {', '.join(map(str, _BITPIX))}")
    if "TFIELDS" in cards:
        _whole(cards, "TFIELDS", largest=_MOST_AXES)
    if index > 0 and _value(cards, "ZIMAGE") is True:
        _check_tiles(cards)
    axes = _whole(cards, "NAXIS", largest=_MOST_AXES)
    lengths = [_whole(cards, f"NAXIS{i}") for i in range(1, axes + 1)]
    parameters, groups = _whole(cards, "PCOUNT", default=0), _whole(cards, "GCOUNT", default=1)
    if groups == 0:
        raise ValueError("GCOUNT = 0")
    if axes == 0:
        return 0
    if _value(cards, "GROUPS") is True and lengths[0] == 0:
        lengths = lengths[1:]  # random groups: NAXIS1 is 0 and does not count
    return abs(bits) // 8 * groups * (parameters + math.prod(lengths))


def _check_tiles(cards: fits.Header) -> None:
    if (bits := _whole(cards, "ZBITPIX")) not in _BITPIX:
        raise ValueError(f"ZBITPIX = {bits} is none of {', '.join(map(str, _BITPIX))}")
    for i in range(1, _whole(cards, "ZNAXIS", largest=_MOST_AXES) + 1):
        # The library multiplies these as 64-bit numbers, and divides by the tiles.
        _whole(cards, f"ZNAXIS{i}", largest=_LONGEST_AXIS)
        if _whole(cards, f"ZTILE{i}", default=1) == 0:
            raise ValueError(f"ZTILE{i} = 0")


def _check_scaling(cards: fits.Header) -> None:
    for keyword in ("BSCALE", "BZERO"):
        value = _value(cards, keyword)
        if value is not None and (isinstance(value, bool | str | complex) or not math.isfinite(value)):
            raise ValueError(f"{keyword} = {value!r} is not a number")
    if _value(cards, "BSCALE") == 0:
        raise ValueError("BSCALE = 0 makes all pixels the same")
    if _value(cards, "BLANK") is not None:
        _whole(cards, "BLANK")


def _check_alone(cards: fits.Header, keyword: str) -> None:
    if keyword in cards and cards.count(keyword) > 1:
        values = {str(_value(cards, (keyword, i))) for i in range(cards.count(keyword))}
        if len(values) > 1:
            raise ValueError(f"{keyword} is there {cards.count(keyword)} times: {', '.join(sorted(values))}")


def _whole(cards: fits.Header, keyword: str, *, largest: int | None = None, default: int | None = None) -> int:
    value = _value(cards, keyword)
    if value is None and default is not None:
        return default
    if value is None:
        raise ValueError(f"there is no {keyword}")
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{keyword} = {value!r} is not a whole number")
    if (value < 0 and keyword not in _SIGNED) or (largest is not None and value > largest):
        raise ValueError(f"{keyword} = {value} is impossible")
    return value


def _value(cards: fits.Header, keyword: str | tuple[str, int]) -> Any:
    """Value of a card; None if it is not there."""
    try:
        value = cards.get(keyword)
    except VerifyError as error:
        raise ValueError(f"card {keyword} cannot be read") from error
    if (value is None or isinstance(value, fits.card.Undefined)) and keyword in cards:
        raise ValueError(f"{keyword} has no value")
    return value
