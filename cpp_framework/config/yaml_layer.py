"""Settings from a YAML file, with the place of every key, so that an error can point at it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from cpp_framework.config.safe_yaml import YamlError, parse
from cpp_framework.config.suggest import shortened
from cpp_framework.config.text_file import read_text
from cpp_framework.errors import ConfigError

_MEND = "check indentation, colons and quotes"


def read_settings(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Read a YAML file of settings.

    Returns
    -------
    values : dict
        Nested settings.
    places : dict of str to str
        ``file:line:column`` of every dotted key.

    Raises
    ------
    ConfigError
        The file cannot be read, is not YAML, is not a mapping, or has a key twice.
    """
    try:
        text = read_text(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {path}: {error}", hint="it must be a text file in UTF-8") from error
    try:
        values, node = parse(text)
    except YamlError as error:
        place = f"{path}:{error.line}:{error.column}" if error.line else str(path)
        raise ConfigError(f"{place}: not valid YAML: {error}", hint=_MEND) from error
    if node is None:
        return {}, {}
    if not isinstance(node, yaml.MappingNode) or not isinstance(values, dict):
        raise ConfigError(f"{path}: not a YAML mapping of `key: value` lines", hint="for instance clip: {sigma: 4}")
    places: dict[str, str] = {}
    _collect(path, node, "", places)
    return values, places


def parse_assignment(text: str) -> dict[str, Any]:
    """Parse ``key.sub=value`` into nested settings; the value is read as YAML (``3``, ``true``, ``[1, 2]``).

    Raises
    ------
    ConfigError
        There is no ``=``, no key, or the value is not YAML.
    """
    name, equals, value = text.partition("=")
    keys = name.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError(f"{text!r} is not KEY=VALUE", hint="for instance --set clip.sigma=4")
    nested = parse_value(value)
    for key in reversed(keys):
        nested = {key: nested}
    return dict(nested)


def parse_value(text: str) -> Any:
    """Read the value of an assignment as YAML.

    Raises
    ------
    ConfigError
        It is not valid.
    """
    try:
        return parse(text)[0]
    except YamlError as error:
        raise ConfigError(f"value {shortened(text)} is not valid YAML: {error}", hint=_MEND) from error


def _collect(path: Path, node: yaml.MappingNode, prefix: str, places: dict[str, str]) -> None:
    for key, value in node.value:
        name = f"{prefix}{key.value}"
        place = f"{path}:{key.start_mark.line + 1}:{key.start_mark.column + 1}"
        if name in places:
            # An alias makes one node appear under several names, but never twice under one.
            raise ConfigError(f"{place}: {name} is there twice", hint=f"first at {places[name]}")
        places[name] = place
        if isinstance(value, yaml.MappingNode) and len(places) < _MAX_KEYS:
            _collect(path, value, name + ".", places)


_MAX_KEYS = 10_000
"""More keys than any settings have; it stops files whose aliases multiply."""


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two layers of nested settings as one; where both set a key, the second wins."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result
