"""Cards of a raw file that are still true of its calibrated image."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from astropy.io import fits
from astropy.io.fits.card import Undefined
from astropy.io.fits.verify import VerifyError, VerifyWarning

from cpp_framework.camera.hdu import HduHeader, find_hdu
from cpp_framework.camera.instrument import AmplifierLayout, DetectorLayout
from cpp_framework.camera.window import windowed_boxes
from cpp_framework.model.geometry import Section
from cpp_framework.model.image import Image

_STRUCTURE = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|PCOUNT|GCOUNT|GROUPS|BLOCKED|INHERIT|EXTNAME|EXTVER|EXTLEVEL|NEXTEND"
    r"|TFIELDS|T(TYPE|FORM|UNIT|DIM)\d+|Z(IMAGE|CMPTYPE|BITPIX|NAXIS\d*|TILE\d+|NAME\d+|VAL\d+|QUANTIZ|DITHER0)"
    r"|Z(SIMPLE|TENSION|EXTEND|PCOUNT|GCOUNT|BLANK|SCALE|ZERO|HECKSUM|DATASUM)|CHECKSUM|DATASUM|END"
)
"""Cards of the file's form."""
_OF_RAW_PIXELS = re.compile(
    r"BZERO|BSCALE|BLANK|BUNIT|DATAM(AX|IN)|(DATA|BIAS|TRIM|PRE|POST|OVR|DET|CCD|AMP|ORIG)SEC\w*|[BTDCA]SEC\d\w?"
    r"|(OVERSCAN|PRESCAN|OVRSCAN)\w*|E?GAIN\d*|R(D|EAD)?NOI\w*|SATURAT\w*|[LD]T[MV]\d\w*|AT[MV]\d\w*"
)
"""Cards about raw counts and sections, which calibrating has made untrue."""
_WCS = re.compile(
    r"(CTYPE|CRVAL|CRPIX|CDELT|CROTA|CUNIT|CNAME|CRDER|CSYER)\d[A-Z]?|(CD|PC|PV|PS)\d+_\d+[A-Z]?"
    r"|(A|B|AP|BP)_(ORDER|DMAX|\d_\d)|(WCSAXES|WCSNAME|LONPOLE|LATPOLE)[A-Z]?|WAT\d_\d+|WCSDIM"
)
"""Cards of the coordinates of pixels; those of the frame (RADESYS, EQUINOX) speak of RA and DEC as well."""
_FRAME = ("RADESYS", "RADECSYS", "EQUINOX")
_SHIFTABLE = re.compile(r"(RA--|DEC-|[GE]LON|[GE]LAT)-(TAN|SIN|STG|ARC|ZEA|ZPN|TPV|TAN-SIP)|LINEAR|PIXEL|")
"""Projections of CTYPE whose distortions are counted from CRPIX, so that moving it moves them all."""
_SAME_PLACE = 0.01
"""Pixels by which amplifiers of one detector may differ on where its reference pixel is."""


@dataclass
class CarriedCards:
    """Cards taken over, the coordinates apart, and in words what was left out although somebody may miss it."""

    cards: fits.Header = field(default_factory=fits.Header)
    coordinates: fits.Header = field(default_factory=fits.Header)
    notes: list[str] = field(default_factory=list)


def carry_over(headers: Sequence[HduHeader], layout: DetectorLayout, image: Image) -> CarriedCards:
    """Cards of the raw file that hold for the assembled, trimmed image of one detector.

    Those of the primary HDU, those of the HDU with the pixels where the detector has but one, and the coordinates of
    that HDU (or of the amplifiers', if they agree) with CRPIX counted in the trimmed image.

    Parameters
    ----------
    headers : sequence of HduHeader
        Of the raw file, as `read_headers` gives them.
    layout : DetectorLayout
    image : Image
        The corrected image; its amplifier boxes and window say where pixels came to lie.
    """
    carried = CarriedCards()
    hdus = list(dict.fromkeys(amp.hdu for amp in layout.amplifiers))
    own = find_hdu(headers, hdus[0]) if len(hdus) == 1 else None
    for header in [headers[0]] if own is None or own is headers[0] else [headers[0], own]:
        for card in _readable_cards(header, carried.notes):
            if not any(untrue.fullmatch(card.keyword) for untrue in (_STRUCTURE, _OF_RAW_PIXELS, _WCS)):
                _add(carried.cards, card)
    _add_coordinates(carried, headers, layout, image)
    return carried


