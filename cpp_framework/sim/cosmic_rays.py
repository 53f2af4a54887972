"""Cosmic rays: straight tracks of ionisation through the silicon."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cpp_framework.sim.effect import ChargeEffect
from cpp_framework.sim.signal import Signal

POINTS_PER_PIXEL = 8
"""Of track, at which charge is laid down."""


class CosmicRays(ChargeEffect):
    """Muons: a Poisson number of straight tracks, zenith angles as cos² on a level detector, Landau-like losses.

    The charge of a track is its path in the silicon × most probable loss × (1 + spread × m), m of Moyal's distribution
    (L. Moyal, Phil. Mag. 46, 263, 1955), whose tail is that of Landau's.
    """

    name: ClassVar[str] = "cosmic_rays"

    rate: float = Field(default=0.02, ge=0, description="per cm² and s")
    pixel: float = Field(default=10.0, gt=0, description="size of a pixel, µm")
    thickness: float = Field(default=100.0, gt=0, description="of the silicon, µm")
    loss: float = Field(default=75.0, gt=0, description="most probable loss, electron per µm of path")
    spread: float = Field(default=0.1, ge=0, description="of the losses, relative to the most probable")
    diffusion: float = Field(default=0.3, ge=0, description="σ of the charge cloud, pixels")

    def apply(self, signal: Signal) -> None:
        """Add whole electrons to the pixels hit during the dark time."""
        rows, columns = signal.charge.shape
        area = rows * columns * (self.pixel * 1e-4) ** 2
        random = signal.of_exposure(self.name)
        number = int(random.poisson(self.rate * area * signal.request.exposure_time))
        if not number:
            return
        track, y, x, electrons = self._points(random, number, (rows, columns))
        place = (track * rows + y) * columns + x
        hit, which = np.unique(place, return_inverse=True)
        charge = np.rint(np.bincount(which, electrons)).astype(np.float32)
        hit, charge = hit[charge > 0], charge[charge > 0]
        found = signal.rows("cosmic_rays", hit.size)
        found["track"], inside = np.divmod(hit, rows * columns)
        found["y"], found["x"] = np.divmod(inside, columns)
        found["electrons"] = charge
        np.add.at(signal.charge, (found["y"], found["x"]), charge)
        signal.truth.add_rows("cosmic_rays", found)

    def _points(
        self, random: np.random.Generator, number: int, shape: tuple[int, int]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
        """Track, row, column and electrons of the points at which tracks lay down charge inside the detector."""
        start = random.uniform((0, 0), shape, (number, 2))
        # The flux through a level surface goes as cos³θ sinθ dθ, so cos⁴θ is uniform. 1e-4 is a slope of 10.
        cosine = np.maximum(random.random(number), 1e-4) ** 0.25
        azimuth = random.uniform(0, 2 * np.pi, number)
        length = self.thickness / self.pixel * np.sqrt(1 - cosine**2) / cosine
        moyal = -np.log(random.standard_normal(number) ** 2)
        charge = self.thickness / cosine * self.loss * np.maximum(1 + self.spread * moyal, 0.3)
        points = np.maximum(np.ceil(length * POINTS_PER_PIXEL), POINTS_PER_PIXEL).astype(int)
        track = np.repeat(np.arange(number), points)
        step = (np.arange(track.size) - np.repeat(np.cumsum(points) - points, points)) / points[track]
        direction = np.stack([np.sin(azimuth), np.cos(azimuth)], axis=1)
        place = start[track] + (step * length[track])[:, np.newaxis] * direction[track]
        place += random.normal(0, self.diffusion, place.shape)
        pixel = np.floor(place).astype(np.intp)
        inside = np.all((pixel >= 0) & (pixel < shape), axis=1)
        return track[inside], pixel[inside, 0], pixel[inside, 1], (charge / points)[track][inside]
