"""Flats by the command line: two simulated detectors against the simulator's truth, and two real cameras."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cpp_flat.product import Flat

from cpp_framework.camera.catalogue import instrument_text, load_instrument
from cpp_framework.model import fits as product_file
from cpp_framework.sim import ExposureRequest, SimSettings, read_truth, simulate_exposures

pytestmark = pytest.mark.slow

TIMES = (0.5, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0)
LIGHT = 5000.0
"""[electron/s]"""


def two_detectors(path: Path) -> Path:
    """Write the camera file of two of the simulator's detectors, all of whose amplifiers are in one file."""
    text = instrument_text("simcam")
    start, end = text.index("detectors:\n") + len("detectors:\n"), text.index("header:")
    first = text[start:end].rstrip() + "\n"
    second = first.replace("id: 0", "id: 1", 1).replace("name: S00", "name: S01", 1)
    for hdu in (4, 3, 2, 1):
        second = second.replace(f"hdu: {hdu}\n", f"hdu: {hdu + 4}\n")
    path.write_text((text[:start] + first + second + text[end:]).replace("simcam", "twocam"))
    return path


@pytest.fixture(scope="module")
def night(tmp_path_factory: Any, cpp: Any) -> Path:
    """A repository with biases, verified, and flats of unequal times of a lamp that drifts, through a slow shutter."""
    folder: Path = tmp_path_factory.mktemp("flats")
    camera = two_detectors(folder / "two.yaml")
    requests = [ExposureRequest(kind="bias", number=k) for k in range(1, 11)]
    requests += [
        ExposureRequest(kind="flat", number=11 + k, exposure_time=time, light=LIGHT, filter="r", begin=None)
        for k, time in enumerate(TIMES)
    ]
    settings = SimSettings.model_validate(
        {
            "lamp_drift": {"rms": 0.02},
            "shutter": {"corner": -0.03},
            "prnu": {"rms": 0.01},
            "off": ["hot_pixels", "cold_pixels", "vampires", "dead_columns", "blocked_columns", "unstable_pixels"],
        }
    )
    simulate_exposures(folder / "raw", load_instrument(str(camera)), requests, seed=5, settings=settings)
    cpp("init", folder / "repo", "--instrument", camera)
    cpp("ingest", folder / "raw", "--repo", folder / "repo")
    cpp("produce", "--type", "bias", "--repo", folder / "repo")
    cpp("verify", "--type", "bias", "--repo", folder / "repo")
    return folder


@pytest.fixture(scope="module")
def flats(night: Path, cpp: Any) -> dict[int, tuple[Path, str]]:
    """Files and identifiers of the flats by detector."""
    repo = night / "repo"
    done = cpp("produce", "--type", "flat", "--filter", "r", "--allow-uncertified", "--json", cwd=repo)
    units = json.loads(done.stdout)["units"]
    assert [unit["state"] for unit in units] == ["made", "made"]
    return {int(unit["key"]["detector"]): (made(repo, unit["product"]), unit["product"]) for unit in units}


def made(repo: Path, identifier: str) -> Path:
    """The file of a product."""
    (path,) = (repo / "products").rglob(f"*{identifier[-8:]}.fits")
    return path


def test_response_is_that_of_the_truth(night: Path, flats: Any) -> None:
    """Pulls of both detectors in one gauge: their ratio is kept, and the shutter is taken out."""
    truths = read_truth(night / "raw")
    found = {number: product_file.read(path, Flat) for number, (path, _) in flats.items()}
    true = {number: truths[number].response("r").astype(np.float64) for number in found}
    mean = np.mean([plane.mean() for plane in true.values()])
    for number, flat in found.items():
        assert "SHUTTER" in flat.tables
        good = flat.mask == 0
        assert good.mean() > 0.99
        pull = ((flat.image - true[number] / mean) / flat.error)[good]
        # The level of all exposures, and a bias of ten exposures common to them, move all pixels together.
        assert abs(pull.mean()) < 0.1
        assert abs(np.std(pull) - 1) < 0.03


