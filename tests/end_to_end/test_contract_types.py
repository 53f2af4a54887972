"""The whole contract through the real program: types with several inputs, pairs, pool, measurements only, no exposures.

The throw-away types are made visible as a stranger's would be: by a distribution with entry points on the path.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from astropy.io import fits

from cpp_framework.camera.catalogue import instrument_text

pytestmark = pytest.mark.slow

TYPES = Path(__file__).resolve().parents[1] / "contract" / "types"
FAILING = """
from cpp_framework.declare import CalibrationType, Inputs
from cpp_framework.hookspecs import hookimpl

BASE = dict(revision=1, product="throwaway_dark.functions:Dark", verify="throwaway_dark.functions:verify",
            config="throwaway_dark.functions:DarkConfig", inputs=(Inputs("bias"),))

@hookimpl
def cpp_calibration_types():
    return [
        CalibrationType(name="raises", title="raises", solve="stranger:raises", **BASE),
        CalibrationType(name="lies", title="returns something else", solve="stranger:lies", **BASE),
        CalibrationType(name="halves", title="fails on one detector", solve="stranger:halves", **BASE),
        CalibrationType(name="dies", title="kills its worker", solve="stranger:dies", **BASE),
    ]

def raises(inputs, needs, config, ctx):
    raise ZeroDivisionError("in the plugin")

def lies(inputs, needs, config, ctx):
    return 42

def halves(inputs, needs, config, ctx):
    import numpy as np
    from throwaway_dark.functions import Dark
    from cpp_framework.model import AmplifierResult
    if ctx.detector.id == 1:
        raise RuntimeError("detector 1 is not for me")
    plane = np.zeros(ctx.detector.shape, np.float32)
    amplifiers = {amp.name: AmplifierResult() for amp in ctx.detector.amplifiers}
    return Dark(image=plane, error=plane + 1, mask=plane.astype(np.uint32), used=plane.astype(np.uint16), unit="adu",
                amplifiers=amplifiers)

def dies(inputs, needs, config, ctx):
    import os
    os._exit(9)
