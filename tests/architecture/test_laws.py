"""The laws of the design that can be read off the source and the modules loaded."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "cpp_framework"
GROUND = ("declare", "model", "stats", "errors", "hookspecs")
TYPES = {"defects", "ptc", "linearity", "linearizer", "bfk", "crosstalk", "cti"}
"""Names that are only calibration types; bias, dark and flat are exposure kinds as well and are looked at by hand."""

BRIDGE = "cpp_butler"
"""No calibration type but a way into another store: it reads ours."""

COMMANDS = "commands.py"
"""A plugin's command line (hook `cpp_commands`) is like the core's verbs: it may import `cli`, `api` and `camera`."""


def _modules(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.py") if "tests" not in path.relative_to(folder).parts]


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def _core_modules() -> list[Path]:
    """Modules of the core but the simulator and the test suites, which may name types."""
    return [path for path in _modules(CORE) if path.relative_to(CORE).parts[0] not in ("sim", "testing")]


@pytest.mark.parametrize("path", _core_modules(), ids=lambda path: str(path.relative_to(CORE)))
def test_the_core_names_no_calibration_type(path: Path) -> None:
    strings = {
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert not strings & TYPES, f"{path} names a calibration type; only plugins may"


@pytest.mark.parametrize(
    "path",
    [
        path
        for package in sorted((ROOT / "plugins").glob("*/cpp_*"))
        if package.name != BRIDGE
        for path in _modules(package)
    ],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_plugins_stand_on_the_ground_floor(path: Path) -> None:
    allowed = (*GROUND, "cli", "api", "camera") if path.name == COMMANDS else GROUND
    for module in _imports(path):
        if module.startswith("cpp_framework."):
            assert module.split(".")[1] in allowed, f"{path} imports {module}; plugins may import only {allowed}"


@pytest.mark.parametrize("arguments", [["--help"], ["plugins"], ["--version"], ["produce", "--help"]], ids=" ".join)
def test_start_up_loads_no_numerical_module(arguments: list[str]) -> None:
    code = (
        "import sys; from cpp_framework.cli.main import main; code = main(sys.argv[1:]); "
        "heavy = {'numpy', 'astropy', 'numba', 'sqlalchemy', 'scipy'} & set(sys.modules); "
        "assert not heavy, heavy; sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_modules_are_small() -> None:
    long = {str(p.relative_to(ROOT)): n for p in _modules(CORE) if (n := len(p.read_text().splitlines())) > 400}
    assert not long, f"split these modules: {long}"
