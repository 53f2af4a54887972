"""The README's section on operations, typed as it stands in the repository of the demo."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

README = Path(__file__).resolve().parents[2] / "README.md"


def commands() -> list[str]:
    section = README.read_text().split("## Keep it, night after night")[1].split("\n## ")[0]
    return [line.strip() for line in section.splitlines() if line.startswith("    ")]


@pytest.fixture(scope="module")
def typed(tmp_path_factory) -> dict[str, subprocess.CompletedProcess[str]]:
    """What every command of the section said, typed one after the other."""
    demo = tmp_path_factory.mktemp("operations") / "demo"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    made = subprocess.run(
        ["sh", str(README.parent / "examples" / "demo.sh"), str(demo)],
        env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    assert len(list((demo / "calibrated").glob("*.fits"))) == 2
    said = {}
    for command in commands():
        wanted = int(match[1]) if (match := re.search(r"# exit code (\d)", command)) else 0
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=demo,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == wanted, f"{command}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        said[command.split("  #")[0].strip()] = done
    return said


def test_every_command_does_what_the_page_says(typed) -> None:
    assert len(typed) >= 20
    refused = typed["cpp certify last --begin 2026-06-01"].stderr
    assert "is valid 2026-01-01T00:00:00Z … open" in refused
    assert "use bias" in typed["cpp explain sim_bias_0001.fits --type bias"].stdout
    listed = typed["cpp find --products"].stdout
    for valid in ("2026-06-01T00:00:00Z … 2026-07-01T00:00:00Z", "2026-07-03T00:00:00Z … open"):
        assert valid in listed
    verified = json.loads(next(done.stdout for command, done in typed.items() if command.startswith("cpp-cal verify")))
    assert verified["outcome"] in ("PASS", "WARN")


def test_a_bundle_brings_products_and_their_validity(typed) -> None:
    here, there = typed["cpp find --products"].stdout, typed["cpp find --products --repo ../summit"].stdout
    valid = [re.findall(r"^ (\w{8}) .*?(2026-\S+ … .*)$", text, re.MULTILINE) for text in (here, there)]
    assert sorted(valid[0]) == sorted(valid[1])
    assert len(valid[0]) == 2


def test_the_index_made_anew_is_sound(typed) -> None:
    assert "every file is as it was stored" in typed["cpp store verify"].stderr
