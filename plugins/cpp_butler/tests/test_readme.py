"""The README, typed as it is written."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cpp_butler.addresses import RESERVED, STORAGE_CLASSES

README = (Path(__file__).parents[1] / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def test_the_commands_and_the_python_work_as_written(cpp: Callable[..., Any], tmp_path: Path) -> None:
    _, export = blocks("console")
    for line in export.splitlines():
        name, *arguments = shlex.split(line.removeprefix("$ "))
        assert name == "cpp"
        cpp(*arguments, cwd=tmp_path)
    for script in blocks("python"):
        command = [sys.executable, "-W", "error", "-c", script]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_the_python_prints_what_the_text_promises(cpp: Callable[..., Any], night: Any, exported: Path) -> None:
    script = blocks("python")[1].replace('"butler"', repr(str(exported)))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[0] == "simcam/calib CALIBRATION"
    assert "(minimum=(0, 0), maximum=(255, 199))" in done.stdout
    assert night.late in done.stdout


@pytest.mark.parametrize("name", [*STORAGE_CLASSES.values(), "INSTRUMENT/raw/all", "LSST BUTLER", "CALIBRATION"])
def test_names_are_in_the_readme(name: str) -> None:
    assert name in README


def test_types_to_come_are_not_promised() -> None:
    assert not [name for name in RESERVED if name in README]
