"""`cpp defects`: files in, files out, by the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table
from cpp_defects.region_files import read

Cpp = Callable[..., Any]
SHAPE = (200, 256)
"""The simulated camera's detector."""


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory, cpp: Cpp) -> Path:
    """A repository with a simulated camera and nothing else."""
    folder = tmp_path_factory.mktemp("defects") / "repo"
    cpp("init", folder, "--instrument", "simcam")
    (folder / "old.txt").write_text("10 20 3 4\n100 0 1 200\n")
    (folder / "other.txt").write_text("100 0 1 200\n")
    return folder


def imported(repo: Path, cpp: Cpp, *arguments: object) -> dict[str, Any]:
    done = cpp("defects", "import", *arguments, "--instrument", "simcam", "--json", cwd=repo)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_file_becomes_a_product_and_a_file_again(repo: Path, cpp: Cpp) -> None:
    product = imported(repo, cpp, "old.txt")
    assert product["boxes"] == 2
    shown = json.loads(cpp("show", product["product"], "--json", cwd=repo).stdout)
    assert (shown["header"]["type"], shown["header"]["label"]) == ("defects", "imported")
    for name in ("a.fits", "a.ecsv", "a.txt", "a.reg"):
        done = json.loads(cpp("defects", "export", product["product"], "-o", name, "--json", cwd=repo).stdout)
        assert done["boxes"] == 2
        mask = read(repo / name, SHAPE) != 0
        assert mask[20:24, 10:13].all()
        assert mask[:, 100].all()
        assert mask.sum() == 212
    assert Table.read(repo / "a.ecsv").meta["INSTRUME"] == "simcam"


def test_an_import_can_be_verified(repo: Path, cpp: Cpp) -> None:
    product = imported(repo, cpp, "other.txt", "--label", "curated")
    verdict = json.loads(cpp("verify", product["product"], "--json", cwd=repo).stdout)["verdicts"][0]
    found = {check["name"]: check["status"] for check in verdict["checks"]}
    assert found["X1_completeness"] == found["X2_purity"] == found["X4_tails"] == "NOT_RUN"
    assert found["X3_detector"] == "PASS"


@pytest.mark.parametrize(("merge", "pixels"), [("or", 212), ("and", 200), ("fraction", 200)])
def test_several_files_are_merged(repo: Path, cpp: Cpp, merge: str, pixels: int, tmp_path: Path) -> None:
    product = imported(repo, cpp, "old.txt", "other.txt", "--merge", merge, "--label", merge)
    cpp("defects", "export", product["product"], "-o", tmp_path / "m", "--form", "mask", cwd=repo)
    assert np.count_nonzero(read(tmp_path / "m", SHAPE)) == pixels


def test_mistakes_are_named(repo: Path, cpp: Cpp) -> None:
    product = imported(repo, cpp, "other.txt", "--label", "again")["product"]
    (repo / "there.reg").write_text("")
    (repo / "link.reg").symlink_to("nodir/x.reg")
    (repo / "big.txt").write_text("0 0 257 1\n")
    cases = [
        (("export", product, "-o", "there.reg"), 5, "is there already"),
        (("export", product, "-o", "a.xyz"), 2, "tells no form"),
        (("import", "big.txt", "--instrument", "simcam"), 2, "not on the detector"),
        (("import", "old.txt", "--instrument", "simcam", "--binning", "99x99"), 2, "not that of simcam, 1x1"),
        (("import", "old.txt", "--instrument", "simcam", "--mode", "../x"), 2, "no exposure of simcam"),
        (("export", product, "-o", "nodir/x.reg"), 2, "there is no folder nodir"),
        (("export", product, "-o", "link.reg"), 2, "link.reg: File exists"),
    ]
    for arguments, code, said in cases:
        told = cpp("defects", *arguments, cwd=repo, code=code).stderr
        assert said in told
        assert "hint: " in told