def _add(cards: fits.Header, card: fits.Card) -> None:
    """Add a card; of those that can be there only once, it takes the place of one that is."""
    if card.keyword not in ("COMMENT", "HISTORY", ""):
        cards.remove(card.keyword, ignore_missing=True)
    cards.append(card, end=True)


def _readable_cards(header: HduHeader, notes: list[str]) -> Iterator[fits.Card]:
    """Cards of one HDU that can be written again as FITS wants them."""
    for card in header.cards.cards:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", VerifyWarning)
                value = None if isinstance(card.value, Undefined) else card.value
                simple = re.fullmatch(r"[A-Z0-9_-]{0,8}", card.keyword)
                clean = fits.Card(card.keyword if simple else f"HIERARCH {card.keyword}", value, card.comment)
                clean.verify("exception")
                str(clean)
        except (VerifyError, VerifyWarning, ValueError) as error:
            notes.append(f"card {card.keyword!a} of HDU {header.index} is left out: {_first(error)}")
            continue
        yield clean


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _add_coordinates(carried: CarriedCards, headers: Sequence[HduHeader], layout: DetectorLayout, image: Image) -> None:
    """Take over the celestial coordinates if one shift of CRPIX makes them true of the trimmed image."""
    found: list[fits.Header] = []
    mirrored = False
    for amp in layout.amplifiers:
        cards = _coordinates(find_hdu(headers, amp.hdu))
        if cards is None:
            continue
        if amp.target.reversed_x or amp.target.reversed_y:
            mirrored = True
            continue
        moved = _moved(amp, headers, layout, image)
        for keyword in [name for name in cards if re.fullmatch(r"CRPIX[12][A-Z]?", name)]:
            cards[keyword] = cards[keyword] + moved[int(keyword[5]) - 1]
        found.append(cards)
    reason = _why_not(found, mirrored)
    if reason:
        carried.notes.append(f"coordinates are left out: {reason}")
    elif found:
        carried.coordinates = found[0]


def _coordinates(header: HduHeader | None) -> fits.Header | None:
    """Cards of the coordinates of an HDU, if it says where its reference pixel is."""
    if header is None:
        return None
    wanted = [one for one in _readable_cards(header, []) if _WCS.fullmatch(one.keyword) or one.keyword in _FRAME]
    cards = fits.Header(wanted)
    known = all(isinstance(cards.get(name), int | float) for name in ("CRPIX1", "CRPIX2"))
    return cards if known else None


def _moved(amp: AmplifierLayout, headers: Sequence[HduHeader], layout: DetectorLayout, image: Image) -> tuple[int, int]:
    """Columns and rows by which pixels of an unmirrored amplifier moved from their HDU to the image."""
    data = Section.parse(amp.data).box
    if image.window is not None:
        header = find_hdu(headers, amp.hdu)
        assert header is not None
        assert header.size is not None, "its pixels have been read"
        shape = header.size[::-1]
        same_hdu = layout.model_copy(update={"amplifiers": tuple(a for a in layout.amplifiers if a.hdu == amp.hdu)})
        data = windowed_boxes(same_hdu, image.window, {amp.hdu: shape}, str(header.path))[amp.name]["data"]
    box = image.detector.amplifier(amp.name).box
    return box.x0 - data.x0, box.y0 - data.y0


def _why_not(found: Sequence[fits.Header], mirrored: bool) -> str:
    """Why the coordinates of unmirrored amplifiers cannot be taken over; empty if they can, or there are none."""
    if not found:
        return "the HDUs that have them are mirrored in the image" if mirrored else ""
    first = found[0]
    for axis in "12":
        kind = str(first.get(f"CTYPE{axis}", "")).strip()
        if not _SHIFTABLE.fullmatch(kind):
            return f"CTYPE{axis} {kind!r} does not allow to move the reference pixel"
        if any(abs(other[f"CRPIX{axis}"] - first[f"CRPIX{axis}"]) > _SAME_PLACE for other in found[1:]):
            return "the amplifiers disagree on the reference pixel once they are assembled"
    return ""
