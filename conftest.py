"""Fixtures of the whole repository's tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parent.parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """Return a path below the folder of shared reference data, or skip where it is absent."""

    def find(relative: str) -> Path:
        path = SHARED / relative
        if not path.exists():
            pytest.skip(f"reference data {relative!r} is not beside the repository")
        return path

    return find


@pytest.fixture(scope="session")
def cpp() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line as a user would: a process of its own, output captured."""

    def run(
        *arguments: object, cwd: Path | None = None, code: int = 0, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "cpp_framework.cli.main", *map(str, arguments)]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CPP_") and name != "COLUMNS"}
        environment = kept | (env or {})
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == code, f"{command}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run


@pytest.fixture(autouse=True)
def _usual_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables as wide as in a pipe, whatever terminal the tests are started from."""
    monkeypatch.delenv("COLUMNS", raising=False)
