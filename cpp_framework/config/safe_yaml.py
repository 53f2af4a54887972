"""YAML as people write it, read so that no text can run code, fill the memory or last for ever."""

from __future__ import annotations

import re
from typing import Any

import yaml

_BOOL = "tag:yaml.org,2002:bool"
_INT = "tag:yaml.org,2002:int"
_MOST_DIGITS = 40
_MOST_NODES = 200_000
"""Values, keys and groups with all aliases written out; the largest cameras have a tenth of it."""


class YamlError(ValueError):
    """The text is not YAML that can be used; ``line`` and ``column`` count from 1, 0 where they are not known."""

    def __init__(self, reason: str, line: int = 0, column: int = 0) -> None:
        super().__init__(reason)
        self.line = line
        self.column = column


class _Loader(yaml.SafeLoader):
    """Safe YAML without two traps of version 1.1: ``off`` is text, not false; ``1:20`` is text, not 80."""

    def whole_number(self, node: yaml.ScalarNode) -> int:
        """A whole number, unless it has more digits than any quantity."""
        if len(node.value) > _MOST_DIGITS:
            raise YamlError(
                f"a number of {len(node.value)} digits", node.start_mark.line + 1, node.start_mark.column + 1
            )
        return int(node.value, 0 if "x" in node.value else 10)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in (_BOOL, _INT)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOL, re.compile(r"^(?:true|True|false|False)$"), list("tTfF"))
_Loader.add_implicit_resolver(_INT, re.compile(r"^(?:[-+]?[0-9]+|0x[0-9a-fA-F]+)$"), list("-+0123456789"))
_Loader.add_constructor(_INT, _Loader.whole_number)


def parse(text: str) -> tuple[Any, yaml.Node | None]:
    """Return the data of a YAML text, and its node tree, which knows the place of everything; None for no content.

    Raises
    ------
    YamlError
        The text is not YAML, asks for something but plain data, contains itself, or multiplies beyond all measure.
    """
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            return None, None
        _check_size(root)
        return loader.construct_document(root), root
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise YamlError(str(error.problem), mark.line + 1 if mark else 0, mark.column + 1 if mark else 0) from error
    except RecursionError as error:
        raise YamlError("nested too deeply") from error
    except YamlError:
        raise
    except (yaml.YAMLError, ValueError, TypeError) as error:  # characters that may not be there; 2026-99-99
        raise YamlError(str(error).partition("\n")[0]) from error


def _check_size(root: yaml.Node) -> None:
    """Refuse what contains itself, and what aliases would multiply; each node is visited once."""
    sizes: dict[int, int] = {}
    inside: set[int] = set()

    def size(node: yaml.Node) -> int:
        if id(node) in inside:
            raise YamlError("it contains itself", node.start_mark.line + 1, node.start_mark.column + 1)
        if id(node) not in sizes:
            inside.add(id(node))
            sizes[id(node)] = 1 + sum(size(child) for child in _children(node))
            inside.discard(id(node))
        return sizes[id(node)]

    if size(root) > _MOST_NODES:
        raise YamlError(f"it has more than {_MOST_NODES} entries, aliases written out")


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []
