"""Regions a user masks by hand: boxes as four numbers, or lines of a DS9 region file."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cpp_framework.errors import ConfigError, PluginError

_BOX = re.compile(r"\s*-?\d+(\s+-?\d+){3}\s*")


def draw(regions: Sequence[str], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels whose centres lie in one of the regions, bool ``[y, x]``; parts outside of the detector are left out.

    Parameters
    ----------
    regions : sequence of str
        ``x0 y0 width height`` (pixels from 0), or DS9 text in image coordinates (from 1), for instance
        ``circle(100,200,5)``; an excluded region (``-circle(…)``) makes its pixels good again.
    shape : tuple of int
        Height and width.

    Raises
    ------
    ConfigError
        A text is neither, or a box has no size.
    PluginError
        DS9 text needs the package `regions`.
    """
    drawn = np.zeros(shape, bool)
    for text in regions:
        if _BOX.fullmatch(text):
            x0, y0, width, height = map(int, text.split())
            if width < 1 or height < 1:
                raise ConfigError(f"region {text!r} has width {width} and height {height}: both are at least 1")
            drawn[max(y0, 0) : max(y0 + height, 0), max(x0, 0) : max(x0 + width, 0)] = True
        else:
            _draw_ds9(text, drawn)
    return drawn


def _draw_ds9(text: str, drawn: NDArray[np.bool_]) -> None:
    try:
        from regions import PixelRegion, Regions
    except ImportError as error:
        raise PluginError(
            f"region {text!r} is not 'x0 y0 width height', and DS9 regions need the package regions",
            hint="pip install 'cpp-defects[regions]'",
        ) from error
    words = text if re.search(r"^\s*(image|physical)\b", text, re.MULTILINE) else f"image\n{text}"
    try:
        found = list(Regions.parse(words, format="ds9"))
    except Exception as error:  # its parser raises many kinds; all mean that this is no region
        raise ConfigError(f"region {text!r} cannot be read: {error}") from error
    if not found or not all(isinstance(one, PixelRegion) for one in found):
        raise ConfigError(
            f"region {text!r} is not in image coordinates", hint="in DS9: Region > Save, coordinate system image"
        )
    for one in found:
        inside = one.to_mask(mode="center").to_image(drawn.shape)
        if inside is not None:
            drawn[inside > 0] = one.meta.get("include", True) not in (False, "-", 0)
