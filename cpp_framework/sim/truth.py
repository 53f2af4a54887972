"""What a simulation really did: the numbers an analysis should find."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from cpp_framework.errors import NotFoundError

Float = NDArray[np.float32]

TABLES: dict[str, np.dtype[Any]] = {
    "outliers": np.dtype([("number", "i4"), ("y", "i4"), ("x", "i4"), ("adu", "f4")]),
    "cosmic_rays": np.dtype([("number", "i4"), ("track", "i4"), ("y", "i4"), ("x", "i4"), ("electrons", "f4")]),
    "unstable": np.dtype([("number", "i4"), ("y", "i4"), ("x", "i4"), ("electrons", "f4")]),
    "stars": np.dtype([("number", "i4"), ("x", "f8"), ("y", "f8"), ("electrons", "f8"), ("fwhm", "f8")]),
    "defects": np.dtype([("kind", "U16"), ("y", "i4"), ("x", "i4"), ("height", "i4"), ("value", "f4")]),
}
"""Lists by name. ``number`` is the exposure, ``y, x`` the row and column of the assembled detector, from 0.

cosmic_rays : one row per pixel hit; ``track`` counts the tracks of an exposure from 0.
unstable : the unstable pixels that were in their high state, with the mean charge this added.
stars : ``x, y`` of the centre (whole numbers are pixel centres), the integral before shutter and response, the full
    width at half maximum in pixels.
defects : one row per defect of the camera, ``height`` rows upwards from ``y``. ``value`` depends on the kind: hot and
    unstable (high state) electron/s at the reference temperature; cold, dead_column and blocked_column response;
    vampire the share taken from each neighbour; bright_column electron per exposure.
