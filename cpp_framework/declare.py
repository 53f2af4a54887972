"""What a plugin says about a calibration type: a light declaration that names its functions by import string.

Importing this module costs neither numpy nor astropy (DESIGN law 3), so ``cpp --help`` and ``cpp plugins`` stay fast.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum
from importlib import import_module
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from cpp_framework.errors import ContractError, PluginError

API = 1
"""Version of the plugin contract. A declaration written for another one is refused at load with a hint."""


class Stage(IntEnum):
    """Where a corrector acts on an image, in this order. Before GAIN everything is ADU, after it electrons."""

    ADC_SATURATION = 10
    SERIAL_OVERSCAN = 20
    CROSSTALK = 30
    PARALLEL_OVERSCAN = 40
    FULL_WELL = 50
    BIAS = 60
    LINEARITY = 70
    GAIN = 80
    CTI = 90
    DARK = 100
    BRIGHTER_FATTER = 110
    DEFECTS = 120
    FLAT = 130
    INTERPOLATION = 140


class Reach(StrEnum):
    """How far a corrector looks: the part of an image it must be given at once."""

    PIXEL = "pixel"
    ROW = "row"
    AMPLIFIER = "amplifier"
    DETECTOR = "detector"


class Need(StrEnum):
    """What a check needs before it can be run; absent from camera or stack means NOT_RUN, with this reason."""

    GAIN = "a gain (electron/adu)"
    OVERSCAN = "an overscan"
    PREVIOUS = "a previous product"
    TWO_EXPOSURES = "at least two exposures"
    FOUR_EXPOSURES = "at least four exposures"


class UsedBy(Enum):
    """Which step a setting belongs to. Only SOLVE settings enter the recipe (DESIGN §4, recipe digest)."""

    SOLVE = "solve"
    VERIFY = "verify"
    COSMETIC = "cosmetic"


class Config(BaseModel):
    """Base of every calibration type's settings: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    @classmethod
    def used_by(cls, step: UsedBy) -> tuple[str, ...]:
        """Names of the settings that belong to one step."""
        return tuple(
            name
            for name, field in cls.model_fields.items()
            if (field.json_schema_extra or {}).get("used_by") == step.value  # type: ignore[union-attr]
        )


def setting(default: Any, description: str, *, unit: str = "", used_by: UsedBy = UsedBy.SOLVE, **bounds: Any) -> Any:
    """Declare one setting: default, description, unit and bounds (``ge``, ``le``, ``gt``, ``lt``)."""
    extra: dict[str, Any] = {"unit": unit, "used_by": used_by.value}
    return Field(default=default, description=description, json_schema_extra=extra, **bounds)


@dataclass(frozen=True)
class Inputs:
    """One named selection of exposures.

    Parameters
    ----------
    kind : str
        Exposure kind to select (``bias``, ``dark``, ``flat`` …).
    key : tuple of str
        Exposure fields that must agree inside one unit of work; one product is made per combination.
    minimum : int
        Fewest exposures to work on; with 0 the selection may be empty, and `solve` then does not find it.
    name : str
        Name under which `solve` finds the selection; the kind if empty.
    pairing : str
        Empty, or the exposure field by which exposures are paired (``exposure_time``); `measure` then gets pairs.
    frames : bool
        Whether `solve` reads the corrected frames themselves. False when measurements are enough (PTC).
    unless : str
        Empty, or a type: the selection is left out where that need has a product.
    """

    kind: str
    key: tuple[str, ...] = ("detector",)
    minimum: int = 1
    name: str = ""
    pairing: str = ""
    frames: bool = True
    unless: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.kind)
        if self.minimum < 0:
            raise ContractError(f"inputs {self.name!r}: minimum must not be negative, got {self.minimum}")
        if "detector" not in self.key:
            raise ContractError(f"inputs {self.name!r}: key must contain 'detector', got {self.key}")


@dataclass(frozen=True)
class Requires:
    """A calibration type whose product is needed; ``optional`` ones are used when there is one."""

    type: str
    optional: bool = False


