"""What flows through the simulated signal chain: charge in the pixels, then the signal of each amplifier."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cpp_framework.model.image import oriented
from cpp_framework.sim.readout import AmplifierReadout, DetectorReadout
from cpp_framework.sim.request import ExposureRequest
from cpp_framework.sim.seeds import Seeds
from cpp_framework.sim.truth import TABLES, Truth, response_name

Float = NDArray[np.float32]


@dataclass
class Signal:
    """One exposure of one detector on its way from light to numbers.

    ``charge`` is electrons per pixel ``[y, x]`` of the assembled detector. After `read_out`, ``amplifiers`` holds
    one array per amplifier in readout orientation with its pre- and overscans: electron up to the gain, adu after.
    ``lit`` says whether there is light at all. Effects write into ``truth`` what they did.
    """

    readout: DetectorReadout
    request: ExposureRequest
    seeds: Seeds
    truth: Truth
    charge: Float = field(init=False)
    amplifiers: dict[str, Float] = field(default_factory=dict)
    lit: bool = False

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

    def of_all_detectors(self, effect: str, *keys: str | int) -> np.random.Generator:
        """Generator of an effect that is new in every exposure and the same in all detectors."""
        seeds = replace(self.seeds, detector=-1)
        return seeds.generator(effect, "exposure", self.request.number, *keys)

    @property
    def thermal_time(self) -> float:
        """Dark time × factor of the thermal dark current at the temperature of the exposure, s."""
        return self.request.exposure_time * self.truth.exposure.dark_factor

    def map(self, name: str, start: float = 0.0) -> Float:
        """Map of the truth to write into, float32 ``[y, x]``; made if it is not there."""
        if name not in self.truth.maps:
            self.truth.maps[name] = np.full(self.charge.shape, start, np.float32)
        return self.truth.maps[name]

    @property
    def response(self) -> Float:
        """Map of the response in the filter of the exposure, to be written into; 1 at first."""
        return self.map(response_name(self.request.filter), 1.0)

    def rows(self, table: str, number: int) -> NDArray[Any]:
        """Empty rows of a table of the truth, with the number of the exposure."""
        rows = np.zeros(number, TABLES[table])
        rows["number"] = self.request.number
        return rows

    def sigma(self, amp: str) -> float:
        """Noise of one pixel of an amplifier that the effects before the ADC made, adu: read noise and photons."""
        known = self.truth.amplifiers[amp]
        photons = self.request.electrons if self.truth.photon_noise else 0.0
        return float(np.sqrt(known.read_noise**2 + photons) / known.gain)
