"""Effects on light only: lamp, shutter, vignetting, dust, and the response of the pixels.

The response is what multiplies all light in all exposures of one filter; it is collected in the truth.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cpp_framework.sim.effect import ChargeEffect
from cpp_framework.sim.places import centred, squared_radius
from cpp_framework.sim.signal import Signal
from cpp_framework.sim.truth import shutter_factor

Float = NDArray[np.float32]
MODES = 5
"""Of smooth response, in each direction: half waves per detector, 0 … 4."""


class LampDrift(ChargeEffect):
    """The lamp's level differs between exposures; one level for all detectors and amplifiers. Only flats see it."""

    name: ClassVar[str] = "lamp_drift"

    rms: float = Field(default=0.005, ge=0, le=0.2, description="random part, of the nominal level")
    slope: float = Field(default=0.0, ge=-0.1, le=0.1, description="per exposure number after the first")

    def apply(self, signal: Signal) -> None:
        """Multiply the light by this exposure's level."""
        if signal.request.kind != "flat" or not signal.lit:
            return
        drawn = float(signal.of_all_detectors(self.name).standard_normal())
        level = max(1.0 + self.rms * drawn + self.slope * (signal.request.number - 1), 0.0)
        signal.charge *= np.float32(level)
        signal.truth.exposure.lamp_factor = level


class Shutter(ChargeEffect):
    """The shutter opens and closes from the middle: pixels are lit longer (or shorter) than the exposure time."""

    name: ClassVar[str] = "shutter"

    middle: float = Field(default=0.0, description="additional time in the middle of the detector, s")
    corner: float = Field(default=0.0, description="additional time in the corners, s; between as the radius squared")

    def apply(self, signal: Signal) -> None:
        """Multiply the light by (t + δ)/t."""
        if not ((self.middle or self.corner) and signal.lit and signal.request.exposure_time):
            return
        along_y, along_x = squared_radius(signal.charge.shape)
        shutter = signal.map("shutter")
        np.add(along_y, along_x, out=shutter)
        shutter *= np.float32(self.corner - self.middle)
        shutter += np.float32(self.middle)
        signal.charge *= shutter_factor(shutter, signal.request.exposure_time)


class ResponseEffect(ChargeEffect):
    """A factor on all light that is the same in all exposures of one filter."""

    def apply(self, signal: Signal) -> None:
        """Multiply the light, and the response in the truth."""
        factor = self.factor(signal) if signal.lit else None
        if factor is None:
            return
        np.maximum(factor, np.float32(0), out=factor)
        signal.charge *= factor
        signal.response[...] *= factor

    @abstractmethod
    def factor(self, signal: Signal) -> Float | None:
        """Factor on the light, ``[y, x]``; None where there is nothing to do."""


class Vignetting(ResponseEffect):
    """Illumination: falls off from the middle to the corners, and has a gradient. 1 in the middle."""

    name: ClassVar[str] = "vignetting"

    corner: float = Field(default=0.05, ge=0, le=1, description="light lost in the corners, as the radius squared")
    gradient_x: float = Field(default=0.01, ge=-1, le=1, description="change from the left edge to the right")
    gradient_y: float = Field(default=0.0, ge=-1, le=1, description="change from the bottom edge to the top")

    def factor(self, signal: Signal) -> Float:
        """Illumination of every pixel."""
        shape = signal.charge.shape
        along_y, along_x = squared_radius(shape)
        (v, u), (rows, columns) = centred(shape), shape
        factor = np.add(along_y, along_x, dtype=np.float32)
        factor *= np.float32(-self.corner)
        factor += 1
        factor *= 1 + np.float32(self.gradient_x / columns) * u
        factor *= (1 + np.float32(self.gradient_y / rows) * v)[:, np.newaxis]
        return factor


class Dust(ResponseEffect):
    """Shadows of dust on the filter: rings, darkest at their radius."""

    name: ClassVar[str] = "dust"

    number: int = Field(default=0, ge=0, le=10_000, description="spots per detector and filter")
    depth: float = Field(default=0.02, ge=0, le=1, description="light lost at the radius")
    radius: float = Field(default=10.0, gt=0, description="pixels; the ring's width is σ = radius/3")

    def factor(self, signal: Signal) -> Float | None:
        """Shadow on every pixel."""
        if not self.number:
            return None
        rows, columns = signal.charge.shape
        factor = np.ones((rows, columns), np.float32)
        random = signal.of_camera(self.name, signal.request.filter)
        reach = 3 * self.radius
        for y, x in random.uniform((0, 0), (rows, columns), (self.number, 2)):
            box = (
                slice(max(int(y - reach), 0), min(int(y + reach) + 1, rows)),
                slice(max(int(x - reach), 0), min(int(x + reach) + 1, columns)),
            )
            ys, xs = np.ogrid[box]
            ring = (np.hypot(ys - y, xs - x) - self.radius) / (self.radius / 3)
            factor[box] *= (1 - self.depth * np.exp(-(ring**2) / 2)).astype(np.float32)
        return factor


class Prnu(ResponseEffect):
    """Response of the pixels: white, the same in all filters, and smooth, different in each."""

    name: ClassVar[str] = "prnu"

    rms: float = Field(default=0.005, ge=0, le=0.2, description="of pixels, about a mean of 1")
    smooth: float = Field(default=0.002, ge=0, le=0.2, description="rms of the smooth part over the detector")

    def factor(self, signal: Signal) -> Float:
        """White and smooth response, multiplied."""
        white = signal.of_camera(self.name).standard_normal(signal.charge.shape, dtype=np.float32)
        white *= np.float32(self.rms)
        white += 1
        if self.smooth:
            white *= self._smooth(signal)
        return white

    def _smooth(self, signal: Signal) -> Float:
        """Sum of the longest cosines, normalised so that its rms over the detector is `smooth`, with a mean of 1."""
        amplitudes = signal.of_camera(self.name, "smooth", signal.request.filter).standard_normal((MODES, MODES))
        amplitudes[0, 0] = 0
        along_y, along_x = (
            np.cos(np.pi * np.outer(np.arange(size) + 0.5, np.arange(MODES)) / size) for size in signal.charge.shape
        )
        powers = np.where(np.arange(MODES) == 0, 1.0, 0.5)
        amplitudes *= self.smooth / np.sqrt((amplitudes**2 * np.outer(powers, powers)).sum())
        field: Float = (along_y @ amplitudes).astype(np.float32) @ along_x.T.astype(np.float32)
        field += 1
        return field