@dataclass(frozen=True)
class Corrector:
    """A function ``(image, product, config) -> None`` that corrects an image in place, in a stage."""

    function: str
    stage: Stage
    reach: Reach


@dataclass(frozen=True)
class CheckSpec:
    """A check a type promises to make: its name, what it tells, and what it needs to be possible."""

    name: str
    title: str
    needs: tuple[Need, ...] = ()
    reference: str = ""


@dataclass(frozen=True)
class CalibrationType:
    """The whole declaration of a calibration type. Import strings look like ``"cpp_bias.solve:solve"``.

    ==============  =======================================================================
    function        signature
    ==============  =======================================================================
    measure         ``(image | pair of images, config, ctx) -> Measurement`` (optional)
    pool            ``(measurements, config, ctx) -> Measurement`` (optional)
    solve           ``(inputs, needs, config, ctx) -> Product``
    verify          ``(product, ctx) -> Iterator[Check]``
    figures         ``(product, ctx) -> Iterator[Figure]`` (optional)
    correctors      ``(image, product, config) -> None`` each
    examples        mapping of check name to `cpp_framework.model.CheckExample`
    ==============  =======================================================================

    The first of ``inputs`` tells products apart by its ``key``; a type made from products only (``inputs`` empty) names
    with its own ``key`` the fields by which they are told apart, and needs at least one of what it ``requires``.
    ``inputs_up_to`` is the last stage applied to the exposures before `measure` and `solve` see them, and ``without``
    names types that are not applied even if their stage is earlier. ``provides`` lists the per-amplifier values other
    stages may take from the product (``gain``, ``read_noise``, ``full_well``).
    """

    name: str
    title: str
    revision: int
    product: str
    solve: str
    verify: str
    config: str
    inputs: tuple[Inputs, ...] = ()
    key: tuple[str, ...] = ()
    inputs_up_to: Stage = Stage.FULL_WELL
    without: tuple[str, ...] = ()
    requires: tuple[Requires, ...] = ()
    provides: tuple[str, ...] = ()
    measure: str = ""
    pool: str = ""
    figures: str = ""
    correctors: tuple[Corrector, ...] = ()
    checks: tuple[CheckSpec, ...] = ()
    examples: str = ""
    label: str = ""
    api: int = API

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            raise ContractError(f"type name {self.name!r}: use lower-case letters, digits and '_'")
        if self.revision < 1:
            raise ContractError(f"type {self.name!r}: revision must be at least 1, not {self.revision}")
        if not self.inputs and not self.requires:
            raise ContractError(f"type {self.name!r} declares neither inputs nor requires: made from what?")
        if self.inputs and self.inputs[0].minimum < 1:
            raise ContractError(f"type {self.name!r}: its first inputs need a minimum of at least 1 exposure")
        for what in self.import_strings():
            if not re.fullmatch(r"[\w.]+:[\w.]+", what):
                raise ContractError(f"type {self.name!r}: {what!r} is not an import string 'module:object'")
        _unique(self.name, "input", [inputs.name for inputs in self.inputs])
        _unique(self.name, "check", [check.name for check in self.checks])
        _unique(self.name, "requirement", [required.type for required in self.requires])

    def import_strings(self) -> list[str]:
        """All import strings that are set."""
        named = [self.product, self.solve, self.verify, self.config]
        optional = [self.measure, self.pool, self.figures, self.examples]
        return named + [one for one in optional if one] + [one.function for one in self.correctors]


def _unique(type_name: str, what: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ContractError(f"type {type_name!r}: {what} {name!r} is declared twice")
        seen.add(name)


def load(what: str, *, wanted_by: str = "") -> Any:
    """Import the object named ``module:object``.

    Raises
    ------
    PluginError
        The module or the object is not there; the message names both and who wanted them.
    """
    module_name, _, attribute = what.partition(":")
    owner = f" (wanted by {wanted_by})" if wanted_by else ""
    try:
        found: Any = import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise PluginError(
            f"cannot load {what!r}{owner}: {type(error).__name__}: {error}",
            hint="reinstall the distribution that declares it; `cpp plugins` lists them",
        ) from error
    return found
