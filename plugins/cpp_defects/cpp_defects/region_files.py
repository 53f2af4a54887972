"""Files of defects in the forms others read and write. Only the command `cpp defects` opens files."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table
from numpy.typing import NDArray

from cpp_defects import ds9, rubin
from cpp_defects.boxes import boxes_of, count
from cpp_defects.file_errors import DefectFileError
from cpp_defects.product import Defects
from cpp_defects.user_regions import draw
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
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DefectFileError(f"{path}: {error.strerror or error}") from error
    if content.startswith(b"SIMPLE"):
        return _from_fits(content, str(path), shape)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DefectFileError(f"{path}: neither FITS nor text") from error
    if text.startswith("# %ECSV"):
        try:
            table = Table.read(text.splitlines(), format="ascii.ecsv")
        except Exception as error:  # its parser raises many kinds
            raise DefectFileError(f"{path}: not a readable ECSV table: {error}") from error
        return _drawn(rubin.boxes_from(table, str(path)), str(path), shape)
    if ds9.looks_like(text):
        return _by_hand(draw([text], shape))
    return _drawn(_from_text(text, str(path)), str(path), shape)


def _from_text(text: str, place: str) -> NDArray[np.int64]:
    """Boxes of lines ``x0 y0 width height``; what follows a # is a comment."""
    lines = [line.partition("#")[0].split() for line in text.splitlines()]
    try:
        rows = [[float(word) for word in words] for words in lines if words]
    except ValueError as error:
        raise DefectFileError(f"{place}: {error}", hint=f"forms: {', '.join(FORMS.values())}") from error
    if wrong := [len(row) for row in rows if len(row) != 4]:
        raise DefectFileError(f"{place}: a line has {wrong[0]} numbers; x0 y0 width height are 4")
    return rubin.checked(np.array(rows, np.float64).reshape(-1, 4), place)


def _from_fits(content: bytes, place: str, shape: tuple[int, int]) -> Bits:
    try:
        with warnings.catch_warnings(), fits.open(io.BytesIO(content), memmap=False) as hdus:
            warnings.simplefilter("error", fits.verify.VerifyWarning)
            planes = [hdu for hdu in hdus if hdu.is_image and hdu.data is not None and hdu.data.ndim == 2]
            if planes:
                return _from_plane(planes[0], place, shape)
            tables = [Table.read(hdu) for hdu in hdus if isinstance(hdu, fits.BinTableHDU)]
    except UserError:
        raise
    except Exception as error:  # of a damaged file anything can be wrong
        raise DefectFileError(f"{place}: not a readable FITS file: {error}") from error
    if not tables:
        raise DefectFileError(f"{place}: there is neither a table nor an image")
    return _drawn(rubin.boxes_from(tables[0], place), place, shape)


def _from_plane(hdu: fits.ImageHDU, place: str, shape: tuple[int, int]) -> Bits:
    """An image of mask bits, as this program writes it; of another program's, whatever is not 0."""
    if hdu.data.shape != shape:
        raise DefectFileError(f"{place}: the mask has {hdu.data.shape} pixels (y, x), the detector {shape}")
    if "DQBIT00" not in hdu.header:
        return _by_hand(hdu.data != 0)
    bits: Bits = hdu.data.astype(np.uint32)
    bits[bits != 0] |= np.uint32(Mask.BAD)
    return bits


def _drawn(corners: NDArray[np.int64], place: str, shape: tuple[int, int]) -> Bits:
    outside = (corners[:, :2] < 0).any(axis=1) | ((corners[:, :2] + corners[:, 2:])[:, ::-1] > shape).any(axis=1)
    if outside.any():
        box = " ".join(map(str, corners[int(np.argmax(outside))]))
        raise DefectFileError(
            f"{place}: box {box} is not on the detector, which has {shape[1]}x{shape[0]} pixels",
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
