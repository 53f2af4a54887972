"""`cpp apply` as typed: exit codes, tables, JSON, and what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits

from cpp_framework.api import Repository
from cpp_framework.apply.calibrated import read_calibrated


def _out(raw: Path, folder: Path) -> Path:
    return folder / f"{fits.getheader(raw)['OBSID']}_det000_calibrated.fits"


def test_applies_and_says_what_it_did(night: Any, cpp: Any, tmp_path: Path) -> None:
    done = cpp("apply", *night.raws, "-o", tmp_path / "out", "--repo", night.root)
    assert "certified in simcam/calib" in done.stdout
    assert night.bias[-8:] in done.stdout
    assert "2/2" in done.stderr
    assert "not ingested" in done.stderr
    for raw in night.raws:
        image = read_calibrated(_out(raw, tmp_path / "out"))
        assert image.unit == "electron"
        assert any("command: cpp apply" in line for line in image.header["HISTORY"])


def test_json_is_one_document_with_all_of_it(night: Any, here: Any, tmp_path: Path) -> None:
    done = here("apply", night.first, "-o", tmp_path, "--repo", night.root, "--json")
    document = json.loads(done.stdout)
    (one,) = document["files"]
    assert (document["format"], document["refused"], one["state"], one["unit"]) == (1, [], "written", "electron")
    assert Path(one["file"]).exists()
    bias = next(choice for choice in one["calibrations"] if choice["type"] == "bias")
    assert (bias["product"], bias["stages"]) == (night.bias, ["BIAS"])
    assert any(step.startswith("bias: bias") for step in one["steps"])


def test_a_dry_run_shows_the_choice_and_writes_nothing(night: Any, here: Any, tmp_path: Path) -> None:
    done = here("apply", night.first, "-o", tmp_path / "out", "-n", "--repo", night.root)
    assert night.bias[-8:] in done.stdout
    assert "to do" in done.stdout
    assert not (tmp_path / "out").exists()


def test_folders_ids_and_lists_name_the_same_exposures(night: Any, here: Any, tmp_path: Path) -> None:
    wanted = ["apply", "-o", tmp_path, "-n", "--json", "--repo", night.root]
    folder = json.loads(here(*wanted, night.first.parent).stdout)["files"]
    assert [one["raw"] for one in folder] == [str(path) for path in night.raws]
    known = json.loads(here(*wanted, "SIM_20261122_000001").stdout)["files"]
    assert [(one["exposure"], one["note"]) for one in known] == [("SIM_20261122_000001", "")]
    command = [sys.executable, "-m", "cpp_framework.cli.main", *map(str, wanted), "-"]
    listed = "\n".join(map(str, night.raws)) + "\n\n"
    done = subprocess.run(command, input=listed, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["files"] == folder


def test_what_is_there_is_left_alone_without_force(night: Any, here: Any, tmp_path: Path) -> None:
    output = _out(night.first, tmp_path)
    output.write_text("mine")
    done = here("apply", *night.raws, "-o", tmp_path, "--repo", night.root, code=5)
    assert f"{output} is there already" in done.stderr
    assert "--force" in done.stderr
    assert output.read_text() == "mine"
    assert _out(night.raws[1], tmp_path).exists(), "the others go on"
    here("apply", night.first, "-o", tmp_path, "--force", "--repo", night.root)
    assert read_calibrated(output).unit == "electron"


def test_the_raw_itself_is_never_replaced(night: Any, here: Any, tmp_path: Path) -> None:
    raw = _out(night.first, tmp_path)
    shutil.copy(night.first, raw)
    before = raw.read_bytes()
    done = here("apply", raw, "-o", tmp_path, "--force", "--repo", night.root, code=5)
    assert "is the raw file itself" in done.stderr
    assert raw.read_bytes() == before


def test_broken_files_are_named_and_the_others_go_on(night: Any, here: Any, tmp_path: Path) -> None:
    broken, foreign, cut = (tmp_path / name for name in ("broken.fits", "foreign.fits", "cut.fits"))
    broken.write_bytes(b"no FITS file at all")
    fits.PrimaryHDU([[1, 2]], fits.Header({"INSTRUME": "othercam", "EXPTIME": 1.0})).writeto(foreign)
    cut.write_bytes(night.raws[1].read_bytes()[:40000])
    done = here("apply", broken, foreign, cut, night.first, "-o", tmp_path / "out", "--repo", night.root, code=6)
    for path, why in ((broken, "not a FITS file"), (foreign, "othercam"), (cut, "the file has 40000")):
        assert any(str(path) in line and why in line for line in done.stderr.splitlines()), path
    assert [path.name for path in (tmp_path / "out").iterdir()] == [_out(night.first, tmp_path).name]
    here("apply", broken, "-o", tmp_path / "out", "--repo", night.root, code=3)


def test_a_file_that_breaks_after_it_was_ingested_fails_alone(
    night: Any, here: Any, tmp_path: Path, make_science: Any
) -> None:
    first, second = make_science(tmp_path / "raw", 2, first=301)
    shutil.copytree(night.root, tmp_path / "repo")
    Repository.open(tmp_path / "repo").ingest([tmp_path / "raw"])
    first.unlink()
    name = f"SIM_{fits.getheader(second)['OBSID'].split('_')[1]}_000301"
    done = here("apply", name, second, "-o", tmp_path / "out", "--repo", tmp_path / "repo", code=6)
    assert f"{first}: there is no such file" in done.stderr
    assert len(list((tmp_path / "out").iterdir())) == 1


@pytest.mark.parametrize(
    ("cards", "options", "code", "said"),
    [
        ({"DATE-OBS": None}, (), 3, "has no date, so nothing tells which"),
        ({"DATE-OBS": None}, ("--at", "2026-11-20"), 0, "certified in simcam/calib"),
        ({"DARKTIME": "NaN"}, (), 3, "dark time"),
        ({}, ("--require", "bias"), 0, "certified"),
        ({}, ("--require", "bias", "--at", "2026-10-31"), 3, "none certified in simcam/calib for 2026-10-31T00:00:00Z"),
        ({}, ("--without", "gain", "--without", "bias"), 0, "left out on request"),
        ({}, ("--up-to", "full-well"), 0, "its stage comes after full well"),
        ({}, ("--up-to", "serial_overscan"), 2, "from stage full well on"),
        ({}, ("--up-to", "biass"), 2, "is not a stage"),
        ({}, ("--require", "flot"), 2, "no installed type of this name acts on images"),
        ({}, ("--require", "bias", "--without", "bias"), 2, "both required and left out"),
        ({}, ("--use", "bias=ffffffff"), 2, "no product has an id"),
        ({}, ("--use", "bias"), 2, "is not TYPE=ID"),
        ({}, ("--instrument", "nocam"), 2, "nocam"),
        ({}, ("--collection", "simcam/calip"), 2, "there is no collection 'simcam/calip'"),
        ({}, ("--at", "2026-10-31", "--allow-uncertified"), 0, "newest verified"),
        ({}, ("--use", "bias=last", "--without", "bias"), 2, "--use bias names what is left out"),
    ],
)
def test_options_and_refusals(
    night: Any, here: Any, tmp_path: Path, cards: dict[str, Any], options: tuple[str, ...], code: int, said: str
) -> None:
    raw = tmp_path / "raw.fits"
    shutil.copy(night.first, raw)
    with fits.open(raw, mode="update") as hdus:
        for keyword, value in cards.items():
            hdus[0].header[keyword] = value
            if value is None:
                del hdus[0].header[keyword]
    done = here("apply", raw, "-o", tmp_path / "out", *options, "--repo", night.root, code=code)
    assert said in done.stdout + done.stderr
    assert (tmp_path / "out").exists() == (code == 0)


def test_a_product_named_by_hand_must_fit(night: Any, here: Any, tmp_path: Path) -> None:
    here("apply", night.first, "-o", tmp_path, "--use", f"bias={night.bias[-8:]}", "--at", "1999-01-01",
        "--repo", night.root)  # fmt: skip
    image = read_calibrated(_out(night.first, tmp_path))
    assert {one.type: one.why for one in image.calibrations}["bias"] == "named by --use"


def test_names_no_file_can_have_are_no_exposures(night: Any, here: Any, tmp_path: Path) -> None:
    done = here("apply", "x" * 600, night.first, "-o", tmp_path, "--repo", night.root, code=6)
    assert "no exposure 'xxx" in done.stderr


def test_a_folder_that_cannot_be_made_is_said(night: Any, here: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = here("apply", night.first, "-o", tmp_path / "file" / "out", "--repo", night.root, code=1)
    assert "error: cannot write" in done.stderr


def test_a_damaged_product_fails_what_needs_it(night: Any, here: Any, tmp_path: Path) -> None:
    shutil.copytree(night.root, tmp_path / "repo")
    (product,) = (tmp_path / "repo" / "products").rglob("*.fits")
    product.chmod(0o644)
    with fits.open(product, mode="update") as hdus:
        hdus["DATA"].data[3, 4] += 1
    done = here("apply", night.first, "-o", tmp_path / "out", "--repo", tmp_path / "repo", code=6)
    assert "its content is not what was stored" in done.stderr
    assert list((tmp_path / "out").iterdir()) == []
