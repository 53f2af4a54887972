"""Defective pixels and columns, other than those with too much dark current. None by default."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cpp_framework.sim.effect import ChargeEffect
from cpp_framework.sim.places import defect_rows, draw_pixels
from cpp_framework.sim.readout import AmplifierReadout
from cpp_framework.sim.signal import Signal

Float = NDArray[np.float32]
Box = tuple[slice, slice]


class ColdPixels(ChargeEffect):
    """Pixels that respond less to light, evenly spread."""

    name: ClassVar[str] = "cold_pixels"

    fraction: float = Field(default=0.0, ge=0, lt=1, description="of the pixels")
    lowest: float = Field(default=0.0, ge=0, le=1, description="response")
    highest: float = Field(default=0.5, ge=0, le=1, description="response")

    def apply(self, signal: Signal) -> None:
        """Multiply their light and their response."""
        if not (self.fraction and signal.lit):
            return
        random = signal.of_camera(self.name)
        y, x = draw_pixels(random, signal.charge.shape, self.fraction)
        response = random.uniform(self.lowest, self.highest, y.size).astype(np.float32)
        for plane in (signal.charge, signal.response):
            plane[y, x] *= response
        signal.truth.add_rows("defects", defect_rows("cold", y, x, response))


class Vampires(ChargeEffect):
    """Bright pixels that rob their neighbours: the same share of the light of every pixel around them."""

    name: ClassVar[str] = "vampires"

    number: int = Field(default=0, ge=0, le=100_000, description="per detector")
    share: float = Field(default=0.2, ge=0, le=1, description="of the light of each neighbour")
    radius: int = Field(default=1, ge=1, le=50, description="pixels robbed in each direction")

    def apply(self, signal: Signal) -> None:
        """Move light, and response with it."""
        if not (self.number and signal.lit):
            return
        rows, columns = signal.charge.shape
        random = signal.of_camera(self.name)
        centres = random.integers(0, (rows, columns), (self.number, 2))
        for plane in (signal.charge, signal.response):
            for y, x in centres:
                self._rob(plane, int(y), int(x))
        signal.truth.add_rows("defects", defect_rows("vampire", centres[:, 0], centres[:, 1], self.share))

    def _rob(self, plane: Float, y: int, x: int) -> None:
        reach = self.radius
        around = plane[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]
        own = plane[y, x]
        booty = self.share * (around.sum(dtype=np.float64) - own)
        around *= np.float32(1 - self.share)
        plane[y, x] = own + booty


class ColumnEffect(ChargeEffect):
    """Defective columns of amplifiers, drawn among all columns of the detector."""

    number: int = Field(default=0, ge=0, le=100_000, description="per detector")

    def columns(self, signal: Signal, random: np.random.Generator) -> list[tuple[AmplifierReadout, int]]:
        """Amplifier and column in the assembled detector of each."""
        if not self.number:
            return []
        every = [
            (amp, x) for amp in signal.readout.amplifiers for x in range(amp.amplifier.box.x0, amp.amplifier.box.x1)
        ]
        return [every[i] for i in random.choice(len(every), min(self.number, len(every)), replace=False)]


class BrightColumns(ColumnEffect):
    """Columns with additional charge whatever the exposure time, so in bias frames too."""

    name: ClassVar[str] = "bright_columns"

    electrons: float = Field(default=5000.0, ge=0, description="electron per pixel and exposure")

    def apply(self, signal: Signal) -> None:
        """Add the charge."""
        for amp, x in self.columns(signal, signal.of_camera(self.name)):
            box = amp.amplifier.box
            signal.charge[box.y0 : box.y1, x] += np.float32(self.electrons)
            rows = defect_rows("bright_column", box.y0, x, self.electrons, box.height)
            signal.truth.add_rows("defects", rows)


class DeadColumns(ColumnEffect):
    """Columns of an amplifier that give no charge at all."""

    name: ClassVar[str] = "dead_columns"

    def apply(self, signal: Signal) -> None:
        """Take away charge, response and dark rate."""
        for amp, x in self.columns(signal, signal.of_camera(self.name)):
            box = amp.amplifier.box
            _silence(signal, "dead_column", box.y0, box.y1, x)


class BlockedColumns(ColumnEffect):
    """Columns that give no charge from some row on, counted from the readout: nothing passes the block."""

    name: ClassVar[str] = "blocked_columns"

    def apply(self, signal: Signal) -> None:
        """Take away charge, response and dark rate above the block."""
        random = signal.of_camera(self.name)
        for amp, x in self.columns(signal, random):
            box = amp.amplifier.box
            passed = int(random.integers(0, box.height))
            low, high = (box.y0, box.y1 - passed) if amp.amplifier.flip_y else (box.y0 + passed, box.y1)
            _silence(signal, "blocked_column", low, high, x)


def _silence(signal: Signal, kind: str, y0: int, y1: int, x: int) -> None:
    """Take all charge from a part of a column, and from the truth what it hides. A bias frame does not show it."""
    truth = signal.truth
    if not (signal.lit or signal.request.exposure_time):
        return
    signal.charge[y0:y1, x] = 0
    for name, plane in truth.maps.items():
        if name in ("dark_rate", "glow"):
            plane[y0:y1, x] = 0
    if signal.lit:
        signal.response[y0:y1, x] = 0
    for name in ("cosmic_rays", "unstable", "defects"):
        rows = truth.tables.get(name)
        if rows is not None:
            hidden = (rows["x"] == x) & (rows["y"] >= y0) & (rows["y"] < y1)
            if name == "defects":
                hidden &= rows["height"] == 1
            truth.tables[name] = rows[~hidden]
    truth.add_rows("defects", defect_rows(kind, y0, x, 0.0, y1 - y0))
