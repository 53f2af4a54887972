"""Defects as the text of a DS9 region file."""

from __future__ import annotations

from astropy.table import Table

from cpp_defects.product import corners_of

COLOURS = {
    "HOT": "red",
    "COLD": "blue",
    "UNSTABLE": "orange",
    "BAD_COLUMN": "magenta",
    "BLOCKED": "cyan",
    "VAMPIRE": "yellow",
    "USER": "white",
    "EDGE": "green",
}
"""Colour of a box by its reason; other reasons are in the default, black."""

_HEADER = """# Region file format: DS9 version 4.1
global color=black width=1 select=1 edit=1 move=1 delete=1 include=1
image
"""


def to_text(regions: Table) -> str:
    """Boxes with reasons as the text of a region file, in image coordinates (pixel centres counted from 1)."""
    lines = [_HEADER]
    for (x0, y0, width, height), reason in zip(corners_of(regions).tolist(), regions["reason"], strict=True):
        colour = COLOURS.get(str(reason), "black")
        centre = f"{x0 + (width + 1) / 2:g},{y0 + (height + 1) / 2:g}"
        lines.append(f"box({centre},{width},{height},0) # color={colour} tag={{{reason}}}\n")
    return "".join(lines)
