"""What a simulation really did: the numbers an analysis should find, written beside the raw files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from cpp_framework.errors import NotFoundError

OUTLIER_DTYPE = np.dtype([("number", "i4"), ("y", "i4"), ("x", "i4"), ("adu", "f4")])
"""One outlier: exposure number, row and column of the assembled detector, height."""


DERIVED = ("read_noise_adu", "saturation")
"""Values of an amplifier that follow from the others; written for readers of ``truth.json``."""
UNITS = {
    "gain": "electron/adu",
    "read_noise": "electron",
    "read_noise_adu": "adu",
    "full_well": "electron",
    "adc_maximum": "adu",
    "bias_level": "adu",
    "saturation": "adu",
    "drift": "adu",
    "exposure_time": "s",
    "electrons": "electron",
    "bias_structure": "adu",
}


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
    exposure_time: float = Field(description="s")
    electrons: float = Field(default=0.0, description="mean light, electron per pixel")
    drift: dict[str, float] = Field(default_factory=dict, description="adu")
    anomalies: tuple[dict[str, Any], ...] = ()


@dataclass
class Truth:
    """Truth of one detector for any number of exposures.

    ``bias_structure`` is float32 ``[y, x]`` of the assembled detector [adu], what a bias frame holds on top of the
    levels; it is zero in pre- and overscans. ``outliers`` has one row per injected outlier (`OUTLIER_DTYPE`).
    """

    instrument: str
    detector: int
    seed: int
    settings: dict[str, Any]
    bias_structure: NDArray[np.float32]
    amplifiers: dict[str, AmplifierTruth] = field(default_factory=dict)
    exposures: list[ExposureTruth] = field(default_factory=list)
    outliers: NDArray[Any] = field(default_factory=lambda: np.zeros(0, OUTLIER_DTYPE))
    photon_noise: bool = False

    @property
    def exposure(self) -> ExposureTruth:
        """The last exposure."""
        return self.exposures[-1]

    def extend(self, other: Truth) -> None:
        """Add the exposures of another simulation of the same detector, settings and seed."""
        self.exposures += other.exposures
        self.outliers = np.concatenate([self.outliers, other.outliers])

    def outlier_mask(self, number: int) -> NDArray[np.bool_]:
        """Boolean ``[y, x]``: where outliers were injected into one exposure."""
        mask = np.zeros(self.bias_structure.shape, bool)
        here = self.outliers[self.outliers["number"] == number]
        mask[here["y"], here["x"]] = True
        return mask

    def to_json(self) -> dict[str, Any]:
        """Everything but the arrays."""
        amplifiers = {
            name: {**amp.model_dump(), **{derived: getattr(amp, derived) for derived in DERIVED}}
            for name, amp in self.amplifiers.items()
        }
        return {
            "detector": self.detector,
            "photon_noise": self.photon_noise,
            "amplifiers": amplifiers,
            "exposures": [exposure.model_dump() for exposure in self.exposures],
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays, under the names they have in ``truth.npz``."""
        return {f"bias_structure_{self.detector}": self.bias_structure, f"outliers_{self.detector}": self.outliers}


def write_truth(folder: Path, truths: list[Truth]) -> tuple[Path, Path]:
    """Write ``truth.json`` and ``truth.npz`` of all detectors of one simulation.

    ``truth.npz`` has per detector N the arrays ``bias_structure_N`` [adu] and ``outliers_N``. It is not FITS, so that
    whoever ingests the folder is not told of a raw file that is none.
    """
    first = truths[0]
    document = {
        "format": 1,
        "instrument": first.instrument,
        "seed": first.seed,
        "settings": first.settings,
        "units": UNITS,
        "detectors": [truth.to_json() for truth in truths],
    }
    text, arrays = folder / "truth.json", folder / "truth.npz"
    planes: dict[str, Any] = {name: plane for truth in truths for name, plane in truth.arrays().items()}
    np.savez(arrays, **planes)
    text.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return text, arrays


def read_truth(folder: str | Path) -> dict[int, Truth]:
    """Read the truth in a folder that `simulate_night` wrote: detector id → truth.

    Raises
    ------
    NotFoundError
        There is no ``truth.json`` in it.
    """
    text = Path(folder) / "truth.json"
    if not text.is_file():
        raise NotFoundError(f"no truth of a simulation in {folder}", hint="give the folder that `cpp sim` wrote")
    document = json.loads(text.read_text(encoding="utf-8"))
    with np.load(text.with_suffix(".npz")) as arrays:
        return {one["detector"]: _detector_truth(document, one, arrays) for one in document["detectors"]}


def _detector_truth(document: dict[str, Any], one: dict[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Truth:
    amplifiers = {
        name: AmplifierTruth.model_validate({key: value for key, value in amp.items() if key not in DERIVED})
        for name, amp in one["amplifiers"].items()
    }
    return Truth(
        instrument=document["instrument"],
        detector=one["detector"],
        seed=document["seed"],
        settings=document["settings"],
        bias_structure=arrays[f"bias_structure_{one['detector']}"],
        amplifiers=amplifiers,
        exposures=[ExposureTruth.model_validate(exposure) for exposure in one["exposures"]],
        outliers=arrays[f"outliers_{one['detector']}"],
        photon_noise=one["photon_noise"],
    )
