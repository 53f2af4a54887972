"""The README names every check and setting there is."""

from __future__ import annotations

from pathlib import Path

import pytest
from cpp_flat.config import FlatConfig
from cpp_flat.declare import CHECKS
from pydantic.fields import FieldInfo

README = (Path(__file__).parents[1] / "README.md").read_text()


@pytest.mark.parametrize("name", [spec.name for spec in CHECKS])
def test_each_check_is_described(name: str) -> None:
    assert name in README.partition("## Checks")[2].partition("## Settings")[0]


@pytest.mark.parametrize(("name", "field"), FlatConfig.model_fields.items())
def test_each_setting_is_described_with_its_default(name: str, field: FieldInfo) -> None:
    (row,) = [line for line in README.splitlines() if line.startswith(f"| `{name}`")]
    assert f"{field.default:g}" in row
