"""The README names every check, setting and form there is."""

from __future__ import annotations

from pathlib import Path

import pytest
from cpp_defects.config import DefectsConfig
from cpp_defects.declare import CHECKS
from cpp_defects.region_files import FORMS
from pydantic.fields import FieldInfo

README = (Path(__file__).parents[1] / "README.md").read_text()


@pytest.mark.parametrize("name", [spec.name for spec in CHECKS])
def test_each_check_is_described(name: str) -> None:
    assert name in README.partition("## Checks")[2].partition("## Settings")[0]


@pytest.mark.parametrize(("name", "field"), DefectsConfig.model_fields.items())
def test_each_setting_is_described_with_its_default(name: str, field: FieldInfo) -> None:
    (row,) = [line for line in README.splitlines() if line.startswith(f"| `{name}`")]
    default = field.default
    assert (f"{default:g}" if isinstance(default, int | float) else str(default or "none")) in row


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_described(form: str) -> None:
    assert f"| `{form}` |" in README
