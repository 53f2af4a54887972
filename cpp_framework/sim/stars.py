"""Stars on the light of science exposures."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cpp_framework.sim.effect import ChargeEffect
from cpp_framework.sim.signal import Signal

FWHM = 2 * math.sqrt(2 * math.log(2))
"""Full width at half maximum of a Gaussian, in σ."""
REACH = 6.0
"""σ out to which a star is drawn; 4e-9 of its light is beyond."""


class Stars(ChargeEffect):
    """Gaussian stars, integrated over the pixels; the same stars in every exposure of kind science."""

    name: ClassVar[str] = "stars"

    number: int = Field(default=20, ge=0, le=100_000, description="at random places, fluxes even in logarithm")
    faintest: float = Field(default=1e3, gt=0, description="electron per exposure, in all its pixels")
    brightest: float = Field(default=1e5, gt=0, description="electron per exposure, in all its pixels")
    listed: tuple[tuple[float, float, float], ...] = Field(
        default=(), description="stars instead of random ones: x, y [pixel, from 0], electron"
    )
    fwhm: float = Field(default=3.0, gt=0, description="pixels")
    dither: float = Field(default=0.0, ge=0, description="pixels, rms in x and in y between exposures")

    def apply(self, signal: Signal) -> None:
        """Add the mean light of every star."""
        if signal.request.kind != "science":
            return
        x, y, electrons = self._sky(signal)
        shift = self.dither * signal.of_exposure(self.name).standard_normal(2)
        rows = signal.rows("stars", x.size)
        rows["x"], rows["y"], rows["electrons"], rows["fwhm"] = x + shift[0], y + shift[1], electrons, self.fwhm
        signal.lit = signal.lit or bool(x.size)
        for star in rows:
            self._draw(signal.charge, star["x"], star["y"], star["electrons"])
        signal.truth.add_rows("stars", rows)

    def _sky(self, signal: Signal) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        if self.listed:
            x, y, electrons = np.array(self.listed, float).T
            return x, y, electrons
        random = signal.of_camera(self.name)
        rows, columns = signal.charge.shape
        x = random.uniform(-0.5, columns - 0.5, self.number)
        y = random.uniform(-0.5, rows - 0.5, self.number)
        return x, y, np.exp(random.uniform(np.log(self.faintest), np.log(self.brightest), self.number))

    def _draw(self, charge: NDArray[np.float32], x: float, y: float, electrons: float) -> None:
        sigma = self.fwhm / FWHM
        (y0, along_y), (x0, along_x) = (
            _profile(centre, sigma, size) for centre, size in zip((y, x), charge.shape, strict=True)
        )
        box = (slice(y0, y0 + along_y.size), slice(x0, x0 + along_x.size))
        charge[box] += (electrons * np.outer(along_y, along_x)).astype(np.float32)


def _profile(centre: float, sigma: float, size: int) -> tuple[int, NDArray[np.float64]]:
    """First pixel, and the share of a Gaussian in each pixel from there on; empty where it is off the detector."""
    low = min(max(math.floor(centre - REACH * sigma), 0), size)
    high = min(max(math.ceil(centre + REACH * sigma) + 1, low), size)
    edges = np.arange(low, high + 1) - 0.5
    return low, np.diff([0.5 * math.erf((edge - centre) / (sigma * math.sqrt(2))) for edge in edges])
