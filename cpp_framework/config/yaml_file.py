"""A YAML file a person wrote, with line numbers, validated by a pydantic model: every error points at its line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from cpp_framework.config.safe_yaml import YamlError, parse
from cpp_framework.config.suggest import did_you_mean, shortened
from cpp_framework.config.text_file import read_text
from cpp_framework.errors import UserError

_MEND = "check indentation, colons and quotes"
_MOST_PROBLEMS = 50
"""Problems listed of one file: who has more has given the wrong file."""


@dataclass(frozen=True)
class Wanted:
    """What kind of file is read: the error it raises, and hints where it cannot be read or is no mapping."""

    error: type[UserError]
    unreadable: str
    example: str


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


def read_yaml(path: Path, wanted: Wanted) -> YamlFile:
    """Read a YAML mapping.

    Raises
    ------
    UserError
        Of the kind wanted: the file cannot be read, is not YAML, is not a mapping, or has a key twice; the message has
        ``file:line``.
    """
    try:
        text = read_text(path)
    except (OSError, ValueError) as error:
        raise wanted.error(f"cannot read {path}: {error}", hint=wanted.unreadable) from error
    return parse_yaml(text, str(path), wanted)


def parse_yaml(text: str, name: str, wanted: Wanted) -> YamlFile:
    """Parse YAML text; ``name`` stands for the file in messages. Raises as `read_yaml`."""
    try:
        data, root = parse(text)
    except YamlError as error:
        place = f"{name}:{error.line}" if error.line else name
        raise wanted.error(f"{place}: not valid YAML: {error}", hint=_MEND) from error
    if not isinstance(root, yaml.MappingNode):
        raise wanted.error(f"{name}: not a YAML mapping of `key: value` lines", hint=wanted.example)
    _refuse_repeated_keys(root, name, set(), wanted)
    return YamlFile(name, data, root)


def problems(
    file: YamlFile, error: ValidationError, model: type[BaseModel], prefix: tuple[str, ...] = ()
) -> list[tuple[int, str]]:
    """What pydantic found wrong in a file, each as line and sentence; unknown keys with the nearest known one."""
    found = []
    for one in error.errors(include_url=False)[:_MOST_PROBLEMS]:
        if one["type"] == "too_short" and one["input"]:
            continue  # pydantic counts only the valid items; what is wrong with the others is in this list too
        location = (*prefix, *one["loc"])
        found.append((file.line(location), f"{_dotted(location)}: {_sentence(one, model)}"))
    return found


def _child(node: yaml.Node, part: str | int) -> tuple[yaml.Node, int] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return value, key.start_mark.line
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part].start_mark.line
    return None


def _refuse_repeated_keys(node: yaml.Node, name: str, seen: set[int], wanted: Wanted) -> None:
    if id(node) in seen:
        return  # an alias: the same node under another name, perhaps inside itself
    seen.add(id(node))
    children: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, value in node.value:
            if str(key.value) in keys:
                raise wanted.error(
                    f"{name}:{key.start_mark.line + 1}: {key.value!r} is there twice", hint="delete one of them"
                )
            keys.add(str(key.value))
            children.append(value)
    elif isinstance(node, yaml.SequenceNode):
        children = node.value
    for child in children:
        _refuse_repeated_keys(child, name, seen, wanted)


def _dotted(location: tuple[str | int, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".") or "file"


def _sentence(problem: Mapping[str, Any], model: type[BaseModel]) -> str:
    if problem["type"] == "extra_forbidden":
        known = _fields_at(model, problem["loc"][:-1])
        return f"unknown key; {did_you_mean(str(problem['loc'][-1]), known)}"
    if problem["type"] == "missing":
        return "is needed and not there"
    if problem["type"] == "string_type" and isinstance(problem["input"], list):
        return "expected text; a section needs quotes: '[1:1024,1:2048]'"
    text = str(problem["msg"]).removeprefix("Value error, ")
    shown = "" if isinstance(problem["input"], dict | list) else f" (found {shortened(problem['input'])})"
    return text[:1].lower() + text[1:] + shown


def _fields_at(model: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    """Names of the fields of the model that lies at ``location`` inside ``model``."""
    for part in location:
        if isinstance(part, str) and part in model.model_fields:
            model = _model_inside(model.model_fields[part].annotation) or model
    return list(model.model_fields)


def _model_inside(annotation: Any) -> type[BaseModel] | None:
    """The pydantic model an annotation is about (``tuple[Model, ...]``, ``Model | None``, ``Mapping[str, Model]``)."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_inside(inner))), None)
