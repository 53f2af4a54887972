"""What flows through the simulated signal chain: charge in the pixels, then the signal of each amplifier."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cpp_framework.model.image import oriented
from cpp_framework.sim.readout import AmplifierReadout, DetectorReadout
from cpp_framework.sim.request import ExposureRequest
from cpp_framework.sim.seeds import Seeds
from cpp_framework.sim.truth import Truth

Float = NDArray[np.float32]


@dataclass
class Signal:
    """One exposure of one detector on its way from light to numbers.

    ``charge`` is electrons per pixel ``[y, x]`` of the assembled detector. After `read_out`, ``amplifiers`` holds
    one array per amplifier in readout orientation with its pre- and overscans: electron up to the gain, adu after.
    Effects write into ``truth`` what they did.
    """

    readout: DetectorReadout
    request: ExposureRequest
    seeds: Seeds
    truth: Truth
    charge: Float = field(init=False)
    amplifiers: dict[str, Float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.charge = np.zeros(self.readout.detector.shape, np.float32)

    def read_out(self) -> None:
        """Move the charge of every pixel to its place in the amplifier arrays; overscans hold none."""
        for amp in self.readout.amplifiers:
            array = np.zeros(amp.shape, np.float32)
            array[amp.data] = oriented(self.charge, amp.amplifier)
            self.amplifiers[amp.name] = array

    def each(self) -> list[tuple[AmplifierReadout, Float]]:
        """Every amplifier with its array."""
        return [(amp, self.amplifiers[amp.name]) for amp in self.readout.amplifiers]

    def of_exposure(self, effect: str, *keys: str | int) -> np.random.Generator:
        """Generator of an effect that is new in every exposure."""
        return self.seeds.generator(effect, "exposure", self.request.number, *keys)

    def of_camera(self, effect: str, *keys: str | int) -> np.random.Generator:
        """Generator of an effect that belongs to the camera and is the same in every exposure."""
        return self.seeds.generator(effect, "camera", *keys)

    def sigma(self, amp: str) -> float:
        """Noise of one pixel of an amplifier that the effects before the ADC made, adu: read noise and photons."""
        known = self.truth.amplifiers[amp]
        photons = self.request.electrons if self.truth.photon_noise else 0.0
        return float(np.sqrt(known.read_noise**2 + photons) / known.gain)
