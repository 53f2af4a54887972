"""What plugins know of a detector: where its amplifiers lie in the assembled image, and their electronics."""

from __future__ import annotations

from dataclasses import dataclass

from cpp_framework.errors import NotFoundError
from cpp_framework.model.geometry import Box


@dataclass(frozen=True, slots=True)
class Amplifier:
    """One amplifier.

    ``box`` is its light-sensitive part in the assembled image. ``flip_x`` and ``flip_y`` turn that part into
    readout orientation, where ``[0, 0]`` is the pixel read first. ``gain`` is in electron/adu, ``read_noise`` in
    electron, ``adc_maximum`` in raw counts, ``full_well`` in ADU above bias; None where unknown. The overscan
    numbers are usable columns (serial) and rows (parallel); 0 where the camera has none.
    """

    name: str
    box: Box
    flip_x: bool = False
    flip_y: bool = False
    gain: float | None = None
    read_noise: float | None = None
    adc_maximum: float | None = None
    full_well: float | None = None
    serial_overscan: int = 0
    parallel_overscan: int = 0


@dataclass(frozen=True, slots=True)
class Detector:
    """One detector of a camera: assembled size in pixels and its amplifiers in readout order."""

    instrument: str
    id: int
    name: str
    width: int
    height: int
    amplifiers: tuple[Amplifier, ...]
    serial: str = ""

    @property
    def shape(self) -> tuple[int, int]:
        """``(height, width)`` of the assembled image."""
        return (self.height, self.width)

    @property
    def has_overscan(self) -> bool:
        """Whether every amplifier has a serial or a parallel overscan."""
        return all(amp.serial_overscan or amp.parallel_overscan for amp in self.amplifiers)

    @property
    def has_gain(self) -> bool:
        """Whether a nominal gain is known for every amplifier."""
        return all(amp.gain is not None for amp in self.amplifiers)

    def amplifier(self, name: str) -> Amplifier:
        """Return the amplifier of that name, or raise `NotFoundError` listing those there are."""
        for amp in self.amplifiers:
            if amp.name == name:
                return amp
        known = ", ".join(amp.name for amp in self.amplifiers)
        raise NotFoundError(f"detector {self.name!r} of {self.instrument} has no amplifier {name!r}; it has {known}")
