"""One exposure of one detector, as the headers tell it after translation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from cpp_framework.model.quantity import Measured

KINDS = ("bias", "dark", "flat", "science", "other")
"""Exposure kinds the framework distinguishes; instruments map their headers to these."""


class Exposure(BaseModel):
    """Identity and conditions of one exposure of one detector. Times are TAI nanoseconds; None where unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    instrument: str
    detector: int
    id: str = Field(description="exposure name, unique in its instrument")
    number: int = Field(description="integer identity, as Butler wants it")
    kind: str
    exposure_time: float = Field(description="seconds")
    dark_time: float = Field(description="seconds; the exposure time where the header has none")
    begin: int | None = None
    end: int | None = None
    day_obs: int | None = None
    group: str = ""
    filter: str = ""
    band: str = ""
    object: str = ""
    mode: str = ""
    binning: tuple[int, int] = (1, 1)
    window: str = Field(default="", description="FITS section of the assembled image that was read; empty for all")
    temperature: float | None = Field(default=None, description="detector temperature, degC")
    records: Mapping[str, Measured] = Field(default_factory=dict, description="monitor charge and the like")
    path: str = Field(default="", description="where the raw file is")

    def value(self, field: str) -> Any:
        """Return a field by the name users give it in filters."""
        return getattr(self, field)


FIELDS = tuple(name for name in Exposure.model_fields if name not in ("records", "path"))
"""Fields by which exposures can be selected and grouped."""
