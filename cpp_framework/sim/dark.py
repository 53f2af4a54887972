"""Effects that fill pixels without light: dark current, hot and unstable pixels, glow.

The dark time is the exposure time. A bias frame has none, and so none of these.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from cpp_framework.sim.effect import ChargeEffect
from cpp_framework.sim.places import defect_rows, draw_pixels
from cpp_framework.sim.signal import Signal


class DarkCurrent(ChargeEffect):
    """The same thermal dark current in every pixel; hot and unstable pixels follow its dependence on temperature."""

    name: ClassVar[str] = "dark_current"

    rate: float = Field(default=0.02, ge=0, description="electron/s at the reference temperature")
    doubling: float | None = Field(default=None, gt=0, description="K in which the rate doubles; default: never")
    reference: float = Field(default=-100.0, description="reference temperature, degC")

    def apply(self, signal: Signal) -> None:
        """Add rate × factor × dark time to every pixel."""
        if not signal.request.exposure_time:
            return
        if self.doubling is not None:
            warmer = signal.request.temperature - self.reference
            signal.truth.exposure.dark_factor = float(np.exp2(warmer / self.doubling))
        signal.map("dark_rate")[...] += np.float32(self.rate)
        signal.charge += np.float32(self.rate * signal.thermal_time)


class HotPixels(ChargeEffect):
    """Pixels with much dark current, their rates evenly spread in logarithm."""

    name: ClassVar[str] = "hot_pixels"

    fraction: float = Field(default=3e-4, ge=0, lt=1, description="of the pixels")
    lowest: float = Field(default=1.0, gt=0, description="electron/s at the reference temperature")
    highest: float = Field(default=1000.0, gt=0, description="electron/s at the reference temperature")

    def apply(self, signal: Signal) -> None:
        """Add their charge; which pixels are hot belongs to the camera."""
        if not signal.request.exposure_time:
            return
        random = signal.of_camera(self.name)
        y, x = draw_pixels(random, signal.charge.shape, self.fraction)
        rates = np.exp(random.uniform(np.log(self.lowest), np.log(self.highest), y.size)).astype(np.float32)
        signal.map("dark_rate")[y, x] += rates
        signal.charge[y, x] += rates * np.float32(signal.thermal_time)
        signal.truth.add_rows("defects", defect_rows("hot", y, x, rates))


class UnstablePixels(ChargeEffect):
    """Pixels with telegraph noise: in each exposure one of two states, in the high one with additional dark current."""

    name: ClassVar[str] = "unstable_pixels"

    fraction: float = Field(default=0.0, ge=0, lt=1, description="of the pixels")
    rate: float = Field(default=20.0, ge=0, description="electron/s in the high state, at the reference temperature")
    duty: float = Field(default=0.5, ge=0, le=1, description="share of exposures in the high state")

    def apply(self, signal: Signal) -> None:
        """Add the charge of those that are in their high state in this exposure."""
        if not (signal.request.exposure_time and self.fraction):
            return
        y, x = draw_pixels(signal.of_camera(self.name), signal.charge.shape, self.fraction)
        high = signal.of_exposure(self.name).random(y.size) < self.duty
        electrons = np.float32(self.rate * signal.thermal_time)
        signal.charge[y[high], x[high]] += electrons
        rows = signal.rows("unstable", int(high.sum()))
        rows["y"], rows["x"], rows["electrons"] = y[high], x[high], electrons
        signal.truth.add_rows("unstable", rows)
        signal.truth.add_rows("defects", defect_rows("unstable", y, x, self.rate))


class Glow(ChargeEffect):
    """Light of the electronics that falls off exponentially from a corner or, where x or y is None, from an edge."""

    name: ClassVar[str] = "glow"

    rate: float = Field(default=0.0, ge=0, description="electron/s at the peak")
    scale: float = Field(default=50.0, gt=0, description="pixels in which it falls to 1/e")
    x: float | None = Field(default=0.0, ge=0, le=1, description="place of the peak, 0 left … 1 right; None: any x")
    y: float | None = Field(default=0.0, ge=0, le=1, description="place of the peak, 0 bottom … 1 top; None: any y")

    def apply(self, signal: Signal) -> None:
        """Add rate × dark time."""
        if not (signal.request.exposure_time and self.rate):
            return
        rows, columns = signal.charge.shape
        dy = 0.0 if self.y is None else np.arange(rows) - self.y * (rows - 1)
        dx = 0.0 if self.x is None else np.arange(columns) - self.x * (columns - 1)
        distance = np.hypot(np.atleast_1d(dy)[:, np.newaxis], np.atleast_1d(dx)[np.newaxis, :])
        rate = (self.rate * np.exp(-distance / self.scale)).astype(np.float32)
        signal.map("glow")[...] += rate
        signal.charge += rate * np.float32(signal.request.exposure_time)
