"""Files of defects in the forms others read and write. Only the command `cpp defects` opens files."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table
from astropy.utils.exceptions import AstropyUserWarning
from numpy.typing import NDArray

from cpp_defects import ds9, ds9_reading, rubin
from cpp_defects.boxes import boxes_of, count
from cpp_defects.file_errors import DefectFileError, quoted
from cpp_defects.product import Defects
from cpp_framework.errors import UserError
from cpp_framework.model import Mask
from cpp_framework.model.mask import MEANINGS

Bits = NDArray[np.uint32]

FORMS = {
    "fits": "Rubin's FITS table of boxes",
    "region": "Rubin's FITS table of regions",
    "ecsv": "Rubin's ECSV table of boxes",
    "curated": "ECSV as in Rubin's obs_*_data packages",
    "text": "lines x0 y0 width height",
    "ds9": "DS9 regions, coloured by reason",
    "mask": "FITS image of mask bits",
}

_FORMS_HINT = f"forms: {', '.join(FORMS.values())}"
_LARGEST_FILE = 2**29
"""Bytes: a mask of twice the largest detectors there are."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_ALL_BITS = np.bitwise_or.reduce([np.uint32(bit) for bit in Mask])

SUFFIXES = {".fits": "fits", ".fit": "fits", ".ecsv": "ecsv", ".txt": "text", ".dat": "text", ".reg": "ds9"}


def form_of(path: Path, form: str = "") -> str:
    """The form asked for, else that of the file's suffix.

    Raises
    ------
    DefectFileError
        There is no such form, or the suffix tells none.
    """
    chosen = form or SUFFIXES.get(path.suffix.lower(), "")
    if chosen not in FORMS:
        raise DefectFileError(
            f"{form or path.name!r} is no form of defects" if form else f"{path}: the suffix tells no form",
            hint=f"--form {', '.join(FORMS)}",
        )
    return chosen


def write(product: Defects, path: Path, form: str, serial: str = "") -> int:
    """Write defects to a file that does not exist yet, and return how many boxes they are.

    Rubin's forms and the text know no reasons: their boxes cover the masked pixels in as few boxes as we find.

    Parameters
    ----------
    product : Defects
        With its header.
    path : Path
    form : str
        One of `FORMS`.
    serial : str
        The detector's serial number, for Rubin's cards.
    """
    merged = boxes_of((product.mask != 0).astype(np.uint8)).corners
    identity = rubin.Identity.of(product, serial)
    if form == "mask":
        _mask_hdus(product.mask).writeto(path)
    elif form in ("fits", "region"):
        boxes = form == "fits"
        table = rubin.box_table(merged) if boxes else rubin.region_table(merged)
        rubin.to_hdus(table, rubin.cards(identity, unset=not boxes)).writeto(path)
    else:
        text = {
            "ecsv": lambda: rubin.ecsv_text(merged, identity),
            "curated": lambda: rubin.curated_text(merged, identity),
            "text": lambda: "".join(f"{x0} {y0} {width} {height}\n" for x0, y0, width, height in merged),
            "ds9": lambda: ds9.to_text(product.tables["REGIONS"]),
        }[form]()
        with path.open("x") as stream:
            stream.write(text)
    return len(product.boxes) if form == "ds9" else len(merged)


def read(path: Path, shape: tuple[int, int]) -> Bits:
    """Read a file of any of the forms as mask bits ``[y, x]`` of a detector: BAD and USER, or the bits it holds.

    Parameters
    ----------
    path : Path
    shape : tuple of int
        Height and width of the detector.

    Raises
    ------
    DefectFileError
        The file is of no form we know, a value is wrong, or a box is not on the detector.
    """
    content = _content(path)
    if content.startswith(b"SIMPLE"):
        return _from_fits(content, str(path), shape)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DefectFileError(f"{path}: neither FITS nor text", hint=_FORMS_HINT) from error
    if text.startswith("# %ECSV"):
        return _from_ecsv(text, str(path), shape)
    if ds9_reading.looks_like(text):
        drawn = np.zeros(shape, bool)
        ds9_reading.draw_ds9(text, str(path), drawn)
        if not drawn.any():
            raise DefectFileError(
                f"{path}: excluded regions leave no pixel masked", hint="regions that begin with - are excluded"
            )
        return _by_hand(drawn)
    return _from_text(text, str(path), shape)


def _content(path: Path) -> bytes:
    """What is in a file, if it is one: a device or a pipe has no end."""
    if path.exists() and not path.is_file():
        raise DefectFileError(f"{path} is no regular file", hint="name a file")
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise DefectFileError(
                f"{path} has {path.stat().st_size} bytes, more than the {_LARGEST_FILE} that are read",
                hint=f"a mask of a detector is far smaller; {_FORMS_HINT}",
            )
        return path.read_bytes()
    except OSError as error:
        raise DefectFileError(
            f"{path}: {error.strerror or error}", hint="is the name right, and may you read it?"
        ) from error


