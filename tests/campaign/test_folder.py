"""Beginners' folder mode: frames in a folder, nothing configured."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits

from cpp_framework.api import Repository
from cpp_framework.campaign.folder import infer_instrument
from cpp_framework.errors import AmbiguousError, InputsMissingError
from cpp_framework.sim import simulate_night

Document = dict[str, Any]
FAST = {"CPP_PLUGINS": "bias,dark,flat,defects"}


@pytest.fixture(scope="module")
def night(tmp_path_factory) -> Path:
    """The frames of a night of the simulator's camera."""
    folder: Path = tmp_path_factory.mktemp("simulated") / "night1"
    simulate_night(folder, biases=5, darks=3, flats=4)
    return folder


def states(document: Document) -> dict[str, list[str]]:
    return {one["type"]: [unit["state"] for unit in one["units"]] for one in document["passes"]}


def test_the_camera_is_known_or_inferred_and_work_is_done_once(cpp, night: Path, tmp_path: Path) -> None:
    shutil.copytree(night, tmp_path / "night1")
    arguments = ("produce", "night1/", "--type", "bias", "--jobs", 1, "--json")
    first = cpp(*arguments, cwd=tmp_path, env=FAST, code=0)
    assert "camera: instrument simcam, which comes with cpp, fits 12 of 12 frames" in first.stderr
    assert f"repository: {tmp_path / 'cpp'} (made)" in first.stderr
    groups = first.stderr.index("5 bias")
    assert groups < first.stderr.index("3 dark of 10 s") < first.stderr.index("4 flat of 10 s")
    assert first.stderr.index("4 flat") < first.stderr.index("plan: pass 1: bias: 1 to do")
    assert "next: cpp certify" not in first.stderr, "with --json the document is all"
    document = json.loads(first.stdout)
    assert states(document) == {"bias": ["made"]}
    assert document["passes"][0]["units"][0]["verdict"] in ("PASS", "WARN")
    again = cpp(*arguments, cwd=tmp_path, env=FAST)
    assert states(json.loads(again.stdout)) == {"bias": ["up to date"]}
    assert "frames: 12, 0 of them new" in again.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cpp", "night1"], "nothing else is written"
    simulate_night(tmp_path / "more", biases=1, seed=2)
    (frame,) = (tmp_path / "more").glob("*.fits")
    with fits.open(frame, mode="update") as hdus:
        hdus[0].header["OBSID"], hdus[0].header["SEQNUM"] = "SIM_20261122_000099", 99
    frame.rename(tmp_path / "night1" / "one_more.fits")
    third = cpp("produce", "night1/", "--type", "bias", "--jobs", 1, cwd=tmp_path, env=FAST)
    assert "frames: 13, 1 of them new" in third.stderr
    assert "made" in third.stdout
    assert "next: cpp certify" in third.stderr
    assert third.stderr.rstrip().endswith("--repo cpp")


def test_another_folder_does_not_mix_with_the_first(cpp, night: Path, tmp_path: Path) -> None:
    simulate_night(tmp_path / "second", biases=3, seed=4)
    for number, frame in enumerate(sorted((tmp_path / "second").glob("*.fits"))):
        with fits.open(frame, mode="update") as hdus:
            hdus[0].header["OBSID"], hdus[0].header["SEQNUM"] = f"SECOND_{number}", 500 + number
    arguments = ("--type", "bias", "--jobs", 1, "--json")
    cpp("produce", night, *arguments, cwd=tmp_path, env=FAST)
    done = json.loads(cpp("produce", "second", *arguments, cwd=tmp_path, env=FAST).stdout)
    assert states(done) == {"bias": ["made"]}
    repository = Repository.open(tmp_path / "cpp")
    used = {one.exposure for one in repository.store.header(repository.store.product("last")).used}
    assert used == {"SECOND_0", "SECOND_1", "SECOND_2"}


@pytest.mark.slow
def test_the_whole_chain_is_made_in_order(cpp, night: Path, tmp_path: Path) -> None:
    types = [word for name in ("flat", "dark", "bias") for word in ("--type", name)]
    done = cpp("produce", night, *types, "--json", cwd=tmp_path, env=FAST)
    document = json.loads(done.stdout)
    assert list(states(document)) == ["bias", "dark", "flat"]
    assert {state for some in states(document).values() for state in some} == {"made"}
    assert all(unit["verdict"] for one in document["passes"] for unit in one["units"])
    everything = cpp("produce", night, "-n", "--json", cwd=tmp_path, env=FAST)
    assert list(states_of_plan(everything.stdout)) == ["bias", "dark", "flat", "defects"]


def states_of_plan(text: str) -> dict[str, int]:
    return {one["type"]: len(one["units"]) for one in json.loads(text)["passes"]}


@pytest.mark.slow
def test_a_real_camera_nobody_has_described(cpp, shared, tmp_path: Path) -> None:
    frames = shared("data/real/kast-red-2amp")
    before = sorted(path.name for path in frames.iterdir())
    done = cpp("produce", frames, "--type", "bias", "--json", cwd=tmp_path, env=FAST)
    assert "camera: camera 'kastr' inferred from" in done.stderr
    assert "no gain is known for detector 0: products stay in ADU" in done.stderr
    for line in ("4 bias", "2 dark of 360 s", "2 flat of 10 s"):
        assert line in done.stderr
    (unit,) = json.loads(done.stdout)["passes"][0]["units"]
    assert (unit["instrument"], unit["state"]) == ("kastr", "made")
    assert unit["verdict"] in ("PASS", "WARN")
    with fits.open(
        Repository.open(tmp_path / "cpp").store.path(Repository.open(tmp_path / "cpp").store.product("last"))
    ) as hdus:
        assert hdus[1].data.shape == (2725, 350)
    text = (tmp_path / "cpp" / "instruments" / "kastr.yaml").read_text()
    assert "GAIN = 1 looks like an index" in text, "the doubts of the inference are kept as comments"
    assert sorted(path.name for path in frames.iterdir()) == before


