"""Built wheels in a clean environment: the core alone, then with types added and nothing edited.

Third-party packages come from this environment through a folder of links, so that nothing is downloaded; our own
packages, installed editable here, are not among them.
"""

from __future__ import annotations

import json
import os
import shutil
import site
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "third_party_plugin"
TYPES = ("bias", "dark", "flat", "defects")
SOURCES = {"core": ROOT, "example": EXAMPLE} | {name: ROOT / "plugins" / f"cpp_{name}" for name in TYPES}

pytestmark = pytest.mark.slow


class Environment:
    """A clean virtual environment, and the wheels that may be installed into it."""

    def __init__(self, folder: Path, wheels: dict[str, Path]) -> None:
        self._folder = folder
        self._wheels = wheels
        venv.create(folder, with_pip=False)
        packages = next(folder.glob("lib/python*/site-packages"))
        (packages / "third_party.pth").write_text(f"{_third_party(folder / 'third_party')}\n")

    def run(self, *command: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment, away from the source tree."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "CPP_"))}
        program = str(self._folder / "bin" / command[0])
        done = subprocess.run(
            [program, *command[1:]],
            cwd=self._folder,
            env=environment | {"VIRTUAL_ENV": str(self._folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0 or not ok, done.stdout + done.stderr
        return done

    def install(self, name: str) -> None:
        """Install one of the wheels."""
        self.run("python", "-m", "pip", "install", "--no-deps", "--no-index", "-q", str(self._wheels[name]))

    def types(self) -> list[str]:
        """Calibration types `cpp plugins` lists; nothing may be broken."""
        said: dict[str, Any] = json.loads(self.run("cpp", "plugins", "--json").stdout)
        assert not [plugin for plugin in said["plugins"] if plugin["problem"]]
        return sorted(name for plugin in said["plugins"] for name in plugin["types"])


def _third_party(folder: Path) -> Path:
    """Return a folder of links to the installed packages that are not ours."""
    folder.mkdir()
    for packages in map(Path, site.getsitepackages()):
        for path in packages.iterdir():
            if not path.name.startswith(("cpp_", "_cpp_", "__editable__")) and path.suffix != ".pth":
                (folder / path.name).symlink_to(path)
    return folder


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One wheel per distribution, built from a copy of its sources."""
    built = {}
    for name, source in SOURCES.items():
        copy, folder = tmp_path_factory.mktemp(f"{name}-source"), tmp_path_factory.mktemp(f"{name}-wheel")
        for part in _parts(source):
            _copy(source / part, copy / part)
        command = [
            "pip",
            "wheel",
            "-q",
            "--no-deps",
            "--no-index",
            "--no-build-isolation",
            "-w",
            str(folder),
            str(copy),
        ]
        done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        (built[name],) = folder.glob("*.whl")
    return built


def _parts(source: Path) -> list[str]:
    package = next(path.name for path in sorted(source.glob("cpp_*")) if (path / "__init__.py").exists())
    return [package, *(name for name in ("pyproject.toml", "README.md", "LICENSE") if (source / name).exists())]


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


@pytest.fixture
def environment(wheels: dict[str, Path], tmp_path: Path) -> Environment:
    """An environment with the core from its wheel."""
    environment = Environment(tmp_path / "env", wheels)
    environment.install("core")
    return environment


def test_the_core_alone_works_without_types(environment: Environment) -> None:
    assert environment.run("cpp", "--help").stdout
    origin = environment.run("python", "-c", "import cpp_framework; print(cpp_framework.__file__)").stdout
    assert not origin.startswith(str(ROOT))
    assert environment.types() == []
    environment.run("cpp", "init", "repository")
    refused = environment.run("cpp", "produce", "--repo", "repository", "--type", "bias", ok=False)
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert "no calibration type 'bias'" in refused.stderr


def test_installing_a_distribution_adds_its_type_and_nothing_else(environment: Environment) -> None:
    for count, name in enumerate(reversed(TYPES), 1):
        environment.install(name)
        assert environment.types() == sorted(TYPES[-count:])


def test_a_strangers_plugin_works_from_its_wheel(environment: Environment) -> None:
    environment.install("example")
    assert environment.types() == ["noise_spectrum"]
    done = environment.run(
        *("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib"),
        *("-c", os.devnull, "--rootdir", str(EXAMPLE), str(EXAMPLE / "tests")),
    )
    assert " passed" in done.stdout


def test_wheels_hold_packages_only(wheels: dict[str, Path]) -> None:
    for name, wheel in wheels.items():
        top = {entry.partition("/")[0] for entry in zipfile.ZipFile(wheel).namelist()}
        assert len([one for one in top if not one.endswith(".dist-info")]) == 1, (name, top)