"""

DERIVED = ("read_noise_adu", "saturation")
"""Values of an amplifier that follow from the others; written for readers of ``truth.json``."""


class AmplifierTruth(BaseModel):
    """True values of one amplifier. The defaults are those of a chain in which every effect is off."""

    model_config = ConfigDict(extra="forbid")

    bank: str
    gain: float = Field(default=1.0, description="electron/adu")
    read_noise: float = Field(default=0.0, description="electron, common part included")
    common_share: float = Field(default=0.0, description="share of the read-noise variance common to the bank")
    bias_level: float = Field(default=0.0, description="adu, without structure and drift")
    full_well: float | None = Field(default=None, description="electron")
    adc_maximum: float | None = Field(default=None, description="raw counts")

    @property
    def read_noise_adu(self) -> float:
        """Read noise in adu, without the quantisation of the ADC (1/12 adu² of variance)."""
        return self.read_noise / self.gain

    @property
    def saturation(self) -> float | None:
        """Raw counts above which no pixel without structure or noise can be; None without full well and ADC."""
        limits = [] if self.full_well is None else [self.bias_level + self.full_well / self.gain]
        limits += [] if self.adc_maximum is None else [self.adc_maximum]
        return min(limits, default=None)


class ExposureTruth(BaseModel):
    """True values of one exposure. ``drift`` is what the bias level of each amplifier moved by, adu."""

    model_config = ConfigDict(extra="forbid")

    number: int
    kind: str
    exposure_time: float = Field(description="s, also the dark time")
    filter: str = ""
    electrons: float = Field(default=0.0, description="light before lamp, shutter and response, electron per pixel")
    lamp_factor: float = Field(default=1.0, description="light of this exposure / nominal light")
    dark_factor: float = Field(default=1.0, description="thermal dark current / that at the reference temperature")
    drift: dict[str, float] = Field(default_factory=dict, description="adu")
    anomalies: tuple[dict[str, Any], ...] = ()


@dataclass
class Truth:
    """Truth of one detector for any number of exposures.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns of the assembled detector, and of every map.
    maps : dict of float32 ``[y, x]``
        What belongs to the camera; an effect that is off, or that no exposure could show, has no map in it.
        The properties `bias_structure`, `dark_rate`, `glow`, `shutter` and the method `response` return them.
    tables : dict of structured arrays
        Lists (`TABLES`); the properties of the same names return them.
    """

    instrument: str
    detector: int
    seed: int
    settings: dict[str, Any]
    shape: tuple[int, int]
    amplifiers: dict[str, AmplifierTruth] = field(default_factory=dict)
    exposures: list[ExposureTruth] = field(default_factory=list)
    maps: dict[str, Float] = field(default_factory=dict)
    tables: dict[str, NDArray[Any]] = field(default_factory=dict)
    photon_noise: bool = False

    @property
    def exposure(self) -> ExposureTruth:
        """The last exposure."""
        return self.exposures[-1]

    @property
    def bias_structure(self) -> Float:
        """What a bias frame holds on top of the levels [adu]; it is zero in pre- and overscans."""
        return self._map("bias_structure")

    @property
    def dark_rate(self) -> Float:
        """Thermal dark current with hot pixels, at the reference temperature [electron/s]."""
        return self._map("dark_rate")

    @property
    def glow(self) -> Float:
        """Glow, at any temperature [electron/s]."""
        return self._map("glow")

    @property
    def shutter(self) -> Float:
        """Time a pixel is lit beyond the exposure time [s]."""
        return self._map("shutter")

    def response(self, filter: str = "") -> Float:
        """Factor on the light of an exposure in one filter, dimensionless, dead and cold pixels included.

        It is not renormalised: vignetting is 1 in the middle of the detector, the illumination gradient too, and the
        pixel response has an expected mean of 1. Divide by a mean of your choice to compare with a flat.
        """
        return self._map(response_name(filter), 1.0)

    def mean_light(self, number: int) -> Float:
        """Mean charge from light without stars in one exposure [electron]: light × lamp × (1 + δ/t) × response."""
        one = self.exposure_of(number)
        light = np.float32(one.electrons * one.lamp_factor) * self.response(one.filter)
        if one.exposure_time and "shutter" in self.maps:
            light *= shutter_factor(self.shutter, one.exposure_time)
        return light

    def mean_dark(self, number: int) -> Float:
        """Mean dark charge in one exposure [electron]: t × (rate × dark factor + glow), and unstable pixels."""
        one = self.exposure_of(number)
        charge = self.dark_rate * np.float32(one.dark_factor)
        charge += self.glow
        charge *= np.float32(one.exposure_time)
        here = self.unstable[self.unstable["number"] == number]
        np.add.at(charge, (here["y"], here["x"]), here["electrons"])
        return charge

    def exposure_of(self, number: int) -> ExposureTruth:
        """Return the exposure of that number, or raise `NotFoundError`."""
        for one in self.exposures:
            if one.number == number:
                return one
        raise NotFoundError(f"no exposure {number} in the truth; there are {', '.join(map(str, self.numbers))}")

    @property
    def numbers(self) -> list[int]:
        """Numbers of the exposures."""
        return [one.number for one in self.exposures]

    @property
    def outliers(self) -> NDArray[Any]:
        """Injected outliers (`TABLES`)."""
        return self._table("outliers")

    @property
    def cosmic_rays(self) -> NDArray[Any]:
        """Pixels hit by cosmic rays (`TABLES`)."""
        return self._table("cosmic_rays")

    @property
    def unstable(self) -> NDArray[Any]:
        """Unstable pixels in their high state (`TABLES`)."""
        return self._table("unstable")

    @property
    def stars(self) -> NDArray[Any]:
        """Stars (`TABLES`)."""
        return self._table("stars")

    @property
    def defects(self) -> NDArray[Any]:
        """Defects of the camera that at least one exposure could show (`TABLES`)."""
        return self._table("defects")

    def defects_of(self, kind: str) -> NDArray[Any]:
        """Defects of one kind: hot, unstable, cold, vampire, bright_column, dead_column, blocked_column."""
        found: NDArray[Any] = self.defects[self.defects["kind"] == kind]
        return found

    def defect_mask(self, *kinds: str) -> NDArray[np.bool_]:
        """Boolean ``[y, x]``: where there are defects of these kinds, or of any. Of a vampire only the bright pixel."""
        mask = np.zeros(self.shape, bool)
        for row in self.defects:
            if not kinds or row["kind"] in kinds:
                mask[row["y"] : row["y"] + row["height"], row["x"]] = True
        return mask

    def outlier_mask(self, number: int) -> NDArray[np.bool_]:
        """Boolean ``[y, x]``: where outliers were injected into one exposure."""
        return self._mask(self.outliers, number)

    def cosmic_ray_mask(self, number: int) -> NDArray[np.bool_]:
        """Boolean ``[y, x]``: where cosmic rays hit in one exposure."""
        return self._mask(self.cosmic_rays, number)

    def add_rows(self, table: str, rows: NDArray[Any]) -> None:
        """Append to one of `TABLES`."""
        self.tables[table] = np.concatenate([self._table(table), rows])

    def extend(self, other: Truth) -> None:
        """Add the exposures of another simulation of the same detector, settings and seed."""
        self.exposures += other.exposures
        for name, plane in other.maps.items():
            self.maps.setdefault(name, plane)
        for name, rows in other.tables.items():
            self.add_rows(name, rows)
        if "defects" in other.tables:  # belong to the camera: each is told by every exposure that can show it
            self.tables["defects"] = np.unique(self.defects)

    def to_json(self) -> dict[str, Any]:
        """Everything but the arrays."""
        amplifiers = {
            name: {**amp.model_dump(), **{derived: getattr(amp, derived) for derived in DERIVED}}
            for name, amp in self.amplifiers.items()
        }
        return {
            "detector": self.detector,
            "shape": self.shape,
            "photon_noise": self.photon_noise,
            "maps": sorted(self.maps),
            "tables": sorted(self.tables),
            "amplifiers": amplifiers,
            "exposures": [exposure.model_dump() for exposure in self.exposures],
        }

    def _map(self, name: str, otherwise: float = 0.0) -> Float:
        return self.maps[name] if name in self.maps else np.full(self.shape, otherwise, np.float32)

    def _table(self, name: str) -> NDArray[Any]:
        return self.tables.get(name, np.zeros(0, TABLES[name]))

    def _mask(self, table: NDArray[Any], number: int) -> NDArray[np.bool_]:
        mask = np.zeros(self.shape, bool)
        here = table[table["number"] == number]
        mask[here["y"], here["x"]] = True
        return mask


def response_name(filter: str) -> str:
    """Name of the response map of a filter."""
    return f"response_{filter}" if filter else "response"


def shutter_factor(shutter: Float, exposure_time: float) -> Float:
    """Factor on the light of a pixel that is lit for ``shutter`` [s] longer than the exposure time [s]."""
    factor: Float = np.maximum(1 + shutter / np.float32(exposure_time), np.float32(0))
    return factor
