"""What settings a type has, and which of them decide its numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic_core import PydanticUndefined

from cpp_framework.config.layers import leaves, nested_class
from cpp_framework.declare import Config, UsedBy


@dataclass(frozen=True)
class SettingRow:
    """One setting: dotted name, default, unit, bounds, description and the step that uses it."""

    name: str
    default: Any
    unit: str
    bounds: str
    description: str
    used_by: str


def describe(config_class: type[Config]) -> list[SettingRow]:
    """Every setting of a type, those of nested settings included, in the order they are declared."""
    return [
        SettingRow(
            name=name,
            default=None if info.default is PydanticUndefined else info.default,
            unit=str(_extra(info).get("unit", "")),
            bounds=", ".join(_bounds(info)),
            description=info.description or "",
            used_by=_used_by(info).value,
        )
        for name, info in leaves(config_class)
    ]


def recipe_settings(config: Config) -> dict[str, Any]:
    """The settings that decide a product's numbers, as JSON values: those used by SOLVE. Only they enter a recipe."""
    found: dict[str, Any] = {}
    values = config.model_dump(mode="json")
    for name, info in type(config).model_fields.items():
        if _used_by(info) is not UsedBy.SOLVE:
            continue
        nested = nested_class(info.annotation)
        found[name] = values[name] if nested is None else recipe_settings(getattr(config, name))
    return found


def _extra(info: Any) -> dict[str, Any]:
    return info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}


def _used_by(info: Any) -> UsedBy:
    # A field declared without `setting` counts as deciding: to remake too often is safe, too rarely is not.
    return UsedBy(_extra(info).get("used_by", UsedBy.SOLVE.value))


_SIGNS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}


def _bounds(info: Any) -> list[str]:
    return [
        f"{sign} {getattr(one, name):g}"
        for one in info.metadata
        for name, sign in _SIGNS.items()
        if getattr(one, name, None) is not None
    ]
