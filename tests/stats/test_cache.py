"""The folder of compiled kernels is chosen and tested in a fresh interpreter, as a user or cron would start one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SHOW = "from cpp_framework.stats.cache import prepare_numba_cache as p; print(p())"
USE = """
import sys
from cpp_framework.stats import clipped_moments, noise_penalty
assert "numba" not in sys.modules
import numpy as np
print(clipped_moments(np.arange(9.0)).n)
"""


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)


@pytest.mark.parametrize(
    ("variable", "below"), [("NUMBA_CACHE_DIR", ""), ("XDG_CACHE_HOME", "cpp/numba"), ("HOME", ".cache/cpp/numba")]
)
def test_folder_follows_the_environment(tmp_path: Path, variable: str, below: str) -> None:
    done = run(SHOW, **{variable: str(tmp_path)})
    assert done.stdout.strip() == str(tmp_path / below)
    assert done.stderr == ""


def test_a_relative_xdg_folder_is_ignored(tmp_path: Path) -> None:
    done = run(SHOW, XDG_CACHE_HOME="relative", HOME=str(tmp_path))
    assert done.stdout.strip() == str(tmp_path / ".cache/cpp/numba")


def test_a_folder_that_cannot_be_written_gives_a_temporary_one_and_one_notice(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.touch()
    done = run(USE, NUMBA_CACHE_DIR=str(blocker / "cache"), TMPDIR=str(tmp_path))
    assert done.stdout.split() == ["9"]
    assert done.stderr.count("compiled kernels go to") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_kernels_are_kept_in_the_folder(tmp_path: Path) -> None:
    run(USE, NUMBA_CACHE_DIR=str(tmp_path))
    assert list(tmp_path.rglob("*moments_within*.nbc"))


def test_a_numba_imported_before_is_told(tmp_path: Path) -> None:
    run("import numba\n" + USE.replace('assert "numba" not in sys.modules', ""), NUMBA_CACHE_DIR="", HOME=str(tmp_path))
    assert list((tmp_path / ".cache/cpp/numba").rglob("*moments_within*.nbc"))
