"""What is believed about a camera before it is written down: guesses, each with the reasons for doubting it."""

from __future__ import annotations

from dataclasses import dataclass, field

from cpp_framework.camera.hdu import HduHeader
from cpp_framework.errors import InstrumentError
from cpp_framework.model.geometry import Box, Section


@dataclass
class AmplifierGuess:
    """One amplifier as the headers describe it.

    ``sides`` maps region names to boxes inside the HDU. ``suffix`` ends its keywords if several amplifiers share the
    HDU. ``place`` is where a header puts it in the detector (in unbinned pixels), ``target`` where the proposal does.
    """

    header: HduHeader
    name: str
    data: Box
    suffix: str = ""
    sides: dict[str, Box] = field(default_factory=dict)
    place: Section | None = None
    target: Section | None = None
    readout: str = "LL"
    gain: float | None = None
    read_noise: float | None = None
    adc_maximum: float | None = None
    notes: list[str] = field(default_factory=list)


@dataclass
class DetectorGuess:
    """One detector: its amplifiers in file order and the size of the assembled image."""

    name: str
    serial: str
    amplifiers: list[AmplifierGuess]
    size: tuple[int, int] = (0, 0)
    notes: list[str] = field(default_factory=list)

    @property
    def frame(self) -> tuple[int, int] | None:
        """Size of the HDUs if it is the same for all."""
        sizes = {amp.header.size for amp in self.amplifiers}
        return sizes.pop() if len(sizes) == 1 else None


def section_of(header: HduHeader, *keywords: str) -> Section | None:
    """Return the first of several keywords that holds a FITS section; ``[0:0,0:0]`` and the like do not count."""
    for keyword in keywords:
        value = header.get(keyword)
        if isinstance(value, str):
            try:
                return Section.parse(value, what=keyword)
            except InstrumentError:
                continue
    return None
