"""Identifiers (UUIDv7) and digests (SHA-256 over canonical bytes)."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from typing import Any
from uuid import UUID

if sys.version_info >= (3, 14):
    from uuid import uuid7
else:
    from uuid6 import uuid7

_PREFIX = re.compile(r"^[0-9a-f-]{4,64}$")


def new_id() -> str:
    """Return a new UUIDv7 as text: unique, and sortable by the time it was made."""
    return str(UUID(int=uuid7().int))


def canonical_json(value: Any) -> bytes:
    """Serialise to one byte string per value: sorted keys, no spaces, shortest floats that round-trip."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def parse_json(text: str) -> Any:
    """Parse JSON from a file or row that somebody may have damaged.

    Raises
    ------
    ValueError
        It is no JSON, or nested too deeply to be any of ours.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def digest_of(value: Any) -> str:
    """SHA-256 of the canonical JSON of ``value``, in hexadecimal."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def looks_like_prefix(text: str) -> bool:
    """Whether ``text`` can be the beginning of an identifier or digest (four characters at least)."""
    return bool(_PREFIX.match(text.lower()))