def _from_ecsv(text: str, place: str, shape: tuple[int, int]) -> Bits:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of units, for instance: what the boxes need is checked below
            table = Table.read(text.splitlines(), format="ascii.ecsv")
    except Exception as error:  # its parser raises many kinds
        raise DefectFileError(
            f"{place}: not a readable ECSV table: {quoted(str(error))}", hint="Table.read of astropy must read it"
        ) from error
    return _drawn(rubin.boxes_from(table, place), place, shape)


def _from_text(text: str, place: str, shape: tuple[int, int]) -> Bits:
    """Boxes of lines ``x0 y0 width height``; what follows a # is a comment."""
    rows, lines = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != 4 or not all(_NUMBER.fullmatch(word) for word in words):
            raise DefectFileError(
                f"{place}, line {number}: {quoted(line)} is not the four numbers x0 y0 width height", hint=_FORMS_HINT
            )
        rows.append([float(word) for word in words])
        lines.append(number)
    return _drawn(rubin.checked(np.array(rows, np.float64).reshape(-1, 4), place, lines), place, shape, lines)


def _from_fits(content: bytes, place: str, shape: tuple[int, int]) -> Bits:
    try:
        with warnings.catch_warnings(), fits.open(io.BytesIO(content), memmap=False) as hdus:
            # Units and the like do not matter; a header or length that is wrong does.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", AstropyUserWarning)
            planes = [hdu for hdu in hdus if hdu.is_image and hdu.data is not None and hdu.data.ndim == 2]
            if planes:
                return _from_plane(planes[0], place, shape)
            tables = [Table.read(hdu) for hdu in hdus if isinstance(hdu, fits.BinTableHDU)]
    except UserError:
        raise
    except Exception as error:  # of a damaged file anything can be wrong
        raise DefectFileError(
            f"{place}: not a readable FITS file: {quoted(str(error))}", hint="is it whole? fitscheck of astropy tells"
        ) from error
    if not tables:
        raise DefectFileError(f"{place}: there is neither a table nor an image", hint=_FORMS_HINT)
    return _drawn(rubin.boxes_from(tables[0], place), place, shape)


def _from_plane(hdu: fits.ImageHDU, place: str, shape: tuple[int, int]) -> Bits:
    """An image of mask bits, as this program writes it; of another program's, whatever is not 0."""
    plane = hdu.data
    if plane.shape != shape:
        raise DefectFileError(
            f"{place}: the mask has {plane.shape} pixels (y, x), the detector {shape}",
            hint="is the file of another detector, or of untrimmed images?",
        )
    if np.isnan(plane).any():
        y, x = np.argwhere(np.isnan(plane))[0]
        raise DefectFileError(f"{place}: the mask is not a number at x {x}, y {y}", hint="0 is good, others are bad")
    if "DQBIT00" not in hdu.header:
        return _by_hand(plane != 0)
    if plane.dtype.kind not in "iu" or plane.min() < 0 or plane.max() > int(_ALL_BITS):
        raise DefectFileError(
            f"{place}: the mask is {plane.dtype.name} from {plane.min():g} to {plane.max():g}, "
            f"not bits up to {_ALL_BITS:d}",
            hint="DQBIT cards announce mask bits: whole numbers; without the cards whatever is not 0 is masked",
        )
    bits: Bits = plane.astype(np.uint32)
    bits[bits != 0] |= np.uint32(Mask.BAD)
    return bits


def _drawn(corners: NDArray[np.int64], place: str, shape: tuple[int, int], lines: Sequence[int] | None = None) -> Bits:
    outside = (corners[:, :2] < 0).any(axis=1) | ((corners[:, :2] + corners[:, 2:])[:, ::-1] > shape).any(axis=1)
    if outside.any():
        row = int(np.argmax(outside))
        box = " ".join(map(str, corners[row]))
        raise DefectFileError(
            f"{place}, {rubin.row_name(row, lines)}: box {box} is not on the detector, "
            f"which has {shape[1]}x{shape[0]} pixels",
            hint="is the file of another detector, or of untrimmed images?",
        )
    return _by_hand(count(corners, shape) > 0)


def _by_hand(masked: NDArray[np.bool_]) -> Bits:
    return masked * np.uint32(Mask.BAD | Mask.USER)


def _mask_hdus(mask: Bits) -> fits.HDUList:
    hdu = fits.ImageHDU(mask, name="DQ")
    for bit in Mask:
        hdu.header[f"DQBIT{int(bit).bit_length() - 1:02d}"] = (bit.name, MEANINGS[bit])
    return fits.HDUList([fits.PrimaryHDU(), hdu])
