"""Bias, dark, flat and defects of a simulated night by the command line, against the simulator's truth."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from cpp_framework.model import Mask
from cpp_framework.sim import Truth, read_truth

pytestmark = pytest.mark.slow

HEALTHY = 6
"""Nights judged here; `healthy_nights.py` judges any number by hand."""


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory, cpp) -> Path:
    folder = tmp_path_factory.mktemp("chain")
    cpp(
        "sim", folder / "raw", "--bias", 10, "--dark", 9, "--flat", 10, "--filter", "r", "--exposure-time", 60,
        "--light", 500, "--seed", 11, "--set", "hot_pixels.fraction=0.002", "--set", "cold_pixels.fraction=0.001",
    )  # fmt: skip
    cpp("init", folder / "repo", "--instrument", "simcam")
    cpp("ingest", folder / "raw", "--repo", folder / "repo")
    cpp("produce", "--type", "defects", "--with-deps", "--jobs", 2, "--repo", folder / "repo")
    return folder


def product(folder: Path, name: str) -> fits.HDUList:
    (path,) = (folder / "repo" / "products" / f"ci_cpp_{name}").rglob("*.fits")
    return fits.open(path)


@pytest.fixture(scope="module")
def truth(chain: Path) -> Truth:
    return read_truth(chain / "raw")[0]


def pulls(made: fits.HDUList, truth: np.ndarray) -> np.ndarray:
    good = (made["DQ"].data == 0) & np.isfinite(made["ERR"].data)
    assert good.mean() > 0.98
    return ((made["DATA"].data - truth) / made["ERR"].data)[good]


def test_the_dark_is_the_rate_that_was_simulated(chain: Path, truth: Truth) -> None:
    """The bias is common to all darks, so that pulls of a pixel are independent only between pixels: 51200 of them."""
    with product(chain, "dark") as made:
        pull = pulls(made, truth.dark_rate)
        assert made["DATA"].header["BUNIT"] == "electron/s"
    assert abs(np.median(pull)) < 0.1  # row noise of 9 frames is common to the pixels of a row
    assert np.sqrt(np.mean(np.clip(pull, -5, 5) ** 2)) == pytest.approx(1, abs=0.05)


def test_the_flat_is_the_response_that_was_simulated(chain: Path, truth: Truth) -> None:
    response = truth.response("r")
    with product(chain, "flat") as made:
        good = made["DQ"].data == 0
        response = response / response[good].mean() * made["DATA"].data[good].mean(dtype=float)
        pull = pulls(made, response)
    assert abs(np.mean(pull)) < 0.05
    assert np.sqrt(np.mean(np.clip(pull, -5, 5) ** 2)) == pytest.approx(1, abs=0.05)


def test_defects_are_those_that_were_simulated(chain: Path, truth: Truth) -> None:
    """Completeness and purity as DESIGN 6 defines them; the default thresholds are 5 electron/s and 0.8."""
    with product(chain, "defects") as made, product(chain, "dark") as dark:
        mask, error = made["DQ"].data, dark["ERR"].data
    hot, edge = (mask & Mask.HOT) != 0, (mask & Mask.EDGE) != 0
    rate, around = truth.dark_rate, np.median(truth.dark_rate)
    surely = (rate - around > 5 + 3 * error) & ~edge
    possibly = rate - around > 5 - 3 * error
    assert surely.sum() > 30
    assert np.mean(hot[surely]) > 0.99
    assert np.mean(possibly[hot]) > 0.95
    cold = (mask & Mask.COLD) != 0
    response = truth.response("r") / np.median(truth.response("r"))
    dark_ones = (response < 0.77) & ~edge
    assert dark_ones.sum() > 20
    assert np.mean(cold[dark_ones]) > 0.99
    assert np.mean(response[cold] < 0.83) > 0.95


def test_healthy_nights_do_not_fail() -> None:
    script = Path(__file__).with_name("healthy_nights.py")
    done = subprocess.run(
        [sys.executable, str(script), "500", str(500 + HEALTHY)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    nights = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(nights) == HEALTHY
    failed = [(night["seed"], one) for night in nights for some in night["problems"].values() for one in some]
    assert [one for one in failed if one[1][0] != "WARN"] == []
