"""A number as it is stored: value, error and unit."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Measured(BaseModel):
    """A value with its one-sigma error (None where it is not an estimate) and unit."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    value: float
    error: float | None = None
    unit: str = ""

    def __str__(self) -> str:
        error = "" if self.error is None else f" ± {self.error:.2g}"
        unit = "" if self.unit == "1" else self.unit
        return f"{self.value:.6g}{error} {unit}".strip()
