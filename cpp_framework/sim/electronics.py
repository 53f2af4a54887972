"""Effects of the readout electronics, in the order in which the signal meets them: noise, gain, bias, ADC.

The bias is in adu and therefore added after the gain; crosstalk between raw signals belongs between the structure
and the level.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cpp_framework.model.image import oriented
from cpp_framework.sim.effect import NotNegative, PerAmplifier, Positive, ReadoutEffect, value_for
from cpp_framework.sim.readout import AmplifierReadout
from cpp_framework.sim.signal import Signal

Float = NDArray[np.float32]


class ReadNoise(ReadoutEffect):
    """White read noise; a share of its variance is common to all amplifiers of a bank.

    The common part is equal in pixels that are digitised at the same time, that is at the same row and column of the
    amplifier arrays. ``sigma`` is the whole noise of a pixel.
    """

    name: ClassVar[str] = "read_noise"

    sigma: NotNegative = Field(default=None, description="electron; default: the instrument's, else 5")
    shared: float = Field(default=0.5, ge=0, le=1, description="share of the variance common to the bank")

    def apply(self, signal: Signal) -> None:
        """Add the noise to all pixels, overscans included."""
        common = self._common(signal) if self.shared else {}
        own_part, common_part = np.sqrt(1 - self.shared), np.sqrt(self.shared)
        for amp, array in signal.each():
            sigma = value_for(self.sigma, amp.name, amp.layout.read_noise, 5.0, "read_noise.sigma")
            own = signal.of_exposure(self.name, amp.name).standard_normal(amp.shape, dtype=np.float32)
            own *= np.float32(sigma * own_part)
            array += own
            if common:
                rows, columns = amp.shape
                np.multiply(common[amp.bank][:rows, :columns], np.float32(sigma * common_part), out=own)
                array += own
            truth = signal.truth.amplifiers[amp.name]
            truth.read_noise, truth.common_share = sigma, self.shared

    def _common(self, signal: Signal) -> dict[str, Float]:
        fields: dict[str, Float] = {}
        for bank in sorted({amp.bank for amp in signal.readout.amplifiers}):
            shapes = [amp.shape for amp in signal.readout.amplifiers if amp.bank == bank]
            shape = (max(rows for rows, _ in shapes), max(columns for _, columns in shapes))
            fields[bank] = signal.of_exposure(self.name, "bank", bank).standard_normal(shape, dtype=np.float32)
        return fields


class Gain(ReadoutEffect):
    """Conversion from electrons to adu."""

    name: ClassVar[str] = "gain"

    value: Positive = Field(default=None, description="electron/adu; default: the instrument's, else 1")

    def of(self, amp: AmplifierReadout) -> float:
        """Gain of one amplifier, electron/adu."""
        return value_for(self.value, amp.name, amp.layout.gain, 1.0, "gain.value")

    def apply(self, signal: Signal) -> None:
        """Divide by the gain, which is in the truth from the start: a full well given in adu needs it."""
        for amp, array in signal.each():
            array /= np.float32(signal.truth.amplifiers[amp.name].gain)


class BiasStructure(ReadoutEffect):
    """Fixed structure of the data section: a glow at the first columns, a slope, columns and pixels of their own.

    Pre- and overscans have none, so the structure is what is left of a bias frame after overscan correction.
    """

    name: ClassVar[str] = "bias_structure"

    glow: float = Field(default=10.0, description="adu at the first column, decays within 5 % of the width")
    slope: float = Field(default=4.0, description="adu from the first row to the last")
    columns: float = Field(default=1.0, ge=0, description="adu, rms of columns")
    pixels: float = Field(default=0.5, ge=0, description="adu, rms of pixels")

    def apply(self, signal: Signal) -> None:
        """Add the structure to the data sections."""
        structure = signal.map("bias_structure")
        for amp, array in signal.each():
            own = self._structure(signal.of_camera(self.name, amp.name), amp.amplifier.box.shape)
            oriented(structure, amp.amplifier)[...] = own
            array[amp.data] += own

    def _structure(self, random: np.random.Generator, shape: tuple[int, int]) -> Float:
        rows, columns = shape
        profile = self.columns * random.standard_normal(columns)
        profile += self.glow * np.exp(-np.arange(columns) / (0.05 * columns))
        own = random.standard_normal(shape, dtype=np.float32)
        own *= np.float32(self.pixels)
        own += profile.astype(np.float32)
        own += np.linspace(0, self.slope, rows, dtype=np.float32)[:, np.newaxis]
        return own


class RowPattern(ReadoutEffect):
    """An offset of each row, new in every exposure and the same in data and overscan of the row."""

    name: ClassVar[str] = "row_pattern"

    sigma: float = Field(default=0.5, ge=0, description="adu, rms of rows")

    def apply(self, signal: Signal) -> None:
        """Add the offsets."""
        for amp, array in signal.each():
            offsets = signal.of_exposure(self.name, amp.name).standard_normal(amp.shape[0], dtype=np.float32)
            array += np.float32(self.sigma) * offsets[:, np.newaxis]


class BiasLevel(ReadoutEffect):
    """The electronic offset of each amplifier."""

    name: ClassVar[str] = "bias_level"

    level: PerAmplifier = Field(default=None, description="adu; default: drawn between 900 and 1100 per amplifier")

    def apply(self, signal: Signal) -> None:
        """Add the level to all pixels."""
        for amp, array in signal.each():
            drawn = round(float(signal.of_camera(self.name, amp.name).uniform(900, 1100)), 3)
            level = value_for(self.level, amp.name, None, drawn, "bias_level.level")
            signal.truth.amplifiers[amp.name].bias_level = level
            array += np.float32(level)


class BiasDrift(ReadoutEffect):
    """A shift of each amplifier's level from exposure to exposure."""

    name: ClassVar[str] = "bias_drift"

    sigma: float = Field(default=2.0, ge=0, description="adu, rms between exposures")

    def apply(self, signal: Signal) -> None:
        """Add this exposure's shift to all pixels."""
        for amp, array in signal.each():
            shift = self.sigma * float(signal.of_exposure(self.name, amp.name).standard_normal())
            signal.truth.exposure.drift[amp.name] = shift
            array += np.float32(shift)


class Adc(ReadoutEffect):
    """The analogue-to-digital converter: rounds to whole adu and clips to 0 … maximum. Off: raws are float32."""

    name: ClassVar[str] = "adc"

    maximum: Positive = Field(default=None, description="raw counts; default: the instrument's, else 65535")

    def of(self, amp: AmplifierReadout) -> float:
        """Highest count of one amplifier."""
        return value_for(self.maximum, amp.name, amp.layout.adc_maximum, 65535.0, "adc.maximum")

    def apply(self, signal: Signal) -> None:
        """Round and clip. The maximum is in the truth from the start: a saturated frame needs it."""
        for amp, array in signal.each():
            np.rint(array, out=array)
            np.clip(array, 0, signal.truth.amplifiers[amp.name].adc_maximum, out=array)
