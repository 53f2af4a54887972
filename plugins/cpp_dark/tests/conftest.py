"""A simulated night of dark exposures in plain numpy: nothing of the plugin's own formulae is in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from cpp_dark.config import DarkConfig
from cpp_dark.product import Dark
from cpp_dark.solve import solve
from numpy.typing import NDArray

from cpp_framework.model import (
    Amplifier,
    AmplifierRecord,
    AmplifierResult,
    Box,
    Context,
    Detector,
    Exposure,
    ImageProduct,
    Mask,
    Measured,
)
from cpp_framework.stats import ArrayFrames

GAIN = 1.5
READ_NOISE = 5.0
"""electron"""
FULL_WELL = 60_000.0
OVERSCAN = 64


def detector(height: int = 96, width: int = 128, overscan: int = OVERSCAN) -> Detector:
    half = width // 2
    left = Amplifier("A", Box(0, 0, half, height), gain=GAIN, serial_overscan=overscan)
    right = Amplifier("B", Box(half, 0, width, height), flip_x=True, gain=GAIN, serial_overscan=overscan)
    return Detector("nightcam", 0, "S00", width, height, (left, right))


@dataclass
class Night:
    """Exposures of one night, and what they were made from.

    ``samples[exposure, y, x]`` in electron: zero subtracted if ``bias`` is given. ``hits`` says which samples a cosmic
    ray was added to, in electron.
    """

    detector: Detector
    samples: NDArray[np.float32]
    masks: NDArray[np.uint32]
    exposures: list[Exposure]
    records: list[dict[str, AmplifierRecord]]
    rate: NDArray[np.float64]
    zero: NDArray[np.float64]
    bias: ImageProduct | None
    hits: NDArray[np.float64]
    unit: str = "electron"
    config: DarkConfig = field(default_factory=DarkConfig)

    @property
    def times(self) -> NDArray[np.float64]:
        return np.array([one.dark_time for one in self.exposures])

    def frames(self, kind: str) -> ArrayFrames:
        which = [k for k, one in enumerate(self.exposures) if one.kind == kind]
        return ArrayFrames(
            self.samples[which],
            self.detector,
            [self.exposures[k] for k in which],
            masks=self.masks[which],
            unit=self.unit,
            records=[self.records[k] for k in which],
        )

    @property
    def needs(self) -> dict[str, ImageProduct]:
        return {} if self.bias is None else {"bias": self.bias}

    def in_adu(self, *, nominal_gain: bool) -> Night:
        """Return the night without its gain: no exposure has one, and the camera file only a nominal one, or none."""
        records = [{name: replace(one, gain=None) for name, one in every.items()} for every in self.records]
        camera = self.detector
        if not nominal_gain:
            camera = replace(camera, amplifiers=tuple(replace(amp, gain=None) for amp in camera.amplifiers))
        samples = (self.samples / GAIN).astype(np.float32)
        return replace(self, samples=samples, unit="adu", records=records, detector=camera)

    def produce(self) -> Dark:
        kinds = sorted({one.kind for one in self.exposures})
        return solve({kind: self.frames(kind) for kind in kinds}, self.needs, self.config, Context(self.detector))


def simulate_night(
    times: Sequence[float],
    seed: int,
    *,
    rate: NDArray[np.float64] | float = 0.1,
    biases: int = 0,
    bias_of: int = 25,
    drift: float = 0.0,
    overscan: bool = True,
    cosmic_rays: float = 0.0,
    shape: tuple[int, int] = (96, 128),
) -> Night:
    """Simulate darks of some times.

    Parameters
    ----------
    times : sequence of float
        Dark times [s].
    rate : float or array ``[y, x]``
        [electron/s]
    biases : int
        Bias exposures in the stack; the zero pattern then stays in all, and no bias product is given.
    bias_of : int
        Exposures of the bias product, whose noise all darks share; 0 for no bias product.
    drift : float
        Rms of the level of each exposure [electron].
    overscan : bool
        Whether there is one: it tells the read noise.
    cosmic_rays : float
        Probability of a hit of 6 to 200 σ per sample.
    """
    rng = np.random.default_rng(seed)
    camera = detector(*shape, overscan=OVERSCAN if overscan else 0)
    true = np.broadcast_to(np.asarray(rate, float), camera.shape).copy()
    zero = rng.normal(0, 8, camera.shape)
    of_bias = rng.normal(0, READ_NOISE / np.sqrt(bias_of), camera.shape) if bias_of and not biases else None
    every = [("bias", 0.0)] * biases + [("dark", time) for time in times]
    samples, masks, exposures, records, hits = [], [], [], [], []
    for number, (kind, time) in enumerate(every):
        charge = rng.poisson(true * time).astype(float)
        struck = rng.random(camera.shape) < cosmic_rays
        sigma = np.sqrt(READ_NOISE**2 + true * time)
        hit = np.where(struck, sigma * rng.uniform(6, 200, camera.shape), 0.0)
        signal = np.minimum(charge + hit, FULL_WELL)
        plane = signal + rng.normal(0, READ_NOISE, camera.shape) + rng.normal(0, drift) + zero
        masks.append(np.where(charge + hit >= FULL_WELL, Mask.SAT, 0).astype(np.uint32))
        samples.append((plane if of_bias is None else plane - zero - of_bias).astype(np.float32))
        exposures.append(make_exposure(kind, number, time))
        records.append({amp.name: record(rng, amp, overscan) for amp in camera.amplifiers})
        hits.append(hit)
    bias = None if of_bias is None else bias_product(camera, bias_of)
    return Night(camera, np.stack(samples), np.stack(masks), exposures, records, true, zero, bias, np.stack(hits))


def make_exposure(kind: str, number: int, time: float) -> Exposure:
    return Exposure(
        instrument="nightcam",
        detector=0,
        id=f"{kind}-{number}",
        number=number,
        kind=kind,
        exposure_time=time,
        dark_time=time,
        begin=number * 10**12,
        end=number * 10**12 + int(time * 1e9),
    )


def record(rng: np.random.Generator, amp: Amplifier, overscan: bool) -> AmplifierRecord:
    if not overscan:
        return AmplifierRecord(gain=GAIN)
    pixels = amp.box.height * OVERSCAN
    noise = float(np.std(rng.normal(0, READ_NOISE / GAIN, pixels), ddof=1))
    return AmplifierRecord(bias_level=1000.0, read_noise=noise, read_noise_error=noise / np.sqrt(2 * pixels), gain=GAIN)


def bias_product(camera: Detector, exposures: int) -> ImageProduct:
    error = READ_NOISE / GAIN / np.sqrt(exposures)
    level = Measured(value=0.0, error=error / np.sqrt(camera.width * camera.height / 2), unit="adu")
    return ImageProduct(
        unit="adu",
        image=np.zeros(camera.shape, np.float32),
        error=np.full(camera.shape, error, np.float32),
        mask=np.zeros(camera.shape, np.uint32),
        used=np.full(camera.shape, exposures, np.uint16),
        amplifiers={amp.name: AmplifierResult(values={"level": level}) for amp in camera.amplifiers},
    )


@pytest.fixture(scope="session")
def night() -> Callable[..., Night]:
    """The simulation, as a function."""
    return simulate_night
