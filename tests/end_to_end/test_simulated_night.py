"""The main job on a simulated night, typed as a user would."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from cpp_framework.camera.catalogue import load_instrument
from cpp_framework.sim import read_truth

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def night(tmp_path_factory, cpp) -> Path:
    """A repository with 25 simulated bias frames of the small camera."""
    folder = tmp_path_factory.mktemp("night")
    cpp("sim", folder / "raw", "--bias", 25, "--seed", 3)
    cpp("init", folder / "repo", "--instrument", "simcam")
    cpp("ingest", folder / "raw", "--repo", folder / "repo")
    return folder


@pytest.fixture(scope="module")
def product(night: Path, cpp) -> dict:
    """The master bias made from that night, as `produce --json` tells it."""
    done = cpp("produce", "--type", "bias", "--jobs", 2, "--json", cwd=night / "repo")
    (unit,) = json.loads(done.stdout)["units"]
    return unit


def test_produce_verify_show_explain(night: Path, product: dict, cpp) -> None:
    repo = night / "repo"
    assert product["state"] == "made"
    verdict = json.loads(cpp("verify", product["product"], "--json", cwd=repo).stdout)
    assert verdict["outcome"] in ("PASS", "WARN")
    made = {check["name"].partition("_")[0] for check in verdict["verdicts"][0]["checks"]}
    assert made == {"A1", "A2", "A3", "A6", "B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8"}
    shown = json.loads(cpp("show", product["product"][-8:], "--json", cwd=repo).stdout)
    assert shown["unit"] == "adu"
    assert len(shown["header"]["inputs"]) == 25
    text = cpp("explain", "last", cwd=repo).stdout
    assert text.count("used") >= 25


def test_second_run_is_up_to_date_and_one_more_exclusion_is_not(night: Path, product: dict, cpp) -> None:
    repo = night / "repo"
    again = json.loads(cpp("produce", "--type", "bias", "--json", cwd=repo).stdout)["units"][0]
    assert (again["state"], again["product"]) == ("up to date", product["product"])
    exposure = json.loads(cpp("show", product["product"], "--json", cwd=repo).stdout)["header"]["inputs"][0]["exposure"]
    other = json.loads(cpp("produce", "--type", "bias", "--exclude", exposure, "--json", cwd=repo).stdout)["units"][0]
    assert other["state"] == "made"
    assert other["recipe"] != product["recipe"]


def test_serial_and_parallel_runs_make_the_same_content(night: Path, product: dict, cpp, tmp_path: Path) -> None:
    digests = set()
    for jobs in (1, 2):
        repo = tmp_path / f"jobs{jobs}"
        cpp("init", repo, "--instrument", "simcam")
        cpp("ingest", night / "raw", "--repo", repo)
        cpp("produce", "--type", "bias", "--jobs", jobs, "--repo", repo)
        digests.add(json.loads(cpp("show", "--json", "--repo", repo).stdout)["header"]["digest"])
    digests.add(json.loads(cpp("show", product["product"], "--json", cwd=night / "repo").stdout)["header"]["digest"])
    assert len(digests) == 1


def test_truth_is_recovered(night: Path, product: dict, cpp) -> None:
    shown = json.loads(cpp("show", product["product"], "--json", cwd=night / "repo").stdout)
    truth = read_truth(night / "raw")[0]
    with fits.open(shown["file"]) as made:
        pulls = (made["DATA"].data - truth.bias_structure) / made["ERR"].data
    detector = load_instrument("simcam").detector(0)
    for amp in detector.amplifiers:
        part = pulls[amp.box.slices]
        # Every row's zero is its own overscan, so only the scatter about the amplifier's mean is comparable.
        assert abs(np.std(part) - 1) < 0.05
        measured = shown["amplifiers"][amp.name]["values"]["read_noise"]
        # Rounding to whole ADU is part of the noise of a sample.
        assert abs(measured["value"] - math.hypot(truth.amplifiers[amp.name].read_noise_adu, 12**-0.5)) < (
            4 * measured["error"]
        )


def test_flagged_exposures_are_refused_with_the_reason(night: Path, product: dict, cpp, tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    cpp("init", repo, "--instrument", "simcam")
    cpp("ingest", night / "raw", "--repo", repo)
    found = json.loads(cpp("find", "--json", "--repo", repo).stdout)["exposures"]
    cpp("flag", found[4]["id"], "--bad", "--because", "shutter stuck", "--repo", repo)
    unit = json.loads(cpp("plan", "--type", "bias", "--json", "--repo", repo).stdout)["units"][0]
    assert [one["exposure"] for one in unit["refused"]] == [found[4]["id"]]
    assert "shutter stuck" in unit["refused"][0]["reason"]
    assert "shutter stuck" in cpp("explain", found[4]["id"], "--repo", repo).stdout


def test_a_vanished_file_is_refused_and_the_rest_goes_on(night: Path, cpp, tmp_path: Path) -> None:
    shutil.copytree(night / "raw", tmp_path / "raw")
    cpp("init", tmp_path / "repo", "--instrument", "simcam")
    cpp("ingest", tmp_path / "raw", "--repo", tmp_path / "repo")
    next((tmp_path / "raw").glob("sim_bias_0003*")).unlink()
    os.utime(next((tmp_path / "raw").glob("sim_bias_0004*")))
    unit = json.loads(cpp("produce", "--type", "bias", "--json", "--repo", tmp_path / "repo").stdout)["units"][0]
    assert unit["state"] == "made"
    explained = cpp("explain", "last", "--repo", tmp_path / "repo").stdout
    assert "its file is gone" in explained
    assert "its file changed since it was ingested" in explained


def test_a_changed_product_is_noticed(night: Path, cpp, tmp_path: Path) -> None:
    cpp("init", tmp_path, "--instrument", "simcam")
    cpp("ingest", night / "raw", "--repo", tmp_path)
    cpp("produce", "--type", "bias", "--repo", tmp_path)
    (path,) = (tmp_path / "products").rglob("*.fits")
    path.chmod(0o644)
    with fits.open(path, mode="update") as hdus:
        hdus["DATA"].data[50, 50] += 1
    assert "not what was stored" in cpp("show", "--repo", tmp_path, code=1).stderr
    verdict = json.loads(cpp("verify", "--json", "--repo", tmp_path, code=4).stdout)["verdicts"][0]
    assert [check["status"] for check in verdict["checks"] if check["name"] == "A2"] == ["FAIL"]


@pytest.mark.parametrize(
    ("limits", "words"),
    [("{bias: {B1_levle: {fail: [-1, 1]}}}", "did you mean 'B1_level'"), ("{bais: {}}", "did you mean 'bias'")],
)
def test_slips_in_limits_are_named(night: Path, product: dict, cpp, limits: str, words: str) -> None:
    instrument = night / "repo" / "instruments" / "simcam.yaml"
    text = instrument.read_text()
    try:
        instrument.write_text(f"{text}\nlimits: {limits}\n")
        assert words in cpp("verify", product["product"], cwd=night / "repo", code=2).stderr
    finally:
        instrument.write_text(text)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["produce", "--type", "nonsense"], 2, "no calibration type 'nonsense'"),
        (["produce", "--type", "bias", "--set", "clpi=3"], 2, "did you mean"),
        (["produce", "--type", "bias", "--select", "exptime>1"], 2, "exptime"),
        (["produce", "--type", "bias", "--memory", "lots"], 2, "amount of memory"),
        (["produce", "--type", "bias", "--night", "1999-01-01"], 3, "nothing to make"),
        (["show", "ffffffff"], 2, "ffffffff"),
        (["verify", "ffffffff"], 2, "ffffffff"),
        (["show", "--repo", "/nonexistent"], 2, "/nonexistent"),
        (["frobnicate"], 2, "frobnicate"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_errors_are_named_with_their_exit_code(night: Path, cpp, arguments: list[str], code: int, words: str) -> None:
    done = cpp(*arguments, cwd=night / "repo", code=code)
    assert words in done.stderr
    assert done.stdout == ""


def test_interrupted_run_says_so_and_the_same_command_goes_on(night: Path, cpp, tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    cpp("init", repo, "--instrument", "simcam")
    cpp("ingest", night / "raw", "--repo", repo)
    command = [sys.executable, "-m", "cpp_framework.cli.main", "produce", "--type", "bias", "--repo", str(repo)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stderr is not None
    process.stderr.readline()  # the first exposure is done
    os.killpg(process.pid, signal.SIGINT)
    _, talk = process.communicate(timeout=60)
    assert process.returncode == 130, talk
    assert "interrupted" in talk
    time.sleep(0.1)
    unit = json.loads(cpp("produce", "--type", "bias", "--json", "--repo", repo).stdout)["units"][0]
    assert unit["state"] == "made"
