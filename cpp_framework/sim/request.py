"""What is asked of the simulated camera: one exposure."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny

from cpp_framework.errors import ConfigError
from cpp_framework.model.timespan import NANOSECONDS, day_obs, to_tai_ns
from cpp_framework.sim.anomalies import ANOMALIES, Anomaly

FIRST_BEGIN = to_tai_ns("2026-11-22T20:00:00", "tai")
"""Begin of the first exposure unless told otherwise: a fixed date, so that the same seed gives the same bytes."""
READOUT_SECONDS = 5.0
"""Time between the end of one exposure and the begin of the next."""


def _anomalies(value: Any) -> Any:
    """Turn ``{"name": "shift", "sigma": 5}`` back into the anomaly it came from."""
    if not isinstance(value, list | tuple):
        return value
    return tuple(ANOMALIES[one["name"]].model_validate(one) if isinstance(one, dict) else one for one in value)


def _fits_text(value: str) -> str:
    """Refuse what a FITS header cannot hold. No ValueError, so that pydantic passes it on as it is."""
    if not (value.isascii() and value.isprintable()):
        raise ConfigError(f"filter {value!a}: FITS headers hold printable ASCII characters only")
    return value


class ExposureRequest(BaseModel):
    """One exposure: kind, times, light, and what shall go wrong in it.

    ``begin`` is in TAI nanoseconds; None places the exposure after ``number − 1`` others of the same length.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: str = "bias"
    number: int = Field(default=1, ge=1)
    exposure_time: float = Field(default=0.0, ge=0, description="s")
    light: float = Field(default=0.0, ge=0, description="uniform light, electron/s per pixel")
    filter: Annotated[str, AfterValidator(_fits_text)] = ""
    temperature: float = Field(default=-100.0, description="detector temperature, degC")
    begin: int | None = Field(default=None, description="TAI ns")
    anomalies: Annotated[tuple[SerializeAsAny[Anomaly], ...], BeforeValidator(_anomalies)] = ()

    @property
    def begin_ns(self) -> int:
        """Begin of the exposure in TAI nanoseconds."""
        if self.begin is not None:
            return self.begin
        return FIRST_BEGIN + round((self.number - 1) * (self.exposure_time + READOUT_SECONDS) * NANOSECONDS)

    @property
    def end_ns(self) -> int:
        """End of the exposure in TAI nanoseconds."""
        return self.begin_ns + round(self.exposure_time * NANOSECONDS)

    @property
    def day_obs(self) -> int:
        """Observing day, YYYYMMDD."""
        return day_obs(self.begin_ns)

    @property
    def electrons(self) -> float:
        """Mean light per pixel, electron."""
        return self.light * self.exposure_time