def test_no_bias_frames_is_said_with_a_hint(cpp, night: Path, tmp_path: Path) -> None:
    shutil.copytree(night, tmp_path / "raw", ignore=shutil.ignore_patterns("*bias*", "truth*"))
    done = cpp("produce", "raw", "--type", "bias", "--json", cwd=tmp_path, env=FAST, code=3)
    assert "no exposures of kind bias match" in json.loads(done.stdout)["passes"][0]["blocked"]
    told = cpp("produce", "raw", "--type", "bias", cwd=tmp_path, env=FAST, code=3).stderr
    assert "blocked: bias: nothing to make a bias from" in told
    assert "hint: " in told


def test_frames_of_two_cameras_are_refused_before_anything_is_made(cpp, night: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    for name, frame in zip(("ALPHA", "BETA", "BETA"), sorted(night.glob("*bias*")), strict=False):
        shutil.copy(frame, folder / f"{name}_{frame.name}")
        with fits.open(folder / f"{name}_{frame.name}", mode="update") as hdus:
            hdus[0].header["INSTRUME"] = name
    done = cpp("produce", folder, "--type", "bias", cwd=tmp_path, env=FAST, code=2)
    assert "the frames are of 2 cameras: ALPHA (1 frames), BETA (2 frames)" in done.stderr
    assert "hint: give a folder for each" in done.stderr
    assert not (tmp_path / "cpp").exists()
    with pytest.raises(AmbiguousError):
        infer_instrument([folder])


def test_nothing_to_work_with_is_said(cpp, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = cpp("produce", "empty", "--type", "bias", cwd=tmp_path, env=FAST, code=3)
    assert "no raw frames" in done.stderr
    assert not (tmp_path / "cpp").exists()
    (tmp_path / "empty" / "broken.fits").write_bytes(b"not FITS")
    with pytest.raises(InputsMissingError, match="none of 1 frames can be read"):
        infer_instrument([tmp_path / "empty"])
    wrong = cpp("produce", "empty", "--type", "bias", cwd=tmp_path, env=FAST | {"CPP_REPO": "/nowhere"}, code=2)
    assert "names /nowhere, which is not a repository" in wrong.stderr


def test_unknown_kinds_and_windowed_frames_do_not_confuse_it(night: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    shutil.copytree(night, folder)
    for frame in folder.glob("*.fits"):
        with fits.open(frame, mode="update") as hdus:
            hdus[0].header["INSTRUME"] = "Homemade"
    focus = folder / "aaa_focus.fits"  # the first by name, and of another shape
    with fits.open(sorted(folder.glob("*bias*"))[0]) as hdus:
        header = hdus[0].header.copy()
        header["IMAGETYP"], header["OBSID"] = "FOCUS", "FOCUS_1"
        fits.HDUList([fits.PrimaryHDU(header=header), fits.ImageHDU(hdus[1].data[:20, :20])]).writeto(focus)
    found = infer_instrument([folder])
    assert found.name == "Homemade"
    assert "size: [256, 200]" in found.text
    assert "'FOCUS' means nothing known: taken as other" in found.text


def test_a_dry_run_writes_nothing(cpp, night: Path, tmp_path: Path) -> None:
    shutil.copytree(night, tmp_path / "night1")
    arguments = ("produce", "night1", "--type", "bias", "--jobs", 1)
    planned = cpp(*arguments, "-n", cwd=tmp_path, env=FAST)
    assert "to do" in planned.stdout
    assert "nothing is written" in planned.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["night1"]
    cpp(*arguments, cwd=tmp_path, env=FAST)
    frame = sorted((tmp_path / "night1").glob("*bias*"))[0]
    shutil.copy(frame, tmp_path / "night1" / "one_more.fits")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cpp").rglob("*")}
    again = cpp(*arguments, "-n", cwd=tmp_path, env=FAST)
    assert "up to date" in again.stdout
    assert "1 frames are not registered yet" in again.stderr
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cpp").rglob("*")} == before


def test_refused_frames_are_told_by_the_exit_code(cpp, night: Path, tmp_path: Path) -> None:
    shutil.copytree(night, tmp_path / "night1")
    (tmp_path / "night1" / "broken.fits").write_bytes(b"not FITS")
    done = cpp("produce", "night1", "--type", "bias", "--jobs", 1, cwd=tmp_path, env=FAST, code=6)
    assert "broken.fits" in done.stderr
    assert "made" in done.stdout


def test_a_folder_cpp_that_is_something_else_is_left_alone(cpp, night: Path, tmp_path: Path) -> None:
    (tmp_path / "cpp").mkdir()
    (tmp_path / "cpp" / "mine.txt").write_text("mine")
    done = cpp("produce", night, "--type", "bias", cwd=tmp_path, env=FAST, code=5)
    assert f"{tmp_path / 'cpp'} is there and no repository" in done.stderr
    assert [path.name for path in (tmp_path / "cpp").iterdir()] == ["mine.txt"]
