"""Journeys of certification, typed as a user would: verdict, waiver, overlap, supersede, and who uses what when."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.slow

NEEDY = """
import numpy as np
from cpp_framework.declare import CalibrationType, Config, Inputs, Requires
from cpp_framework.hookspecs import hookimpl
from cpp_framework.model import AmplifierResult, ImageProduct

class Settings(Config):
    pass

class Product(ImageProduct):
    pass

def solve(inputs, needs, config, ctx):
    plane = np.zeros(ctx.detector.shape, np.float32)
    amplifiers = {amp.name: AmplifierResult() for amp in ctx.detector.amplifiers}
    return Product(image=plane, error=plane + 1, mask=plane.astype(np.uint32), used=plane.astype(np.uint16), unit="adu",
                   amplifiers=amplifiers)

def verify(product, ctx):
    return iter(())

@hookimpl
def cpp_calibration_types():
    return [CalibrationType(name="needy", title="needs a bias", revision=1, config="needy:Settings",
            product="needy:Product", solve="needy:solve", verify="needy:verify", inputs=(Inputs("dark"),),
            requires=(Requires("bias"),))]
"""


@pytest.fixture(scope="module")
def env(tmp_path_factory) -> dict[str, str]:
    """An environment in which a type is installed that needs a bias."""
    folder = tmp_path_factory.mktemp("site")
    meta = folder / "needy-0.1.dist-info"
    meta.mkdir()
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: needy\nVersion: 0.1\n")
    (meta / "entry_points.txt").write_text("[cpp_framework]\nneedy = needy\n")
    (folder / "needy.py").write_text(NEEDY)
    return {"PYTHONPATH": os.pathsep.join([str(folder)])}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, cpp) -> Path:
    """A simulated night with three biases made from it: the newest was never verified."""
    folder = tmp_path_factory.mktemp("night")
    cpp("sim", folder / "raw", "--bias", 6, "--dark", 4, "--seed", 5)
    cpp("init", folder / "repo", "--instrument", "simcam")
    cpp("ingest", folder / "raw", "--repo", folder / "repo")
    for exclude in ([], ["--exclude", 1], ["--exclude", 2]):
        cpp("produce", "--type", "bias", *exclude, cwd=folder / "repo")
        if exclude[1:] != [2]:
            cpp("verify", "last", cwd=folder / "repo")
    return folder / "repo"


@pytest.fixture
def repo(prepared: Path, tmp_path: Path) -> Path:
    """A copy of that repository, to change."""
    return Path(shutil.copytree(prepared, tmp_path / "repo"))


@pytest.fixture
def biases(repo: Path, cpp) -> list[str]:
    """Short ids of its biases: two verified ones, and the third."""
    listed = json.loads(cpp("find", "--products", "--json", cwd=repo).stdout)["products"]
    return [one["id"][-8:] for one in reversed(listed)]


def produced(repo: Path, cpp, *arguments: object, **more: Any) -> dict[str, Any]:
    (unit,) = json.loads(cpp("produce", *arguments, "--json", cwd=repo, **more).stdout)["units"]
    return dict(unit)


def test_a_product_without_a_verdict_is_refused(repo: Path, biases: list[str], cpp) -> None:
    product = biases[2]
    done = cpp("certify", product, "--begin", "2026-01-01", cwd=repo, code=5)
    assert f"error: bias {product} has no verdict: it was never verified\nhint: cpp verify {product}\n" in done.stderr
    assert json.loads(cpp("show", product, "--json", cwd=repo).stdout)["valid"] == []


def test_verify_fails_then_certify_is_refused_then_waived_and_shown(repo: Path, biases: list[str], cpp) -> None:
    camera = repo / "instruments" / "simcam.yaml"
    document = yaml.safe_load(camera.read_text())
    document["limits"] = {"bias": {"B4_noise_penalty": {"fail": [None, 0.001]}}}
    camera.write_text(yaml.safe_dump(document))
    product = biases[0]
    cpp("verify", product, cwd=repo, code=4)
    refused = cpp("certify", product, "--begin", "2026-01-01", cwd=repo, code=5)
    assert f"bias {product} has the verdict FAIL because of B4_noise_penalty" in refused.stderr
    assert "--waive CHECK --because" in refused.stderr
    slip = cpp("certify", product, "--begin", "2026-01-01", "--waive", "B4_noise", "--because", "x", cwd=repo, code=2)
    assert "did you mean 'B4_noise_penalty'?" in slip.stderr
    reason = cpp("certify", product, "--begin", "2026-01-01", "--waive", "B4_noise_penalty", cwd=repo, code=2)
    assert "--waive needs a reason" in reason.stderr
    waiver = ["--waive", "B4_noise_penalty", "--because", "only six frames that night"]
    cpp("certify", product, "--begin", "2026-01-01", *waiver, cwd=repo)
    words = "B4_noise_penalty: only six frames that night"
    assert words in cpp("show", product, cwd=repo).stdout
    assert "B4_noise_penalty waived because only six frames that night" in cpp("explain", product, cwd=repo).stdout
    (entry,) = json.loads(cpp("show", product, "--json", cwd=repo).stdout)["ledger"]
    assert entry["waived"] == {"B4_noise_penalty": "only six frames that night"}


def test_overlap_is_refused_with_both_ranges_unless_superseded(repo: Path, biases: list[str], cpp) -> None:
    first, second, _ = biases
    cpp("certify", first, "--begin", "2026-01-01", "--end", "2027-01-01", cwd=repo)
    done = cpp("certify", second, "--begin", "2026-06-01", "--end", "open", cwd=repo, code=5)
    assert (
        f"error: {second} cannot be valid 2026-06-01T00:00:00Z … open in simcam/calib: "
        f"{first} is valid 2026-01-01T00:00:00Z … 2027-01-01T00:00:00Z\nhint: --supersede" in done.stderr
    )
    cpp("certify", second, "--begin", "2026-06-01", "--supersede", "--note", "after warm-up", cwd=repo)
    listed = json.loads(cpp("find", "--products", "--json", cwd=repo).stdout)["products"]
    valid = {one["id"][-8:]: [(some["begin"], some["end"]) for some in one["valid"]] for one in listed if one["valid"]}
    assert valid == {
        first: [("2026-01-01T00:00:00.000Z", "2026-06-01T00:00:00.000Z")],
        second: [("2026-06-01T00:00:00.000Z", None)],
    }
    acts = [(one["action"], one["note"]) for one in json.loads(cpp("show", first, "--json", cwd=repo).stdout)["ledger"]]
    assert acts == [("certify", ""), ("decertify", f"superseded by {second}")]


def test_decertify_splits(repo: Path, biases: list[str], cpp) -> None:
    product = biases[0]
    cpp("certify", product, "--begin", "open", cwd=repo)
    cpp("decertify", product, "--begin", "2026-05-01", "--end", "2026-06-01", "--note", "light leak", cwd=repo)
    shown = cpp("show", product, cwd=repo).stdout
    assert "open … 2026-05-01T00:00:00Z in simcam/calib; 2026-06-01T00:00:00Z … open in simcam/calib" in shown
    gone = cpp("decertify", product, "--begin", "2026-05-02", "--end", "2026-05-03", cwd=repo, code=2)
    assert "is not certified in simcam/calib for any time in" in gone.stderr


def test_needs_follow_validity_at_the_boundary_and_a_stack_across_it_is_refused(
    repo: Path, biases: list[str], cpp, env
) -> None:
    first, second, _ = biases
    missing = cpp("produce", "--type", "needy", cwd=repo, env=env, code=3)
    assert "needs a bias; none is certified in simcam/calib for 2026-" in missing.stderr
    darks = json.loads(cpp("find", "kind=dark", "--json", cwd=repo).stdout)["exposures"]
    boundary = darks[2]["begin"]
    cpp("certify", first, "--begin", "open", "--end", boundary, cwd=repo)
    cpp("certify", second, "--begin", boundary, cwd=repo)
    used = {}
    for number, dark in enumerate(darks):
        select = ("--select", f"number={dark['number']}", "--label", f"dark{number}")
        unit = produced(repo, cpp, "--type", "needy", *select, env=env)
        header = json.loads(cpp("show", unit["product"], "--json", cwd=repo, env=env).stdout)["header"]
        used[number] = header["needs"][0]["id"][-8:]
        assert header["needs"][0]["why"].startswith("certified in simcam/calib for ")
    assert used == {0: first, 1: first, 2: second, 3: second}, "the boundary instant belongs to the later range"
    across = cpp("produce", "--type", "needy", cwd=repo, env=env, code=3)
    assert f"more than one range of validity of the bias in simcam/calib: {first} for open … " in across.stderr
    assert f"{second} for " in across.stderr
    forced = produced(repo, cpp, "--type", "needy", "--at", boundary, env=env)
    assert forced["state"] == "made"


def doctored(repo: Path, cpp) -> dict[str, str]:
    """What the doctor says of certified products."""
    checks = json.loads(cpp("doctor", "--json", cwd=repo).stdout)["checks"]
    return next(one for one in checks if one["check"] == "certified products")


def test_what_speaks_against_a_certified_product_later_is_told(repo: Path, biases: list[str], cpp) -> None:
    product = biases[0]
    cpp("certify", product, "--begin", "open", cwd=repo)
    assert doctored(repo, cpp)["state"] == "ok"
    flagged = cpp("flag", 3, "--bad", "--because", "shutter stuck", cwd=repo)
    assert f"bias {product} used it" in flagged.stderr
    camera = repo / "instruments" / "simcam.yaml"
    document = yaml.safe_load(camera.read_text())
    document["limits"] = {"bias": {"B4_noise_penalty": {"fail": [None, 0.001]}}}
    camera.write_text(yaml.safe_dump(document))
    cpp("verify", product, cwd=repo, code=4)
    told = cpp("explain", "sim_bias_0001.fits", "--type", "bias", cwd=repo).stdout
    doctor = doctored(repo, cpp)
    assert doctor["state"] == "warn"
    for text in (told, doctor["found"], cpp("explain", product, cwd=repo).stdout):
        assert "FAIL because of B4_noise_penalty, not waived" in text
        assert "(shutter stuck)" in text


def test_with_json_an_error_is_a_document_too(repo: Path, cpp) -> None:
    done = cpp("show", "ffffffff", "--json", cwd=repo, code=2)
    error = json.loads(done.stdout)["error"]
    assert error["exit_code"] == 2
    assert "no product has an id" in error["message"]


def test_explain_tells_which_product_serves_an_exposure_and_why_not_the_others(
    repo: Path, biases: list[str], cpp
) -> None:
    first, second, never = biases
    cpp("certify", first, "--begin", "2026-01-01", "--end", "2027-01-01", cwd=repo)
    cpp("certify", second, "--begin", "2026-06-01", "--supersede", "--note", "after warm-up", cwd=repo)
    dark = json.loads(cpp("find", "kind=dark", "--json", cwd=repo).stdout)["exposures"][0]["id"]
    done = json.loads(cpp("explain", dark, "--type", "bias", "--json", cwd=repo).stdout)["explanation"]
    why = {one["what"]: one["why"] for one in done}
    assert why[f"use bias {second}"].startswith("certified in simcam/calib for 2026-06-01T00:00:00Z … open by ")
    assert "after warm-up" in why[f"use bias {second}"]
    assert f"superseded by {second}" in why[f"not bias {first}"]
    assert why[f"not bias {never}"] == "never certified in simcam/calib; not verified"
    assert why[f"made from it? bias {first}"] == "no: it is of kind dark, or was not there then"
    earlier = json.loads(cpp("explain", dark, "--type", "bias", "--at", "2026-02-01", "--json", cwd=repo).stdout)
    assert f"use bias {first}" in {one["what"] for one in earlier["explanation"]}
