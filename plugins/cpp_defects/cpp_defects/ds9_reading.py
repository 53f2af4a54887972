"""Draw DS9 regions: each statement of a file is drawn, or refused with its line; none is passed over."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cpp_defects.file_errors import DefectFileError, quoted
from cpp_framework.errors import PluginError

if TYPE_CHECKING:
    from regions import PixelRegion

Flags = NDArray[np.bool_]

SHAPES = ("box", "circle", "ellipse", "annulus", "polygon")
"""Shapes with an area; the third and later numbers of a box or ellipse may be those of a ring."""

_SHAPE = re.compile(r"([+-]?)\s*([a-z]+)\s*\(([^()]*)\)", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII)
_MARKER = re.compile(r"#\s*([a-z]+)\s*\(", re.ASCII | re.IGNORECASE)
_TEXT = re.compile(r"\{[^}]*\}|\"[^\"]*\"|'[^']*'")
_LARGEST = 2
"""A region is at most so many times as wide and high as the detector: a larger one is a mistake."""

_ROWS = 256
"""Rows of the detector that are drawn at a time: the coordinates of a whole one are hundreds of megabytes."""

_HINT = f"shapes are {', '.join(SHAPES)} in pixels; in DS9: Region > Save, format ds9, coordinate system image"


def draw_ds9(text: str, place: str, drawn: Flags) -> None:
    """Draw the regions of a DS9 text in place: pixels whose centres lie in one; excluded regions set them back.

    Parameters
    ----------
    text : str
        Lines in image coordinates (pixel centres counted from 1); the frame may be left out.
    place : str
        File or setting the text is from, for messages.
    drawn : bool array ``[y, x]``
        Of the detector.

    Raises
    ------
    DefectFileError
        A statement is no region with an area, is in other coordinates, covers no pixel of the detector or is much
        larger than it; or there is none. The message names the line.
    PluginError
        The package `regions` is missing.
    """
    _require_regions(text)
    found = 0
    for line, statement in _statements(text):
        where = f"{place}, line {line}: {quoted(statement)}"
        words = statement.lower()
        if words == "image" or words.startswith("global"):
            continue
        region, excluded = _region(words.removesuffix("||").rstrip(), where)
        _draw(region, drawn, where, excluded=excluded)
        found += 1
    if not found:
        raise DefectFileError(f"{place}: there is no region", hint=_HINT)


def looks_like(text: str) -> bool:
    """Whether a text is a DS9 region file and not lines of numbers."""
    shape = re.search(r"^[^#\n]*\b[a-z]+\s*\(", text, re.MULTILINE | re.IGNORECASE)
    return "Region file format: DS9" in text or shape is not None


def _require_regions(text: str) -> None:
    try:
        import regions  # noqa: F401
    except ImportError as error:
        raise PluginError(
            f"region {quoted(text)} is not 'x0 y0 width height', and DS9 regions need the package regions",
            hint="pip install 'cpp-defects[regions]'",
        ) from error


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Line (from 1) and text of each statement; properties after a # are left out."""
    for number, line in enumerate(text.splitlines(), start=1):
        rest = line.strip()
        # DS9 writes what has no area, such as vectors and texts, behind a #. A composite only groups what follows.
        marker = _MARKER.match(rest)
        if marker is not None and marker[1].lower() in ("vector", "text", "ruler", "segment", "projection", "compass"):
            rest = rest.lstrip("# ")
        while rest and not rest.startswith("#"):
            head, _, properties = rest.partition("#")
            yield from ((number, part.strip()) for part in head.split(";") if part.strip())
            # Texts among the properties may hold a semicolon; another one starts the next statement.
            rest = _TEXT.sub("", properties).partition(";")[2].strip()


def _region(statement: str, where: str) -> tuple[PixelRegion, bool]:
    """The region of a statement, and whether it is excluded."""
    from regions import Regions

    match = _SHAPE.fullmatch(statement)
    if match is None or match[2] not in SHAPES:
        raise DefectFileError(f"{where} is no region with an area in image coordinates", hint=_HINT)
    sign, shape, inside = match.groups()
    numbers = re.split(r"\s*,\s*|\s+", inside.strip())
    if not all(_NUMBER.fullmatch(number) and np.isfinite(float(number)) for number in numbers):
        raise DefectFileError(f"{where} has something other than finite numbers of pixels", hint=_HINT)
    if shape == "polygon" and (len(numbers) < 6 or len(numbers) % 2):
        raise DefectFileError(
            f"{where} has {len(numbers)} numbers", hint="a polygon has two for each of at least three corners"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = list(Regions.parse(f"image\n{shape}({inside})", format="ds9"))
    except Exception as error:  # its parser raises many kinds; all mean that this is no region
        raise DefectFileError(f"{where} cannot be read: {quoted(str(error))}", hint=_HINT) from error
    if len(found) != 1:
        raise DefectFileError(f"{where} is {len(found)} regions", hint="one shape per statement")
    return found[0], sign == "-"


def _draw(region: PixelRegion, drawn: Flags, where: str, *, excluded: bool) -> None:
    """Draw the part of a region on the detector."""
    from regions import PixCoord

    height, width = drawn.shape
    detector = f"the detector, which has {width}x{height} pixels"
    hint = "is it of another detector, or of untrimmed images? DS9 counts pixels from 1"
    box = region.bounding_box
    if box.ixmax - box.ixmin > _LARGEST * width or box.iymax - box.iymin > _LARGEST * height:
        raise DefectFileError(f"{where} is more than {_LARGEST} times as large as {detector}", hint=hint)
    y0, y1, x0, x1 = max(box.iymin, 0), min(box.iymax, height), max(box.ixmin, 0), min(box.ixmax, width)
    covers = False
    for start in range(y0, y1, _ROWS):
        y, x = np.mgrid[start : min(start + _ROWS, y1), x0:x1]
        if x.size:
            inside = np.asarray(region.contains(PixCoord(x=x, y=y)))
            drawn[start : start + inside.shape[0], x0:x1][inside] = not excluded
            covers |= bool(inside.any())
    if not covers:
        raise DefectFileError(f"{where} covers no pixel of {detector}", hint=hint)