def test_shutter_is_that_of_the_truth(night: Path, flats: Any) -> None:
    truths = read_truth(night / "raw")
    for number, (path, _) in flats.items():
        flat = product_file.read(path, Flat)
        largest = flat.metrics["shutter_largest_delay"]
        delay = truths[number].shutter
        assert abs(largest.value - float((delay - delay.mean()).min())) < 5 * (largest.error or 0.0)


def test_both_detectors_pass(night: Path, flats: Any, cpp: Any) -> None:
    for _, identifier in flats.values():
        told = json.loads(cpp("verify", identifier, "--json", cwd=night / "repo").stdout)
        assert told["outcome"] in ("PASS", "WARN")
        (verdict,) = told["verdicts"]
        failed = [check["name"] for check in verdict["checks"] if check["status"] == "FAIL"]
        assert not failed
        assert "F5_detectors" in {check["name"] for check in verdict["checks"] if check["status"] == "PASS"}


def test_emva(shared: Any, cpp: Any, tmp_path: Path) -> None:
    """Bare frames without gain: the pairs say it, and everything passes."""
    raw = shared("data/real/emva1288-ccd-12bit")
    frames = sorted(raw.glob("mid*_0*.fits.fz"))
    cpp("instrument", "init", *frames, "-o", tmp_path / "emva.yaml")
    camera = (tmp_path / "emva.yaml").read_text()
    (tmp_path / "emva.yaml").write_text(camera.replace("map: {DARK: dark", "map: {DARK: bias"))
    repo = tmp_path / "emva"
    cpp("init", repo, "--instrument", tmp_path / "emva.yaml")
    cpp("ingest", *frames, "--repo", repo)
    cpp("produce", "--type", "bias", "--repo", repo)
    cpp("verify", "--repo", repo)
    cpp("produce", "--type", "flat", "--allow-uncertified", "--repo", repo)
    told = json.loads(cpp("verify", "last", "--json", cwd=repo).stdout)
    assert told["outcome"] == "PASS"
    shown = json.loads(cpp("show", "last", "--json", cwd=repo).stdout)
    (amplifier,) = shown["amplifiers"].values()
    assert 3.5 <= amplifier["values"]["gain_used"]["value"] <= 3.65  # the set's own figure: 3.5 to 3.6


def test_nickel(shared: Any, cpp: Any, tmp_path: Path) -> None:
    """Nine exposures of 0.5 to 10 s: the iris of the shutter is found, and the flat of the long ones is noise only."""
    raw = shared("data/real/nickel-ccd2")
    cpp("instrument", "init", *sorted(raw.glob("*.fits.gz")), "-o", tmp_path / "nickel.yaml")
    camera = (tmp_path / "nickel.yaml").read_text()
    given = "adc_maximum: 65535"
    (tmp_path / "nickel.yaml").write_text(camera.replace(given, f"{given}\n        gain: 1.77"))
    repo = tmp_path / "nickel"
    cpp("init", repo, "--instrument", tmp_path / "nickel.yaml")
    cpp("ingest", raw, "--repo", repo)
    bias = json.loads(cpp("produce", "--type", "bias", "--repo", repo, "--json").stdout)["units"][0]["product"]
    flat = ("produce", "--type", "flat", "--use", f"bias={bias}", "--repo", repo, "--json")
    (unit,) = json.loads(cpp(*flat).stdout)["units"]
    shown = json.loads(cpp("show", unit["product"], "--json", cwd=repo).stdout)
    assert shown["metrics"]["shutter_significance"]["value"] > 20
    assert -0.06 < shown["metrics"]["shutter_largest_delay"]["value"] < -0.02
    assert shown["metrics"]["illumination_corner_drop"]["value"] > 0.1  # vignetted corners, says the set
    (long,) = json.loads(cpp(*flat, "--select", "exposure_time>=10").stdout)["units"]
    (verdict,) = json.loads(cpp("verify", long["product"], "--json", cwd=repo).stdout)["verdicts"]
    status = {check["name"]: check["status"] for check in verdict["checks"]}
    assert status["F1_noise"] == status["F2_flatness"] == "PASS"
    assert status["F8_outliers"] == "WARN"  # columns 1019 to 1024 glow
