"""Boxes of pixels, and the one place where FITS sections become numpy slices.

Text (headers, YAML) uses the FITS convention: ``[x1:x2,y1:y2]``, 1-based, both ends inside, reversed when the
first is larger. Python uses half-open 0-based boxes and ``array[y, x]``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cpp_framework.errors import InstrumentError

_SECTION = re.compile(r"^\s*\[?\s*(\d+)\s*:\s*(\d+)\s*,\s*(\d+)\s*:\s*(\d+)\s*\]?\s*$")


@dataclass(frozen=True, slots=True)
class Box:
    """Half-open box of pixels: columns ``x0 <= x < x1``, rows ``y0 <= y < y1``."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.y1 - self.y0

    @property
    def shape(self) -> tuple[int, int]:
        """``(height, width)``, as numpy counts."""
        return (self.height, self.width)

    @property
    def empty(self) -> bool:
        """Whether the box holds no pixel."""
        return self.width <= 0 or self.height <= 0

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index into an array ``[y, x]``."""
        return (slice(self.y0, self.y1), slice(self.x0, self.x1))

    def contains(self, other: Box) -> bool:
        """Whether ``other`` lies inside."""
        return self.x0 <= other.x0 and self.y0 <= other.y0 and other.x1 <= self.x1 and other.y1 <= self.y1

    def intersection(self, other: Box) -> Box:
        """Return the common box; empty if there is none."""
        x0, y0 = max(self.x0, other.x0), max(self.y0, other.y0)
        return Box(x0, y0, max(x0, min(self.x1, other.x1)), max(y0, min(self.y1, other.y1)))

    def overlaps(self, other: Box) -> bool:
        """Whether the two boxes share a pixel."""
        return not self.intersection(other).empty

    def to_section(self) -> str:
        """Write as a FITS section."""
        return f"[{self.x0 + 1}:{self.x1},{self.y0 + 1}:{self.y1}]"


@dataclass(frozen=True, slots=True)
class Section:
    """A FITS section: a box, and whether it was written backwards in x or y."""

    box: Box
    reversed_x: bool = False
    reversed_y: bool = False

    @classmethod
    def parse(cls, text: str, *, what: str = "section") -> Section:
        """Read ``[x1:x2,y1:y2]``.

        Raises
        ------
        InstrumentError
            The text is not a section, or a bound is 0 (FITS counts from 1).
        """
        match = _SECTION.match(text)
        if match is None:
            raise InstrumentError(f"{what} {text!r} is not a FITS section", hint="write it as '[x1:x2,y1:y2]'")
        xa, xb, ya, yb = (int(group) for group in match.groups())
        if min(xa, xb, ya, yb) < 1:
            raise InstrumentError(f"{what} {text!r} has a bound of 0", hint="FITS sections count from 1")
        box = Box(min(xa, xb) - 1, min(ya, yb) - 1, max(xa, xb), max(ya, yb))
        return cls(box, xa > xb, ya > yb)

    def to_text(self) -> str:
        """Write as a FITS section, reversed where it was read so."""
        box = self.box
        xs = (box.x1, box.x0 + 1) if self.reversed_x else (box.x0 + 1, box.x1)
        ys = (box.y1, box.y0 + 1) if self.reversed_y else (box.y0 + 1, box.y1)
        return f"[{xs[0]}:{xs[1]},{ys[0]}:{ys[1]}]"
