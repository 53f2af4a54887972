"""A simulated focal plane, independent of the fits: photons are drawn from truth, nothing is taken from the plugin."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from cpp_flat.config import FlatConfig
from cpp_flat.measure import measure
from cpp_flat.pool import pool
from cpp_flat.product import Flat
from cpp_flat.solve import solve
from numpy.typing import NDArray

from cpp_framework.model import Amplifier, AmplifierRecord, Box, Detector, Exposure, Image, Measurement, Product
from cpp_framework.model.context import Context
from cpp_framework.stats import ArrayFrames

READ_NOISE = 6.0
"""[electron]"""


def detector_of(number: int, amplifiers: int, height: int, width: int, nominal: float | None = None) -> Detector:
    """Amplifiers side by side, every other one read out to the other side, with a nominal gain."""
    edges = [width * i // amplifiers for i in range(amplifiers + 1)]
    amps = tuple(
        Amplifier(f"C{i}", Box(edges[i], 0, edges[i + 1], height), flip_x=bool(i % 2), gain=nominal)
        for i in range(amplifiers)
    )
    return Detector("planecam", number, f"S{number:02d}", width, height, amps)


@dataclass
class Plane:
    """Images by detector, and the truth: ``response`` by detector and lamp ``levels``, both in the product's gauge."""

    detectors: Mapping[int, Detector]
    images: dict[int, list[Image]]
    response: Mapping[int, NDArray[np.float64]]
    levels: NDArray[np.float64]
    config: FlatConfig = field(default_factory=FlatConfig)
    shared: Measurement | None = None
    needs: Mapping[str, Product] = field(default_factory=dict)

    def flats(self) -> dict[int, Flat]:
        """Measure, pool and solve."""
        contexts = {
            number: Context(detector, log=logging.getLogger("test")) for number, detector in self.detectors.items()
        }
        measured = {
            number: [measure(image, self.config, contexts[number]) for image in images]
            for number, images in self.images.items()
        }
        found = {number: {"flat": many} for number, many in measured.items()}
        self.shared = pool(found, self.config, contexts[min(contexts)])
        flats = {}
        for number, images in self.images.items():
            frames = ArrayFrames(
                np.stack([image.data for image in images]),
                self.detectors[number],
                [image.exposure for image in images if image.exposure is not None],
                masks=np.stack([image.mask for image in images]),
                unit=images[0].unit,
                records=[image.records for image in images],
                measurements=measured[number],
                shared=self.shared,
            )
            flats[number] = solve({"flat": frames}, self.needs, self.config, contexts[number])
        return flats


class PlaneSimulator:
    """Makes `Plane` objects."""

    read_noise = READ_NOISE

    def __call__(
        self,
        levels: Sequence[float],
        seed: int,
        *,
        amplifiers: Sequence[int] = (2,),
        shape: tuple[int, int] = (64, 96),
        prnu: float = 0.01,
        spread: float = 0.05,
        times: Sequence[float] | None = None,
        delay: Mapping[int, NDArray[np.float64]] | None = None,
        unit: str = "electron",
        gain: float = 1.0,
        nominal: float | None = None,
    ) -> Plane:
        """Simulate exposures of a lamp with these mean levels [electron].

        ``amplifiers`` of each detector; ``spread`` is the scatter of their throughputs. ``delay`` maps detectors to
        planes in seconds; ``times`` are exposure times. ``gain`` turns electrons into ``unit`` adu,
        ``nominal`` is what the camera is said to have.
        """
        rng = np.random.default_rng(seed)
        detectors = {i: detector_of(i, n, *shape, nominal) for i, n in enumerate(amplifiers)}
        y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
        response = {}
        for i, detector in detectors.items():
            radius = (x / shape[1] - 0.5) ** 2 + (y / shape[0] - 0.5) ** 2
            plane = rng.normal(1.0, prnu, shape) * np.exp(-0.05 * radius)
            for amp in detector.amplifiers:
                plane[amp.box.slices] *= 1 + spread * rng.uniform(-1, 1)
            response[i] = plane
        mean = float(np.mean([plane.mean() for plane in response.values()]))
        response = {i: plane / mean for i, plane in response.items()}
        seconds = list(times) if times is not None else [10.0] * len(levels)
        images: dict[int, list[Image]] = {i: [] for i in detectors}
        for k, (level, time) in enumerate(zip(levels, seconds, strict=True)):
            for i, detector in detectors.items():
                lit = response[i] if delay is None else response[i] * (1 + delay[i] / time)
                electrons = rng.poisson(level * lit) + rng.normal(0.0, READ_NOISE, shape)
                images[i].append(self._image(detector, (electrons / gain).astype(np.float32), k, time, unit, gain))
        return Plane(detectors, images, response, np.asarray(levels, float) / gain)

    @staticmethod
    def _image(
        detector: Detector, data: NDArray[np.float32], number: int, time: float, unit: str, gain: float
    ) -> Image:
        known = gain if unit == "adu" else 1.0
        record = AmplifierRecord(
            bias_level=0.0,
            read_noise=READ_NOISE / known,
            read_noise_error=READ_NOISE / known / 100,
            gain=1.0 if unit == "electron" else None,
        )
        exposure = Exposure(
            instrument=detector.instrument,
            detector=detector.id,
            id=f"flat-{number}",
            number=number,
            kind="flat",
            exposure_time=time,
            dark_time=time,
            filter="r",
        )
        return Image(
            data,
            np.zeros(data.shape, np.uint32),
            detector,
            unit=unit,
            exposure=exposure,
            records={amp.name: record for amp in detector.amplifiers},
        )


@pytest.fixture(scope="session")
def simulate_plane() -> PlaneSimulator:
    """Return the simulator of focal planes."""
    return PlaneSimulator()
