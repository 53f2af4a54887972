"""Builders of candidates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cpp_framework.model import Exposure
from cpp_framework.store import StoredExposure

Make = Callable[..., StoredExposure]


@pytest.fixture
def make() -> Make:
    def build(number: int, *, bad: bool = False, because: str = "", **changes: Any) -> StoredExposure:
        fields: dict[str, Any] = {
            "instrument": "cam", "detector": 0, "id": f"e{number}", "number": number, "kind": "bias",
            "exposure_time": 0.0, "dark_time": 0.0, "begin": number * 10**9,
        }  # fmt: skip
        return StoredExposure(Exposure(**fields | changes), bad, because)

    return build
