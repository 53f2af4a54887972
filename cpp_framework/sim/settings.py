"""All effects of the simulated camera with their parameters, in the order of the signal chain."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cpp_framework.config.suggest import did_you_mean, shortened
from cpp_framework.config.yaml_layer import parse_value
from cpp_framework.errors import ConfigError
from cpp_framework.sim.anomalies import ANOMALIES, Anomaly
from cpp_framework.sim.charge import FullWell, Light, PhotonNoise
from cpp_framework.sim.cosmic_rays import CosmicRays
from cpp_framework.sim.dark import DarkCurrent, Glow, HotPixels, UnstablePixels
from cpp_framework.sim.defects import BlockedColumns, BrightColumns, ColdPixels, DeadColumns, Vampires
from cpp_framework.sim.effect import ChargeEffect, Effect, ReadoutEffect
from cpp_framework.sim.electronics import Adc, BiasDrift, BiasLevel, BiasStructure, Gain, ReadNoise, RowPattern
from cpp_framework.sim.illumination import Dust, LampDrift, Prnu, Shutter, Vignetting
from cpp_framework.sim.stars import Stars


class SimSettings(BaseModel):
    """Effects in signal-chain order: the order of the fields is the order in which they act.

    ``off`` names effects that are left out; the others keep their random numbers. A further effect is one class with
    `apply` and one field here, at its place in the chain.

    Examples
    --------
    >>> SimSettings(read_noise=ReadNoise(sigma=3.0, shared=0), off={"bias_drift", "row_pattern"})
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    light: Light = Light()
    stars: Stars = Stars()
    lamp_drift: LampDrift = LampDrift()
    shutter: Shutter = Shutter()
    vignetting: Vignetting = Vignetting()
    dust: Dust = Dust()
    prnu: Prnu = Prnu()
    cold_pixels: ColdPixels = ColdPixels()
    vampires: Vampires = Vampires()
    dark_current: DarkCurrent = DarkCurrent()
    hot_pixels: HotPixels = HotPixels()
    unstable_pixels: UnstablePixels = UnstablePixels()
    glow: Glow = Glow()
    bright_columns: BrightColumns = BrightColumns()
    photon_noise: PhotonNoise = PhotonNoise()
    cosmic_rays: CosmicRays = CosmicRays()
    dead_columns: DeadColumns = DeadColumns()
    blocked_columns: BlockedColumns = BlockedColumns()
    full_well: FullWell = FullWell()
    read_noise: ReadNoise = ReadNoise()
    gain: Gain = Gain()
    bias_structure: BiasStructure = BiasStructure()
    row_pattern: RowPattern = RowPattern()
    bias_level: BiasLevel = BiasLevel()
    bias_drift: BiasDrift = BiasDrift()
    adc: Adc = Adc()
    off: frozenset[str] = Field(default=frozenset(), description="effects left out")

    @model_validator(mode="after")
    def _off_are_effects(self) -> Self:
        for name in self.off:
            if name not in effect_names():
                raise ValueError(f"off: {name!r} is not an effect; there are {', '.join(effect_names())}")
        return self

    @property
    def effects(self) -> tuple[Effect, ...]:
        """The effects that are on, in signal-chain order."""
        every: list[Effect] = [getattr(self, name) for name in effect_names()]
        return tuple(effect for effect in every if effect.name not in self.off)

    @property
    def charge_effects(self) -> tuple[ChargeEffect, ...]:
        """Effects before the read-out."""
        return tuple(effect for effect in self.effects if isinstance(effect, ChargeEffect))

    @property
    def readout_effects(self) -> tuple[ReadoutEffect, ...]:
        """Effects of the read-out, the ADC included."""
        return tuple(effect for effect in self.effects if isinstance(effect, ReadoutEffect))

    def is_on(self, name: str) -> bool:
        """Whether an effect acts."""
        return name not in self.off


def effect_names() -> tuple[str, ...]:
    """Names of all effects in signal-chain order."""
    return tuple(name for name in SimSettings.model_fields if name != "off")


def settings_from_text(assignments: Iterable[str], off: Iterable[str] = ()) -> SimSettings:
    """Make settings from ``EFFECT.PARAMETER=VALUE`` texts and the names of effects to leave out.

    Raises
    ------
    ConfigError
        A name is unknown or a value impossible; the message says which and what there is.
    """
    values: dict[str, Any] = {"off": frozenset(known(name, effect_names(), "effect") for name in off)}
    for text in assignments:
        effect, parameter, value = parse_assignment(text)
        kind: Any = SimSettings.model_fields[known(effect, effect_names(), "effect")].annotation
        known(parameter, tuple(kind.model_fields), f"parameter of {effect}")
        values.setdefault(effect, {})[parameter] = value
    try:
        return SimSettings.model_validate(values)
    except ValidationError as error:
        raise ConfigError("; ".join(problems(error))) from error


def parse_assignment(text: str) -> tuple[str, str, Any]:
    """Split ``EFFECT.PARAMETER=VALUE``; the value is read as YAML, so ``{C00: 1.5, C01: 1.4}`` is one per amplifier."""
    where, equals, value = text.partition("=")
    owner, dot, parameter = where.strip().partition(".")
    if not (equals and dot and owner and parameter):
        raise ConfigError(f"{text!r} is not EFFECT.PARAMETER=VALUE", hint="for instance read_noise.sigma=3.5")
    return owner, parameter, parse_value(value)


def problems(error: ValidationError) -> list[str]:
    """Say what a validation found, without the words of the validator."""
    return [
        f"{_place(one['loc'])}: {one['msg'].removeprefix('Value error, ')}, got {shortened(one['input'])}"
        for one in error.errors()
    ]


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location if part not in ("float", "mapping[str,float]")) or "settings"


def known(name: str, names: tuple[str, ...], what: str) -> str:
    """Return the name, or raise `ConfigError` with the nearest there is."""
    if name in names:
        return name
    raise ConfigError(f"no {what} {name!r}; there are {', '.join(names) or 'none'}", hint=did_you_mean(name, names))


def anomalies_from_text(texts: Iterable[str], exposures: int) -> dict[int, list[Anomaly]]:
    """Read ``NUMBER:ANOMALY[:PARAMETER=VALUE…]`` texts: exposure number → what goes wrong in it.

    Raises
    ------
    ConfigError
        A text has another form, a number is not among the exposures, a name is unknown or a value impossible.
    """
    wanted: dict[int, list[Anomaly]] = {}
    for text in texts:
        number, _, anomaly = text.partition(":")
        name, *assignments = anomaly.split(":")
        if not name:
            raise ConfigError(f"{text!r} is not NUMBER:ANOMALY[:PARAMETER=VALUE…]", hint="for instance 3:shift:sigma=5")
        if not (re.fullmatch(r"[0-9]{1,9}", number) and 1 <= int(number) <= exposures):
            raise ConfigError(
                f"{text!r}: {number!r} is not one of the exposures 1 … {exposures}",
                hint="for instance 1:shift:sigma=5",
            )
        kind = ANOMALIES[known(name, tuple(ANOMALIES), "anomaly")]
        values = {}
        for assignment in assignments:
            _, parameter, value = parse_assignment(f"{name}.{assignment}")
            values[known(parameter, tuple(kind.model_fields), f"parameter of {name}")] = value
        try:
            wanted.setdefault(int(number), []).append(kind.model_validate(values))
        except ValidationError as error:
            raise ConfigError(f"{text!r}: " + "; ".join(problems(error))) from error
    return wanted
