"""Settings in layers: type defaults, instrument, YAML file, ``--set``. The last wins, and each remembers its origin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import ValidationError

from cpp_framework.config.suggest import did_you_mean, shortened
from cpp_framework.config.yaml_layer import merged, parse_assignment, read_settings
from cpp_framework.declare import Config
from cpp_framework.errors import ConfigError

C = TypeVar("C", bound=Config)

DEFAULT = "default"
_HINT = "the type's documentation lists its settings, with units and defaults"


class Layer(NamedTuple):
    """Settings from one origin; ``places`` gives ``file:line:column`` of dotted keys where that is known."""

    origin: str
    values: Mapping[str, Any]
    places: Mapping[str, str] = {}


@dataclass(frozen=True)
class Resolved(Generic[C]):
    """The settings in force, and the origin of each by dotted key."""

    config: C
    origins: Mapping[str, str] = field(default_factory=dict)


def resolve_config(
    config_class: type[C],
    file: Path | None = None,
    settings: Sequence[str] = (),
    *,
    name: str = "",
    instrument: Mapping[str, Any] | None = None,
) -> Resolved[C]:
    """Resolve a type's settings from its defaults, an instrument's mapping, a YAML file and ``key=value`` texts.

    Raises
    ------
    ConfigError
        A key is unknown, a value impossible, or a file or text cannot be read.
    """
    layers = [Layer("instrument", instrument)] if instrument else []
    if file is not None:
        layers.append(Layer(str(file), *read_settings(file)))
    layers += [Layer("--set", parse_assignment(text)) for text in settings]
    return resolve(config_class, layers, name=name)


def resolve(config_class: type[C], layers: Sequence[tuple[Any, ...]], *, name: str = "") -> Resolved[C]:
    """Put layers ``(origin, mapping[, places])`` over the defaults of ``config_class``; the last wins.

    Parameters
    ----------
    name : str
        The type's name, put before keys in messages.

    Raises
    ------
    ConfigError
        A key is unknown or a value impossible; every problem is named, with its place.
    """
    values: dict[str, Any] = {}
    origins = dict.fromkeys((key for key, _ in leaves(config_class)), DEFAULT)
    places: dict[str, str] = {}
    for layer in (Layer(*one) for one in layers):
        for key in _set_keys(config_class, layer, name):
            origins[key] = layer.places.get(key, layer.origin)
            places[key] = origins[key]
        values = merged(values, layer.values)
    try:
        config = config_class.model_validate(values)
    except ValidationError as error:
        raise _impossible(error, places, name) from error
    return Resolved(config, origins)


def leaves(config_class: type[Config], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted name and pydantic field of every setting, those of nested settings included."""
    for name, info in config_class.model_fields.items():
        if (nested := nested_class(info.annotation)) is not None:
            yield from leaves(nested, f"{prefix}{name}.")
        else:
            yield prefix + name, info


def nested_class(annotation: Any) -> type[Config] | None:
    """The class of a setting that itself holds settings; None for plain ones."""
    return annotation if isinstance(annotation, type) and issubclass(annotation, Config) else None


def _set_keys(config_class: type[Config], layer: Layer, name: str) -> list[str]:
    """Dotted names a layer sets; unknown ones are an error."""
    found: list[str] = []

    def walk(current: type[Config], values: Mapping[str, Any], prefix: str) -> None:
        for key, value in values.items():
            if key not in current.model_fields:
                raise _unknown(str(key), prefix, current, layer, name)
            nested = nested_class(current.model_fields[key].annotation)
            if nested is not None and isinstance(value, Mapping):
                walk(nested, value, f"{prefix}{key}.")
            else:
                found.append(f"{prefix}{key}")

    walk(config_class, layer.values, "")
    return found


def _unknown(key: str, prefix: str, current: type[Config], layer: Layer, name: str) -> ConfigError:
    place = layer.places.get(prefix + key, layer.origin)
    full = f"{name}.{prefix}{key}" if name else prefix + key
    return ConfigError(f"{place}: {full} — unknown; {did_you_mean(key, current.model_fields)}", hint=_HINT)


def _impossible(error: ValidationError, places: Mapping[str, str], name: str) -> ConfigError:
    lines = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"])
        place = next((places[known] for known in places if key == known or key.startswith(known + ".")), DEFAULT)
        value = problem["input"]
        shown = f" = {shortened(value)}" if isinstance(value, str | int | float | bool | None) else ""
        message = problem["msg"].removeprefix("Value error, ")
        lines.append(f"{place}: {name + '.' if name else ''}{key}{shown} — {message[:1].lower()}{message[1:]}")
    return ConfigError("\n".join(lines), hint=_HINT)
