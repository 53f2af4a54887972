"""Keys: what a product is made per (filter, binning, mode …), and which product fits which exposure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cpp_framework.model.identity import canonical_json


def key_text(key: Mapping[str, Any]) -> str:
    """A key as the one text equal keys have."""
    return canonical_json(dict(key)).decode()


def plain_key(key: Mapping[str, Any]) -> dict[str, Any]:
    """A key as it comes back from a file: lists for tuples."""
    plain: dict[str, Any] = json.loads(key_text(key))
    return plain


def agrees(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a product of key ``stored`` fits what is wanted: fields that both have are equal.

    A product of a window fits only that window, while one of the whole detector is cropped to any.
    """
    plain = plain_key(wanted)
    if stored.get("window", "") not in ("", plain.get("window", "")):
        return False
    return all(stored[field] == plain[field] for field in stored if field in plain and field != "window")


def readable(value: Any) -> str:
    """A value of a key as people write it: binning ``[2, 2]`` as ``2x2``."""
    return "x".join(str(part) for part in value) if isinstance(value, list | tuple) else str(value)
