"""What was measured of all exposures in all detectors, as tables of amplifier or block against exposure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cpp_framework.model import Measurement

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Blocks:
    """Blocks of one detector of ``shape`` (height, width): ``levels`` and ``errors`` ``[block, exposure]``.

    ``pixels``, ``amplifier`` (counted over the focal plane) and the centres ``x`` and ``y`` [pixel] are ``[block]``.
    """

    shape: tuple[int, int]
    levels: Float
    errors: Float
    pixels: Float
    amplifier: NDArray[np.int64]
    x: Float
    y: Float


@dataclass(frozen=True)
class FocalPlane:
    """One filter's exposures of a focal plane.

    ``exposures`` are ids, ``times`` their exposure times [s]. ``amplifiers`` are
    (detector, name). ``levels``, ``errors`` (of the level) and ``saturated`` are ``[amplifier, exposure]``, NaN where
    a detector lacks an exposure; ``pixels`` ``[amplifier]``. Exposures are matched by id: detectors may lack some.
    """

    exposures: tuple[str, ...]
    times: Float
    amplifiers: tuple[tuple[int, str], ...]
    levels: Float
    errors: Float
    saturated: Float
    pixels: Float
    blocks: Mapping[int, Blocks]
    unit: str

    def amplifiers_of(self, detector: int) -> NDArray[np.int64]:
        """Indices of one detector's amplifiers."""
        return np.array([i for i, (number, _) in enumerate(self.amplifiers) if number == detector], np.int64)


def gather(measured: Mapping[int, Sequence[Measurement]]) -> FocalPlane:
    """Put the measurements of all detectors together."""
    times = {one.values["exposure"]: one.values["time"] for many in measured.values() for one in many}
    place = {exposure: k for k, exposure in enumerate(times)}
    amplifiers: list[tuple[int, str]] = []
    pixels, tables, blocks = [], [], {}
    for detector, many in sorted(measured.items()):
        if not many:
            continue
        columns = [place[one.values["exposure"]] for one in many]
        names = many[0].values["amplifiers"]
        level, noise, counts, saturated = (
            _spread(many, what, columns, len(place)) for what in ("level", "noise", "pixels", "saturated")
        )
        # An amplifier that says the same in every pixel is not known exactly: it is dead.
        error = np.where((noise > 0) & (counts > 0), noise / np.sqrt(np.maximum(counts, 1)), np.nan)
        offset = len(amplifiers)
        blocks[detector] = _blocks(many, columns, len(place), noise, offset)
        amplifiers += [(detector, name) for name in names]
        pixels.append(many[0].arrays["size"].astype(np.float64))
        tables.append((level, error, saturated))
    levels, errors, saturated = (np.concatenate(table) for table in zip(*tables, strict=True))
    return FocalPlane(
        exposures=tuple(place),
        times=np.array(list(times.values()), np.float64),
        amplifiers=tuple(amplifiers),
        levels=levels,
        errors=errors,
        saturated=saturated,
        pixels=np.concatenate(pixels),
        blocks=blocks,
        unit=next(one.values["unit"] for many in measured.values() for one in many),
    )


def _spread(many: Sequence[Measurement], what: str, columns: list[int], exposures: int) -> Float:
    """One quantity as ``[amplifier or block, exposure]`` of the whole focal plane's exposures."""
    table = np.full((many[0].arrays[what].size, exposures), np.nan)
    for column, one in zip(columns, many, strict=True):
        table[:, column] = one.arrays[what]
    return table


def _blocks(many: Sequence[Measurement], columns: list[int], exposures: int, noise: Float, offset: int) -> Blocks:
    levels = _spread(many, "block_level", columns, exposures)
    pixels = _spread(many, "block_pixels", columns, exposures)
    arrays, shape = many[0].arrays, many[0].values["shape"]
    owner = arrays["block_amplifier"]
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = noise[owner] / np.sqrt(pixels)
    return Blocks(
        shape=(shape[0], shape[1]),
        levels=levels,
        errors=errors,
        pixels=np.nanmax(pixels, axis=1),
        amplifier=owner + offset,
        x=arrays["block_x"],
        y=arrays["block_y"],
    )
