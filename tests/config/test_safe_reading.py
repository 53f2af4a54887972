"""What people and files may say without harm: YAML, regular expressions, text files, words in messages."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest

from cpp_framework.config.expression import check_expression
from cpp_framework.config.safe_yaml import YamlError, parse
from cpp_framework.config.suggest import shortened
from cpp_framework.config.text_file import LARGEST, read_text
from cpp_framework.errors import ConfigError, printable


def test_yaml_keeps_what_people_mean() -> None:
    assert parse("a: off\nb: 1:20\nc: true\nd: -12\ne: 0x1f\n")[0] == {
        "a": "off", "b": "1:20", "c": True, "d": -12, "e": 31
    }  # fmt: skip
    assert parse("# nothing\n") == (None, None)
    assert parse("a: &x {b: 1}\nc: *x\n")[0] == {"a": {"b": 1}, "c": {"b": 1}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a\n  b: *a\n", "contains itself"),
        ("a: !!python/name:os.system\n", "constructor"),
        ("a: " + "9" * 41, "41 digits"),
        ("a: 2026-99-99", "month"),
        ("a: " + "[" * 3000 + "]" * 3000, "nested too deeply"),
        ("? [a]\n: 1\n", "unhashable"),
        ("a: \x07", "special characters"),
    ],
)
def test_yaml_that_harms_is_refused(text: str, message: str) -> None:
    with pytest.raises(YamlError, match=message):
        parse(text)


def test_aliases_are_counted_written_out() -> None:
    laughs = "a0: &a0 [lol]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30))
    with pytest.raises(YamlError, match="more than 200000 entries"):
        parse(laughs)


@pytest.mark.parametrize("text", [r"^M ?31", r"(ab)+", r"[(+*]+x", r"\(a+\)+", r"(?i)flat|twilight", r"^lamp,?flat"])
def test_useful_expressions_pass(text: str) -> None:
    check_expression(text)


@pytest.mark.parametrize(
    "text", [r"(a+)+$", r"(a|b)*", r"((a+)b)+", r"(a|aa)+$", "a*" * 6, r"a{99999999999}", "(", "x" * 501, r"([a-z]+)*x"]
)
def test_expressions_that_could_run_for_ever_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        check_expression(text)


def test_expressions_that_pass_are_fast_on_long_text() -> None:
    slowest = r"a*a*a*a*b"
    check_expression(slowest)
    begin = time.monotonic()
    assert re.search(slowest, "a" * 68) is None
    assert time.monotonic() - begin < 5


def test_text_files_are_read_whole_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\n")
    assert read_text(path) == "a: 1\nb: 2\n"
    path.write_bytes(b"x" * (LARGEST + 1))
    with pytest.raises(OSError, match="larger than 4 MB"):
        read_text(path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a file"):
        read_text(tmp_path / "pipe")


def test_messages_show_no_control_codes() -> None:
    error = ConfigError("file \x1b[31mred\u202e\udcff\nsecond line", hint="\x07")
    assert str(error) == "file \\x1b[31mred\\u202e\\udcff\nsecond line"
    assert error.hint == "\\x07"
    assert printable("é 🔭 ±") == "é 🔭 ±"
    assert len(printable("x" * 100_000)) < 5000
    assert shortened("x" * 1000) == "'" + "x" * 79 + "…"
