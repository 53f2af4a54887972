"""Effects on the charge in the pixels: uniform light, its Poisson noise, full well."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from cpp_framework.errors import ConfigError
from cpp_framework.model.image import oriented
from cpp_framework.sim.effect import ChargeEffect, NotNegative, value_for
from cpp_framework.sim.signal import Signal

MOST_CHARGE = 1e18
"""Electron in a pixel, for which Poisson numbers can be drawn."""


class Light(ChargeEffect):
    """Uniform light: rate of the request × exposure time, electron per pixel."""

    name: ClassVar[str] = "light"

    def apply(self, signal: Signal) -> None:
        """Add the mean light to every pixel."""
        if signal.request.electrons:
            signal.charge += np.float32(signal.request.electrons)
            signal.lit = True
        signal.truth.exposure.electrons = signal.request.electrons


class PhotonNoise(ChargeEffect):
    """Poisson noise of the charge collected so far."""

    name: ClassVar[str] = "photon_noise"

    def apply(self, signal: Signal) -> None:
        """Replace the mean charge of each pixel by a Poisson variable of that mean."""
        signal.truth.photon_noise = True
        most = float(signal.charge.max())
        if not most:
            return
        if not most < MOST_CHARGE:
            raise ConfigError(
                f"{most:.3g} electron in a pixel of exposure {signal.request.number}: the simulator counts to 1e18",
                hint="less light, dark current or time",
            )
        for amp in signal.readout.amplifiers:
            charge = oriented(signal.charge, amp.amplifier)
            charge[...] = signal.of_exposure(self.name, amp.name).poisson(charge)


class FullWell(ChargeEffect):
    """A pixel holds no more than its full well. Charge above it is lost, it does not bloom."""

    name: ClassVar[str] = "full_well"

    electrons: NotNegative = Field(default=None, description="electron; default: the instrument's × gain, else none")

    def apply(self, signal: Signal) -> None:
        """Clip the charge."""
        for amp in signal.readout.amplifiers:
            truth = signal.truth.amplifiers[amp.name]
            nominal = None if amp.layout.full_well is None else amp.layout.full_well * truth.gain
            limit = value_for(self.electrons, amp.name, nominal, np.inf, "full_well.electrons")
            if np.isfinite(limit):
                truth.full_well = limit
                charge = oriented(signal.charge, amp.amplifier)
                np.minimum(charge, np.float32(limit), out=charge)
