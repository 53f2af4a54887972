"""The truth of a simulation on disk, beside the raw files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cpp_framework.errors import FormatVersionError, NotFoundError
from cpp_framework.sim.truth import DERIVED, AmplifierTruth, ExposureTruth, Truth

FORMAT = 2
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
    "dark_rate": "electron/s",
    "glow": "electron/s",
    "shutter": "s",
    "response": "",
    "lamp_factor": "",
    "dark_factor": "",
}


def write_truth(folder: Path, truths: list[Truth]) -> tuple[Path, Path]:
    """Write ``truth.json`` and ``truth.npz`` of all detectors of one simulation.

    ``truth.npz`` has per detector N every map and table as ``<name>_N``, as ``bias_structure_N`` [adu] and
    ``outliers_N``. It is not FITS, so that whoever ingests the folder is not told of a raw file that is none.
    """
    first = truths[0]
    document = {
        "format": FORMAT,
        "instrument": first.instrument,
        "seed": first.seed,
        "settings": first.settings,
        "units": UNITS,
        "detectors": [truth.to_json() for truth in truths],
    }
    text, arrays = folder / "truth.json", folder / "truth.npz"
    planes: dict[str, Any] = {
        f"{name}_{truth.detector}": plane
        for truth in truths
        for name, plane in sorted({**truth.maps, **truth.tables}.items())
    }
    np.savez(arrays, **planes)
    text.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return text, arrays


def read_truth(folder: str | Path) -> dict[int, Truth]:
    """Read the truth in a folder that `simulate_night` wrote: detector id → truth.

    Raises
    ------
    NotFoundError
        There is no ``truth.json`` in it.
    FormatVersionError
        It was written by another version of the simulator.
    """
    text = Path(folder) / "truth.json"
    if not text.is_file():
        raise NotFoundError(f"no truth of a simulation in {folder}", hint="give the folder that `cpp sim` wrote")
    document = json.loads(text.read_text(encoding="utf-8"))
    if document["format"] != FORMAT:
        raise FormatVersionError(
            f"{text} has format {document['format']}; this version reads format {FORMAT}", hint="simulate it again"
        )
    with np.load(text.with_suffix(".npz")) as arrays:
        return {one["detector"]: _detector_truth(document, one, arrays) for one in document["detectors"]}


def _detector_truth(document: dict[str, Any], one: dict[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Truth:
    amplifiers = {
        name: AmplifierTruth.model_validate({key: value for key, value in amp.items() if key not in DERIVED})
        for name, amp in one["amplifiers"].items()
    }
    rows, columns = one["shape"]
    return Truth(
        instrument=document["instrument"],
        detector=one["detector"],
        seed=document["seed"],
        settings=document["settings"],
        shape=(rows, columns),
        amplifiers=amplifiers,
        exposures=[ExposureTruth.model_validate(exposure) for exposure in one["exposures"]],
        maps={name: arrays[f"{name}_{one['detector']}"] for name in one["maps"]},
        tables={name: arrays[f"{name}_{one['detector']}"] for name in one["tables"]},
        photon_noise=one["photon_noise"],
    )
