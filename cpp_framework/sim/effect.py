"""What an effect of the simulator is: parameters with units, and a function on the signal."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict

from cpp_framework.errors import ConfigError
from cpp_framework.sim.signal import Signal

PerAmplifier = float | Mapping[str, float] | None
"""One value for all amplifiers, one per amplifier name, or None: the instrument's nominal value."""


def _numbers(given: PerAmplifier) -> list[float]:
    numbers = given.values() if isinstance(given, Mapping) else [given]
    return [number for number in numbers if number is not None]


def _not_negative(given: PerAmplifier) -> PerAmplifier:
    if any(number < 0 for number in _numbers(given)):
        raise ValueError("must not be negative")
    return given


def _positive(given: PerAmplifier) -> PerAmplifier:
    if any(number <= 0 for number in _numbers(given)):
        raise ValueError("must be positive")
    return given


# The bounds are outside the union, so that a number out of bounds is not also reported as no mapping.
NotNegative = Annotated[PerAmplifier, AfterValidator(_not_negative)]
"""As `PerAmplifier`, zero or more."""
Positive = Annotated[PerAmplifier, AfterValidator(_positive)]
"""As `PerAmplifier`, more than zero."""


class Effect(BaseModel, ABC):
    """An effect of the camera.

    `apply` changes the signal in place, takes its random numbers from ``signal.of_exposure(name, …)`` or
    ``signal.of_camera(name, …)``, and writes into ``signal.truth`` what it did.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: ClassVar[str]

    @abstractmethod
    def apply(self, signal: Signal) -> None:
        """Do the effect."""


class ChargeEffect(Effect):
    """An effect on ``signal.charge``, before the detector is read out."""


class ReadoutEffect(Effect):
    """An effect on ``signal.amplifiers``, while or after the detector is read out."""


def value_for(given: PerAmplifier, amp: str, nominal: float | None, otherwise: float, what: str) -> float:
    """Return an amplifier's value: the one given, else the instrument's nominal one, else ``otherwise``.

    Raises
    ------
    ConfigError
        Values are given by name and this amplifier is not among them.
    """
    if isinstance(given, Mapping):
        if amp not in given:
            raise ConfigError(f"{what} is given for amplifiers {', '.join(given)}, but not for {amp}")
        return given[amp]
    if given is not None:
        return given
    return otherwise if nominal is None else nominal
