"""Regions a user masks by hand: boxes as four numbers, or lines of a DS9 region file."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cpp_defects.ds9_reading import draw_ds9
from cpp_defects.file_errors import DefectFileError, quoted
from cpp_framework.errors import ConfigError

_BOX = re.compile(r"\s*-?\d{1,9}(\s+-?\d{1,9}){3}\s*", re.ASCII)


def draw(regions: Sequence[str], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels whose centres lie in one of the regions, bool ``[y, x]``; parts outside of the detector are left out.

    Parameters
    ----------
    regions : sequence of str
        ``x0 y0 width height`` (pixels from 0), or DS9 text in image coordinates (from 1), for instance
        ``circle(100,200,5)``; an excluded region (``-circle(…)``) makes pixels of the regions before it good again.
    shape : tuple of int
        Height and width.

    Raises
    ------
    ConfigError
        A text is neither, a box has no size, or a region covers no pixel of the detector.
    PluginError
        DS9 text needs the package `regions`.
    """
    drawn = np.zeros(shape, bool)
    for text in regions:
        if _BOX.fullmatch(text):
            _draw_box(text, drawn)
            continue
        try:
            draw_ds9(text, f"region {quoted(text)}", drawn)
        except DefectFileError as error:
            raise ConfigError(str(error), hint=error.hint) from error
    return drawn


def _draw_box(text: str, drawn: NDArray[np.bool_]) -> None:
    x0, y0, width, height = map(int, text.split())
    if width < 1 or height < 1:
        raise ConfigError(
            f"region {text!r} has width {width} and height {height}: both are at least 1",
            hint="a box is 'x0 y0 width height'",
        )
    part = drawn[max(y0, 0) : max(y0 + height, 0), max(x0, 0) : max(x0 + width, 0)]
    if part.size == 0:
        raise ConfigError(
            f"region {text!r} covers no pixel of the detector, which has {drawn.shape[1]}x{drawn.shape[0]} pixels",
            hint="pixels count from 0",
        )
    part[:] = True
