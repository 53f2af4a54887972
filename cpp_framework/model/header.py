"""Who a product is and how it was made: written by the framework into every product file (DESIGN law 5)."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class InputRecord(_Frozen):
    """One exposure that was considered for a product. ``digest`` is the SHA-256 of the raw file's bytes."""

    exposure: str
    number: int
    selection: str
    digest: str
    file: str = ""
    begin: int | None = None
    exposure_time: float = 0.0
    used: bool = True
    reason: str = ""


class NeedRecord(_Frozen):
    """One product that was used to make another, and why this one."""

    type: str
    id: str
    digest: str
    recipe: str
    why: str = ""


class Header(_Frozen):
    """Identity and provenance of a product.

    ``key`` holds what one product is made per (filter, binning …), ``without`` names needs, and ``gain``, that were
    left out on purpose.
    """

    id: str
    type: str
    label: str = ""
    title: str = ""
    revision: int
    instrument: str
    detector: int
    detector_name: str = ""
    key: dict[str, Any] = Field(default_factory=dict)
    begin: int | None = None
    end: int | None = None
    recipe: str
    digest: str = ""
    run: str = ""
    inputs: tuple[InputRecord, ...] = ()
    needs: tuple[NeedRecord, ...] = ()
    config: dict[str, Any] = Field(default_factory=dict)
    origins: dict[str, str] = Field(default_factory=dict)
    gains: dict[str, float] = Field(default_factory=dict)
    gain_source: str = ""
    without: tuple[str, ...] = ()
    applied: tuple[str, ...] = ()
    software: dict[str, str] = Field(default_factory=dict)
    created: str = ""
    command: str = ""
    user: str = ""
    host: str = ""

    @property
    def used(self) -> tuple[InputRecord, ...]:
        """The inputs that were used."""
        return tuple(record for record in self.inputs if record.used)
