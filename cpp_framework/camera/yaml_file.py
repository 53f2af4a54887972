"""YAML with line numbers: what a person wrote, and where, so that an error can point at it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cpp_framework.errors import InstrumentError

_BOOL = "tag:yaml.org,2002:bool"
_MEND = "check indentation, colons and quotes"
_INT = "tag:yaml.org,2002:int"


class _Loader(yaml.SafeLoader):
    """Safe YAML without two traps of version 1.1: ``off`` is text, not false; ``1:20`` is text, not 80."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in (_BOOL, _INT)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOL, re.compile(r"^(?:true|True|false|False)$"), list("tTfF"))
_Loader.add_implicit_resolver(_INT, re.compile(r"^(?:[-+]?[0-9]+|0x[0-9a-fA-F]+)$"), list("-+0123456789"))


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
        if path.exists() and not path.is_file():  # a pipe would wait for ever
            raise InstrumentError(f"cannot read {path}: it is not a file", hint=hint)
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InstrumentError(f"cannot read {path}: {error}", hint=hint) from error
    return parse_yaml(text, str(path))


def parse_yaml(text: str, name: str) -> YamlFile:
    """Parse YAML text; ``name`` stands for the file in messages. Raises as `read_yaml`."""
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if not isinstance(root, yaml.MappingNode):
            raise InstrumentError(
                f"{name}: not a YAML mapping of `key: value` lines", hint="`cpp instrument show simcam` shows one"
            )
        _refuse_repeated_keys(root, name, set())
        data = loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InstrumentError(f"{name}:{line}: not valid YAML: {error.problem}", hint=_MEND) from error
    except (yaml.YAMLError, ValueError) as error:  # characters that may not be there; 2026-99-99, 5000 digits
        raise InstrumentError(f"{name}: not valid YAML: {str(error).splitlines()[0]}", hint=_MEND) from error
    except RecursionError as error:
        raise InstrumentError(f"{name}: nested too deeply", hint=_MEND) from error
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
        keys = [key.value for key, _ in node.value]
        for i, (key, value) in enumerate(node.value):
            if key.value in keys[:i]:
                raise InstrumentError(f"{name}:{key.start_mark.line + 1}: {key.value!r} is there twice")
            children.append(value)
    elif isinstance(node, yaml.SequenceNode):
        children = node.value
    for child in children:
        _refuse_repeated_keys(child, name, seen)