"""


@pytest.fixture(scope="module")
def env(tmp_path_factory) -> dict[str, str]:
    """An environment in which the throw-away types are installed."""
    folder = tmp_path_factory.mktemp("site")
    meta = folder / "throwaway-0.1.dist-info"
    meta.mkdir()
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: throwaway\nVersion: 0.1\n")
    hook = "from cpp_framework.hookspecs import hookimpl\n@hookimpl\ndef cpp_calibration_types(): return [{}]\n"
    points = ["[cpp_framework]", "stranger = stranger"]
    for name in ("dark", "gains", "defects"):
        text = f"from throwaway_{name} import {name.upper()}\n" + hook.format(name.upper())
        (folder / f"hook_{name}.py").write_text(text)
        points.append(f"{name} = hook_{name}")
    (folder / "stranger.py").write_text(FAILING)
    (meta / "entry_points.txt").write_text("\n".join(points))
    return {"PYTHONPATH": os.pathsep.join([str(folder), str(TYPES)])}


@pytest.fixture(scope="module")
def repo(tmp_path_factory, cpp, env) -> Path:
    """A simulated night with bias, dark and flat frames."""
    folder = tmp_path_factory.mktemp("night")
    cpp("sim", folder / "raw", "--bias", 5, "--dark", 4, "--flat", 6, "--seed", 5)
    cpp("init", folder / "repo", "--instrument", "simcam")
    cpp("ingest", folder / "raw", "--repo", folder / "repo")
    return folder / "repo"


def _made(done) -> dict:
    (unit,) = json.loads(done.stdout)["units"]
    return unit


def test_several_named_inputs(repo: Path, cpp, env) -> None:
    unit = _made(cpp("produce", "--type", "throwaway_dark", "--json", cwd=repo, env=env))
    assert unit["state"] == "made"
    header = json.loads(cpp("show", unit["product"], "--json", cwd=repo, env=env).stdout)["header"]
    assert sorted({one["selection"] for one in header["inputs"]}) == ["darks", "zeros"]
    assert len(header["inputs"]) == 9


def test_pairs_pool_and_measurements_without_frames(repo: Path, cpp, env) -> None:
    unit = _made(cpp("produce", "--type", "throwaway_gains", "--json", "--jobs", 2, cwd=repo, env=env))
    assert unit["state"] == "made", unit
    shown = json.loads(cpp("show", unit["product"], "--json", cwd=repo, env=env).stdout)
    assert set(shown["amplifiers"]) == {"C00", "C01", "C10", "C11"}
    measured = list((repo / "cache" / "measurements").rglob("*.npz"))
    assert len(measured) == 3
    # Another recipe of the same measurements: nothing is read again, the cache serves.
    before = {path: path.stat().st_mtime_ns for path in measured}
    again = _made(cpp("produce", "--type", "throwaway_gains", "--label", "again", "--json", cwd=repo, env=env))
    assert again["state"] == "made"
    assert {path: path.stat().st_mtime_ns for path in (repo / "cache" / "measurements").rglob("*.npz")} == before


def empty_repo(cpp, tmp_path: Path) -> Path:
    """An empty repository with the same camera."""
    cpp("init", tmp_path / "empty", "--instrument", "simcam")
    return tmp_path / "empty"


def test_a_type_of_products_needs_them_named_or_verified(repo: Path, cpp, env, tmp_path: Path) -> None:
    missing = cpp("produce", "--type", "throwaway_defects", cwd=empty_repo(cpp, tmp_path), env=env, code=3)
    assert "made from a throwaway_dark, and there is none" in missing.stderr
    assert "hint: cpp produce --type throwaway_dark" in missing.stderr
    dark = _made(cpp("produce", "--type", "throwaway_dark", "--json", cwd=repo, env=env))["product"]
    unverified = cpp("produce", "--type", "throwaway_defects", cwd=repo, env=env, code=3)
    assert "none is certified in simcam/calib" in unverified.stderr
    use = f"throwaway_dark={dark[-8:]}"
    unit = _made(cpp("produce", "--type", "throwaway_defects", "--use", use, "--json", cwd=repo, env=env))
    assert unit["state"] == "made"
    shown = json.loads(cpp("show", unit["product"], "--json", cwd=repo, env=env).stdout)
    assert shown["header"]["needs"][0]["id"] == dark
    with fits.open(shown["file"]) as hdus:
        assert hdus["DQ"].data.shape == (200, 256)
    verdict = json.loads(cpp("verify", unit["product"], "--json", cwd=repo, env=env).stdout)
    assert verdict["outcome"] == "PASS"


def test_use_of_the_wrong_product_is_refused(repo: Path, cpp, env) -> None:
    bias = _made(cpp("produce", "--type", "bias", "--json", cwd=repo, env=env))["product"]
    arguments = ["--type", "throwaway_defects", "--use", f"throwaway_dark={bias}"]
    done = cpp("produce", *arguments, cwd=repo, env=env, code=2)
    assert "names a bias" in done.stderr


@pytest.mark.parametrize(
    ("name", "words"),
    [("raises", "ZeroDivisionError: in the plugin"), ("lies", "returned a int; it declares Dark")],
)
def test_a_failing_unit_is_named_and_nothing_is_left(repo: Path, cpp, env, name: str, words: str) -> None:
    products = set((repo / "products").rglob("*.fits"))
    done = cpp("produce", "--type", name, cwd=repo, env=env, code=6)
    assert words in done.stderr
    assert set((repo / "products").rglob("*.fits")) == products
    assert not list((repo / "staging").iterdir())


@pytest.fixture(scope="module")
def two(tmp_path_factory, cpp) -> Path:
    """A repository of a camera with two detectors."""
    folder = tmp_path_factory.mktemp("two")
    text = instrument_text("simcam")
    start, end = text.index("detectors:\n") + len("detectors:\n"), text.index("header:")
    first = text[start:end].rstrip() + "\n"
    second = first.replace("id: 0", "id: 1", 1).replace("name: S00", "name: S01", 1)
    camera = (text[:start] + first + second + text[end:]).replace("simcam", "twocam")
    (folder / "two.yaml").write_text(camera)
    cpp("sim", folder / "raw", "--instrument", folder / "two.yaml", "--bias", 3, "--flat", 4)
    cpp("init", folder / "repo", "--instrument", folder / "two.yaml")
    cpp("ingest", folder / "raw", "--repo", folder / "repo")
    return folder / "repo"


@pytest.mark.parametrize("jobs", [1, 2])
def test_one_failing_unit_does_not_stop_the_other(two: Path, cpp, env, jobs: int) -> None:
    arguments = ["--type", "halves", "--label", f"jobs{jobs}", "--jobs", jobs, "--json"]
    units = json.loads(cpp("produce", *arguments, cwd=two, env=env, code=6).stdout)["units"]
    assert [unit["state"] for unit in units] == ["made", "failed"]
    assert "detector 1 is not for me" in units[1]["reason"]


def test_a_pool_sees_all_detectors(two: Path, cpp, env) -> None:
    units = json.loads(cpp("produce", "--type", "throwaway_gains", "--json", cwd=two, env=env).stdout)["units"]
    assert [unit["state"] for unit in units] == ["made", "made"]
    levels = [
        json.loads(cpp("show", unit["product"], "--json", cwd=two, env=env).stdout)["metrics"]["level"]
        for unit in units
    ]
    assert levels[0] == levels[1]  # one level for the whole focal plane


def test_broken_plugins_are_listed_and_harm_nothing(repo: Path, cpp, tmp_path: Path) -> None:
    meta = tmp_path / "broken-0.1.dist-info"
    meta.mkdir()
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 0.1\n")
    (meta / "entry_points.txt").write_text("[cpp_framework]\nno_import = no_such_module\nzz_again = again\n")
    (tmp_path / "again.py").write_text(FAILING.replace('name="raises"', 'name="bias"'))
    env = {"PYTHONPATH": str(tmp_path)}
    listed = {one["name"]: one for one in json.loads(cpp("plugins", "--json", env=env).stdout)["plugins"]}
    assert "no_such_module" in listed["no_import"]["problem"]
    assert "declared by both cpp-bias and broken" in listed["zz_again"]["problem"]
    assert listed["bias"]["problem"] == ""
    done = cpp("produce", "--type", "bias", "--json", cwd=repo, env=env)
    assert _made(done)["state"] in ("made", "up to date")
    assert "plugin no_import of broken is broken: cpp plugins" in done.stderr


def test_a_killed_worker_is_told_with_a_hint(repo: Path, cpp, env) -> None:
    done = cpp("produce", "--type", "dies", "--jobs", 2, cwd=repo, env=env, code=6)
    assert "a worker process was killed" in done.stderr
    assert "hint: try --jobs 1" in done.stderr
