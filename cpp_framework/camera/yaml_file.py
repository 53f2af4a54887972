"""YAML with line numbers: what a person wrote, and where, so that an error can point at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cpp_framework.config.safe_yaml import YamlError, parse
from cpp_framework.config.text_file import read_text
from cpp_framework.errors import InstrumentError

_MEND = "check indentation, colons and quotes"


@dataclass(frozen=True)
class YamlFile:
    """The data of a YAML file and its node tree, which knows the line of everything."""

    name: str
    data: Any
    root: yaml.Node

    def line(self, location: Sequence[str | int]) -> int:
        """Line (from 1) of the deepest part of ``location`` (keys and indices) that is in the file."""
        node, line = self.root, self.root.start_mark.line
        for part in location:
            found = _child(node, part)
            if found is None:
                break
            node, line = found
        return line + 1


def read_yaml(path: Path) -> YamlFile:
    """Read a YAML mapping.

    Raises
    ------
    InstrumentError
        The file cannot be read, is not YAML, is not a mapping, or has a key twice; the message has ``file:line``.
    """
    hint = "`cpp instrument list` lists the cameras"
    try:
        text = read_text(path)
    except (OSError, ValueError) as error:
        raise InstrumentError(f"cannot read {path}: {error}", hint=hint) from error
    return parse_yaml(text, str(path))


def parse_yaml(text: str, name: str) -> YamlFile:
    """Parse YAML text; ``name`` stands for the file in messages. Raises as `read_yaml`."""
    try:
        data, root = parse(text)
    except YamlError as error:
        place = f"{name}:{error.line}" if error.line else name
        raise InstrumentError(f"{place}: not valid YAML: {error}", hint=_MEND) from error
    if not isinstance(root, yaml.MappingNode):
        raise InstrumentError(
            f"{name}: not a YAML mapping of `key: value` lines", hint="`cpp instrument show simcam` shows one"
        )
    _refuse_repeated_keys(root, name, set())
    return YamlFile(name, data, root)


def _child(node: yaml.Node, part: str | int) -> tuple[yaml.Node, int] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return value, key.start_mark.line
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part].start_mark.line
    return None


def _refuse_repeated_keys(node: yaml.Node, name: str, seen: set[int]) -> None:
    if id(node) in seen:
        return  # an alias: the same node under another name, perhaps inside itself
    seen.add(id(node))
    children: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, value in node.value:
            if str(key.value) in keys:
                raise InstrumentError(
                    f"{name}:{key.start_mark.line + 1}: {key.value!r} is there twice", hint="delete one of them"
                )
            keys.add(str(key.value))
            children.append(value)
    elif isinstance(node, yaml.SequenceNode):
        children = node.value
    for child in children:
        _refuse_repeated_keys(child, name, seen)
