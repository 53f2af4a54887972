"""What `measure` returns for one exposure or pair: named arrays and numbers, cached by the framework."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cpp_framework.errors import ContractError


@dataclass(frozen=True)
class Measurement:
    """Named numpy arrays and JSON-able values. Units belong in the names' documentation or in ``values``."""

    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, array in self.arrays.items():
            if not isinstance(array, np.ndarray) or array.dtype.hasobject:
                raise ContractError(f"measurement array {name!r} must be a numpy array of numbers, not {type(array)}")
