"""Layers of settings: who wins, where values come from, and what wrong ones are answered with."""

from __future__ import annotations

from pathlib import Path

import pytest

from cpp_framework.config import (
    Layer,
    describe,
    parse_assignment,
    read_settings,
    recipe_settings,
    resolve,
    resolve_config,
)
from cpp_framework.declare import Config, UsedBy, setting
from cpp_framework.errors import ConfigError


class Clip(Config):
    sigma: float = setting(4.0, "clip beyond", unit="sigma", gt=0)
    rounds: int = setting(5, "at most", ge=1, le=20)


class Flat(Config):
    clip: Clip = Clip()
    mode: str = setting("mean", "how to combine")
    areas: tuple[int, ...] = setting((), "areas")
    limit: float = setting(0.1, "limit of a check", unit="adu", used_by=UsedBy.VERIFY)
    title: str = setting("", "title of the report", used_by=UsedBy.COSMETIC)
    plain: int = 3


def write(folder: Path, text: str) -> Path:
    path = folder / "site.yaml"
    path.write_text(text)
    return path


def test_last_layer_wins_and_origins_are_kept(tmp_path: Path) -> None:
    path = write(tmp_path, "mode: median\nclip:\n  sigma: 3.5\n")
    resolved = resolve_config(
        Flat, path, ["clip.rounds=7", "areas=[1, 2]"], instrument={"clip": {"sigma": 3, "rounds": 2}}
    )
    assert resolved.config == Flat(mode="median", clip=Clip(sigma=3.5, rounds=7), areas=(1, 2))
    assert resolved.origins == {
        "clip.sigma": f"{path}:3:3", "clip.rounds": "--set", "mode": f"{path}:1:1", "areas": "--set",
        "limit": "default", "title": "default", "plain": "default",
    }  # fmt: skip


def test_resolve_takes_plain_pairs() -> None:
    resolved = resolve(Flat, [("a", {"mode": "x"}), Layer("b", {"mode": "y"})])
    assert (resolved.config.mode, resolved.origins["mode"]) == ("y", "b")
    assert resolve(Flat, []).config == Flat()


def test_unknown_key_is_named_with_place_and_suggestion(tmp_path: Path) -> None:
    path = write(tmp_path, "# settings\nmode: median\nclip:\n    sigam: 3\n")
    with pytest.raises(ConfigError) as caught:
        resolve_config(Flat, path, name="flat")
    assert str(caught.value) == f"{path}:4:5: flat.clip.sigam — unknown; did you mean 'sigma'?"
    with pytest.raises(ConfigError, match=r"--set: zzz — unknown; known are areas, clip, limit, mode, plain, title"):
        resolve_config(Flat, None, ["zzz=1"])


def test_impossible_values_are_all_named_without_pydantic(tmp_path: Path) -> None:
    path = write(tmp_path, "clip: {sigma: -1}\nlimit: wide\nareas: [1, two]\n")
    with pytest.raises(ConfigError) as caught:
        resolve_config(Flat, path, ["clip.rounds=99"], name="flat")
    lines = str(caught.value).splitlines()
    assert lines == [
        f"{path}:1:8: flat.clip.sigma = -1 — input should be greater than 0",
        "--set: flat.clip.rounds = 99 — input should be less than or equal to 20",
        f"{path}:3:1: flat.areas.1 = 'two' — input should be a valid integer, unable to parse string as an integer",
        f"{path}:2:1: flat.limit = 'wide' — input should be a valid number, unable to parse string as a number",
    ]


def test_value_in_place_of_a_group_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"--set: clip = 3 — "):
        resolve_config(Flat, None, ["clip=3"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mode: [1, 2\n", r"site\.yaml:2:1: not valid YAML"),
        ("mode: a\nmode: b\n", r"site\.yaml:2:1: mode is there twice"),
        ("- mode\n", "not a YAML mapping"),
        ("mode: !!python/object:os.system x\n", r"site\.yaml:1:7: not valid YAML"),
    ],
)
def test_wrong_files_are_named_with_the_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_settings(write(tmp_path, text))


def test_missing_binary_and_empty_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        read_settings(tmp_path / "nothing.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot read"):
        read_settings(tmp_path / "binary.yaml")
    assert read_settings(write(tmp_path, "# nothing\n")) == ({}, {})


def test_aliases_that_multiply_are_harmless(tmp_path: Path) -> None:
    rows = ["a: &a {x: 1, y: 2}"]
    rows += [f"{chr(98 + i)}: &{chr(98 + i)} {{x: *{chr(97 + i)}, y: *{chr(97 + i)}}}" for i in range(22)]
    with pytest.raises(ConfigError, match="aliases written out"):
        resolve_config(Flat, write(tmp_path, "\n".join(rows)))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a=1", {"a": 1}),
        ("a.b.c=1.5", {"a": {"b": {"c": 1.5}}}),
        ("a=true", {"a": True}),
        ("a=", {"a": None}),
        ("a=x=y", {"a": "x=y"}),
        ("a=[1, b]", {"a": [1, "b"]}),
    ],
)
def test_assignments(text: str, values: dict[str, object]) -> None:
    assert parse_assignment(text) == values


@pytest.mark.parametrize("text", ["a", "=1", ".a=1", "a.=1", "a=[1"])
def test_wrong_assignments(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_assignment(text)


def test_only_settings_that_decide_numbers_enter_a_recipe() -> None:
    assert recipe_settings(Flat()) == {
        "clip": {"sigma": 4.0, "rounds": 5}, "mode": "mean", "areas": [], "plain": 3
    }  # fmt: skip
    assert recipe_settings(Flat(limit=9.0, title="x")) == recipe_settings(Flat())


def test_describe_lists_every_setting() -> None:
    rows = {row.name: row for row in describe(Flat)}
    assert list(rows) == ["clip.sigma", "clip.rounds", "mode", "areas", "limit", "title", "plain"]
    sigma = rows["clip.sigma"]
    assert (sigma.default, sigma.unit, sigma.bounds, sigma.used_by) == (4.0, "sigma", "> 0", "solve")
    assert rows["clip.rounds"].bounds == "≥ 1, ≤ 20"
    assert (rows["limit"].used_by, rows["title"].used_by) == ("verify", "cosmetic")


@pytest.mark.parametrize("value", ["2026-99-99", "9" * 5000, "[" * 3000 + "]" * 3000], ids=["date", "digits", "deep"])
def test_value_the_parser_chokes_on_is_a_named_error(tmp_path: Path, value: str) -> None:
    (tmp_path / "a.yaml").write_text(f"key: {value}")
    for read in (lambda: parse_assignment(f"key={value}"), lambda: read_settings(tmp_path / "a.yaml")):
        with pytest.raises(ConfigError, match="not valid YAML") as caught:
            read()
        assert caught.value.hint
