"""Plugins load one by one; a broken one is listed with its reason and harms nothing else."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from cpp_framework.declare import API
from cpp_framework.errors import NotFoundError, PluginError
from cpp_framework.plugins import GROUP, discover

TYPE = """
from cpp_framework.declare import CalibrationType, Inputs
from cpp_framework.hookspecs import hookimpl

@hookimpl
def cpp_calibration_types():
    return [CalibrationType(name={name!r}, title="t", revision=1, product="m:P", solve="m:s", verify="m:v",
                            config="m:C", inputs=(Inputs("bias"),), api={api})]
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(tmp_path)

    def make(name: str, text: str) -> EntryPoint:
        (tmp_path / f"{name}.py").write_text(text)
        sys.modules.pop(name, None)
        return EntryPoint(name=name, value=name, group=GROUP)

    return make


def good(name: str) -> str:
    return TYPE.format(name=name, api=API)


def test_a_good_plugin_adds_its_type(plugin) -> None:
    found = discover([plugin("p_good", good("tearing"))])
    assert list(found.types) == ["tearing"]
    assert found.loaded[0].hooks == ("cpp_calibration_types",)
    assert not found.broken


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import does_not_exist_anywhere", "ModuleNotFoundError"),
        ("1/0", "ZeroDivisionError"),
        ("raise SystemExit", "SystemExit"),
        (TYPE.format(name="old", api=API + 1), f"API {API + 1}"),
        (good("tearing"), "declared by both"),
        (TYPE.format(name="Bad Name", api=API), "lower-case"),
        ("from cpp_framework.hookspecs import hookimpl\n@hookimpl\ndef cpp_calibration_types(): return ['x']", "str"),
        ("from cpp_framework.hookspecs import hookimpl\n@hookimpl\ndef cpp_no_such_hook(): pass", "cpp_no_such_hook"),
    ],
    ids=["import", "crash", "exit", "api", "duplicate", "name", "not a type", "unknown hook"],
)
def test_a_broken_plugin_is_listed_and_harms_nothing(plugin, text: str, reason: str) -> None:
    found = discover([plugin("p_good", good("tearing")), plugin("q_broken", text), plugin("r_good", good("glow"))])
    assert sorted(found.types) == ["glow", "tearing"]
    assert [one.name for one in found.broken] == ["q_broken"]
    assert reason in found.broken[0].problem
    assert found.owners["tearing"] == "unknown"


def test_strict_mode_raises(plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CPP_STRICT_PLUGINS", "1")
    with pytest.raises(PluginError, match="q_broken"):
        discover([plugin("q_broken", "1/0")])


def test_plugins_can_be_narrowed(plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CPP_PLUGINS", "p_good")
    found = discover([plugin("p_good", good("tearing")), plugin("q_broken", "1/0")])
    assert [one.name for one in found.loaded] == ["p_good"]


def test_an_unknown_type_lists_those_installed_and_the_broken(plugin) -> None:
    found = discover([plugin("p_good", good("tearing")), plugin("q_broken", "1/0")])
    with pytest.raises(NotFoundError, match=r"tearing.*q_broken.*ZeroDivisionError") as caught:
        found.type("flat")
    assert "cpp plugins" in caught.value.hint
