"""Defects of a simulated camera against its truth: raw frames, bias, dark, flat, defects, all by the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cpp_defects.region_files import read
from numpy.typing import NDArray

from cpp_framework.model import Mask
from cpp_framework.sim import read_truth

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (find_spec("cpp_dark") and find_spec("cpp_flat")), reason="needs cpp-dark and cpp-flat"),
]

DARK_TIME = 60.0
EFFECTS = (
    "hot_pixels.fraction=0.002", "hot_pixels.highest=300", "cold_pixels.fraction=0.002", "cold_pixels.highest=0.9",
    "dead_columns.number=2", "blocked_columns.number=2", "vampires.number=3", "unstable_pixels.fraction=0.0005",
)  # fmt: skip
FRAMES = 8
Flags = NDArray[np.bool_]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory, cpp: Callable[..., Any]) -> Path:
    """A repository with the defects of a simulated night, and their mask as a file."""
    folder = tmp_path_factory.mktemp("sim")
    repo = folder / "repo"
    frames = [word for kind in ("bias", "dark", "flat") for word in (f"--{kind}", FRAMES)]
    settings = [word for effect in EFFECTS for word in ("--set", effect)]
    cpp("sim", folder / "raw", *frames, "--exposure-time", 10, "--dark-time", DARK_TIME, "--seed", 5, *settings)
    cpp("init", repo, "--instrument", "simcam")
    cpp("ingest", folder / "raw", "--repo", repo)
    made: dict[str, str] = {}
    for kind in ("bias", "dark", "flat", "defects"):
        use = [word for name, product in made.items() for word in ("--use", f"{name}={product}")]
        done = cpp("produce", "--type", kind, *use, "--allow-uncertified", "--json", cwd=repo)
        (unit,) = json.loads(done.stdout)["units"]
        made[kind] = unit["product"]
    cpp("defects", "export", made["defects"], "-o", folder / "mask", "--form", "mask", cwd=repo)
    return folder


def found(night: Path) -> NDArray[np.uint32]:
    return read(night / "mask", read_truth(night / "raw")[0].shape)


def boxes(night: Path, *kinds: str) -> Flags:
    return read_truth(night / "raw")[0].defect_mask(*kinds)


def test_completeness_by_class(night: Path) -> None:
    mask, truth = found(night), read_truth(night / "raw")[0]
    columns = boxes(night, "dead_column", "blocked_column")
    rate = truth.dark_rate
    assert_complete(mask, (rate - np.median(rate) > 5 + 3 * 0.1) & ~columns, "hot")
    cold = truth.defects_of("cold")
    low = np.zeros(mask.shape, bool)
    low[cold["y"], cold["x"]] = cold["value"] < 0.8 - 3 * 0.01
    assert_complete(mask, low, "cold")
    assert_complete(mask, columns, "columns")
    assert_complete(mask, boxes(night, "vampire"), "vampires")
    assert (mask[boxes(night, "vampire")] & np.uint32(Mask.VAMPIRE | Mask.HOT)).all()


def assert_complete(mask: NDArray[np.uint32], true: Flags, what: str) -> None:
    assert true.sum() > 0, what
    assert (mask[true] != 0).mean() > 0.99, (what, int(true.sum()), np.argwhere(true & (mask == 0)).tolist())


def test_purity(night: Path) -> None:
    """Of the pixels called hot or cold, all but 5 % are defects that could be above the thresholds."""
    mask, truth = found(night), read_truth(night / "raw")[0]
    known = boxes(night)
    vampires = np.argwhere(boxes(night, "vampire"))
    for y, x in vampires:
        known[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2] = True
    known |= truth.dark_rate > 5 - 3 * 0.1
    measured = (mask & np.uint32(Mask.HOT | Mask.COLD)) != 0
    assert known[measured].mean() > 0.95, np.argwhere(measured & ~known).tolist()


def test_the_checks_agree(night: Path, cpp: Callable[..., Any]) -> None:
    done = cpp("verify", "last", "--json", cwd=night / "repo", code=4)
    checks = json.loads(done.stdout)["verdicts"][0]["checks"]
    status: dict[str, set[str]] = {}
    for check in checks:
        status.setdefault(check["name"], set()).add(check["status"])
    assert status["X1_completeness"] == status["X2_purity"] == status["X4_tails"] == {"PASS"}
    # Two dead columns of a detector this small are beyond the budget of a large one.
    assert "FAIL" in status["X3_amplifier"]
