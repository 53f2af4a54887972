"""What can go wrong in one exposure, on purpose: for testing what an analysis finds, refuses and survives.

Anomalies act on the signal in adu just before the ADC. Their sizes are in units of the pixel noise σ (read noise and
photon noise of the exposure).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, computed_field, model_validator

from cpp_framework.errors import ConfigError, NotFoundError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cpp_framework.sim.readout import AmplifierReadout
    from cpp_framework.sim.signal import Signal


class Anomaly(BaseModel, ABC):
    """One thing that goes wrong in an exposure, in one amplifier or (``amplifier`` empty) in all."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: ClassVar[str]

    amplifier: str = ""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def name(self) -> str:
        """Name of the anomaly."""
        return self.kind

    @model_validator(mode="before")
    @classmethod
    def _drop_name(cls, value: Any) -> Any:
        """Accept what `model_dump` wrote, in which the name is a field."""
        return {k: v for k, v in value.items() if k != "name"} if isinstance(value, dict) else value

    def spoil(self, signal: Signal) -> None:
        """Do it to every amplifier concerned, and write it into the truth."""
        for amp, array in signal.each():
            if self.amplifier in ("", amp.name):
                self._spoil(signal, amp, array)
        signal.truth.exposure.anomalies += (self.model_dump(),)

    @abstractmethod
    def _spoil(self, signal: Signal, amp: AmplifierReadout, array: NDArray[np.float32]) -> None:
        """Do it to one amplifier."""


class Outliers(Anomaly):
    """Positive hits in the data section, evenly spread in height between ``lowest`` and ``highest`` σ."""

    kind: ClassVar[str] = "outliers"

    fraction: float = Field(default=0.001, gt=0, lt=1, description="of the pixels")
    lowest: float = Field(default=10.0, gt=0, description="σ above the undisturbed pixel")
    highest: float = Field(default=100.0, gt=0, description="σ above the undisturbed pixel")

    def _spoil(self, signal: Signal, amp: AmplifierReadout, array: NDArray[np.float32]) -> None:
        random = signal.of_exposure(self.kind, amp.name)
        data = array[amp.data]
        hit = np.flatnonzero(random.random(data.size, dtype=np.float32) < self.fraction)
        heights = random.uniform(self.lowest, self.highest, hit.size) * signal.sigma(amp.name)
        data[np.unravel_index(hit, data.shape)] += heights.astype(np.float32)
        rows = signal.rows("outliers", hit.size)
        rows["adu"] = heights
        rows["y"], rows["x"] = _assembled(amp, hit)
        signal.truth.add_rows("outliers", rows)


class Shift(Anomaly):
    """The data section (not the overscan) is shifted by a constant, as by stray light."""

    kind: ClassVar[str] = "shift"

    sigma: float = Field(default=5.0, description="σ")

    def _spoil(self, signal: Signal, amp: AmplifierReadout, array: NDArray[np.float32]) -> None:
        array[amp.data] += np.float32(self.sigma * signal.sigma(amp.name))


class ExtraNoise(Anomaly):
    """The noise of all pixels, overscans included, is ``factor`` times as large."""

    kind: ClassVar[str] = "extra_noise"

    factor: float = Field(default=5.0, ge=1, description="noise with / noise without")

    def _spoil(self, signal: Signal, amp: AmplifierReadout, array: NDArray[np.float32]) -> None:
        # Added in quadrature, so that the undisturbed part of the noise keeps its random numbers.
        extra = np.sqrt(self.factor**2 - 1) * signal.sigma(amp.name)
        noise = signal.of_exposure(self.kind, amp.name).standard_normal(amp.shape, dtype=np.float32)
        array += np.float32(extra) * noise


class DeadAmplifier(Anomaly):
    """All pixels of an amplifier, overscans included, hold one value."""

    kind: ClassVar[str] = "dead_amplifier"

    value: float = Field(default=0.0, ge=0, description="adu")

    def _spoil(self, signal: Signal, amp: AmplifierReadout, array: NDArray[np.float32]) -> None:  # noqa: ARG002
        array[...] = self.value


class SaturatedFrame(Anomaly):
    """The whole data section is at the highest count of the ADC."""

    kind: ClassVar[str] = "saturated_frame"

    def _spoil(self, signal: Signal, amp: AmplifierReadout, array: NDArray[np.float32]) -> None:
        array[amp.data] = signal.truth.amplifiers[amp.name].adc_maximum or 65535.0


class NotFinite(Anomaly):
    """NaN in the data section; only raws of float numbers (effect ``adc`` off) can hold it."""

    kind: ClassVar[str] = "not_finite"

    fraction: float = Field(default=0.001, gt=0, le=1, description="of the pixels")

    def _spoil(self, signal: Signal, amp: AmplifierReadout, array: NDArray[np.float32]) -> None:
        data = array[amp.data]
        random = signal.of_exposure(self.kind, amp.name)
        data[random.random(data.shape, dtype=np.float32) < self.fraction] = np.nan


ANOMALIES: dict[str, type[Anomaly]] = {
    one.kind: one for one in (Outliers, Shift, ExtraNoise, DeadAmplifier, SaturatedFrame, NotFinite)
}
"""Anomalies by name."""


def check_anomalies(anomalies: tuple[Anomaly, ...], amplifiers: list[str], *, digital: bool) -> None:
    """Refuse what cannot be done.

    Raises
    ------
    NotFoundError
        An anomaly names an amplifier the detector does not have.
    ConfigError
        NaN is wanted in raws of whole numbers.
    """
    for one in anomalies:
        if one.amplifier and one.amplifier not in amplifiers:
            raise NotFoundError(
                f"anomaly {one.kind}: no amplifier {one.amplifier!r}; there are {', '.join(amplifiers)}"
            )
        if digital and isinstance(one, NotFinite):
            raise ConfigError("anomaly not_finite: raws of whole numbers cannot hold NaN", hint="switch off effect adc")


def _assembled(amp: AmplifierReadout, index: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns in the assembled detector of flat indices into an amplifier's data in readout orientation."""
    box = amp.amplifier.box
    y, x = np.unravel_index(index, box.shape)
    return (
        box.y1 - 1 - y if amp.amplifier.flip_y else box.y0 + y,
        box.x1 - 1 - x if amp.amplifier.flip_x else box.x0 + x,
    )
