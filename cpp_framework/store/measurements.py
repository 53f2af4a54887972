"""The cache of measurements: one ``.npz`` per recipe, which may be deleted at any time."""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from pathlib import Path

import numpy as np

from cpp_framework.model.measurement import Measurement
from cpp_framework.store.files import storage_errors, temporary_path

_ARRAY = "array/"
_VALUES = "values"


def measurement_path(folder: Path, recipe: str) -> Path:
    """Where the measurement of a recipe is kept."""
    return folder / f"{recipe}.npz"


def read_measurement(path: Path) -> Measurement | None:
    """Return a kept measurement; None if there is none or its file is damaged (it will be measured again)."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name.removeprefix(_ARRAY): stored[name] for name in stored.files if name != _VALUES}
            values = json.loads(str(stored[_VALUES]))
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    return Measurement(arrays, values)


def write_measurement(path: Path, measurement: Measurement) -> None:
    """Keep a measurement; readers see the whole file or none.

    Raises
    ------
    StoreError
        Full disk, missing permission and the like.
    """
    staged = temporary_path(path.parent, path.name)
    content = {_ARRAY + name: array for name, array in measurement.arrays.items()}
    content[_VALUES] = np.array(json.dumps(dict(measurement.values)))
    try:
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with staged.open("wb") as file:
                np.savez(file, **content)  # type: ignore[arg-type]
            os.replace(staged, path)  # noqa: PTH105 -- one recipe, one content: replacing changes nothing
    finally:
        staged.unlink(missing_ok=True)
