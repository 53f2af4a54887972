"""`cpp init`, `ingest`, `find` and `flag`, as typed, on small real files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from cpp_framework.cli.main import main
from cpp_framework.model import Header
from cpp_framework.model.identity import digest_of, new_id
from cpp_framework.store import Store

INSTRUMENT = """\
name: {name}
detectors:
  - id: 0
    name: ccd
    size: [8, 6]
    amplifiers:
      - {{name: A, data: "[1:8,1:6]", detector: "[1:8,1:6]"}}
header:
  instrument: {{keyword: INSTRUME, expect: {name}}}
  kind: {{keyword: IMAGETYP}}
  exposure_time: {{keyword: EXPTIME}}
  begin: {{keyword: DATE-OBS, time_scale: utc}}
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line in an own folder; return exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CPP_REPO", raising=False)

    def call(line: str, *more: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([*line.split(), *more])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return call


def write_raw(path: Path, kind: str = "bias", second: int = 0, **cards: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    hdu = fits.PrimaryHDU(np.full((6, 8), second, np.uint16))
    hdu.header.update({
        "INSTRUME": "cam", "IMAGETYP": kind, "EXPTIME": 0.0, "DATE-OBS": f"2026-11-22T20:00:{second:02d}", **cards
    })  # fmt: skip
    hdu.writeto(path)
    return path


@pytest.fixture
def repository(run: Run, tmp_path: Path) -> Path:
    """A repository of camera ``cam`` with three biases and a dark; it is the working directory's `repo`."""
    (tmp_path / "cam.yaml").write_text(INSTRUMENT.format(name="cam"))
    for i in range(3):
        write_raw(tmp_path / f"raw/b{i}.fits", second=i)
    write_raw(tmp_path / "raw/deep/d3.FIT", "dark", 3, EXPTIME=60.0)
    assert run("init repo --instrument cam.yaml")[0] == 0
    assert run("ingest raw --repo repo")[0] == 0
    return tmp_path / "repo"


def find(run: Run, *arguments: str) -> list[str]:
    code, out, _ = run("find --repo repo --json", *arguments)
    assert code == 0
    document = json.loads(out)
    assert document["format"] == 1
    return [one["id"] for one in document["exposures"]]


def test_init_tells_where_the_instrument_is_and_what_comes_next(run: Run, tmp_path: Path) -> None:
    (tmp_path / "cam.yaml").write_text(INSTRUMENT.format(name="cam"))
    code, _, err = run("init", "night 1", "--instrument", "cam.yaml")
    assert code == 0
    copy = tmp_path / "night 1/instruments/cam.yaml"
    assert copy.is_file()
    assert f"edit this file to change gain or limits: {copy}" in err
    assert "next: cpp ingest PATH --repo 'night 1'" in err
    code, _, err = run("init")
    assert code == 0
    assert "next: cpp ingest PATH --instrument NAME|FILE\n" in err


def test_init_twice_is_a_conflict(run: Run, repository: Path) -> None:
    code, _, err = run("init repo")
    assert code == 5
    assert "repository already" in err


def test_init_with_a_wrong_instrument_makes_nothing(run: Run, tmp_path: Path) -> None:
    code, _, err = run("init night --instrument nocam")
    assert code == 2
    assert "no instrument 'nocam'" in err
    assert not (tmp_path / "night").exists()


def test_commands_without_a_repository_say_how_to_make_one(run: Run) -> None:
    code, _, err = run("find")
    assert code == 2
    assert "hint: `cpp init` makes one here" in err


def test_second_ingest_changes_nothing(run: Run, repository: Path) -> None:
    before = find(run)
    code, out, _ = run("ingest raw --repo repo --json")
    assert code == 0
    assert {one["outcome"] for one in json.loads(out)["ingested"]} == {"already there"}
    assert find(run) == before == ["b0", "b1", "b2", "d3"]


def test_bad_files_are_named_and_the_rest_goes_in(run: Run, repository: Path, tmp_path: Path) -> None:
    night = tmp_path / "night2"
    write_raw(night / "good.fits", second=10)
    write_raw(night / "other_camera.fits", INSTRUME="other")
    (night / "text.fits").write_text("hello")
    (night / "cut.fits").write_bytes((tmp_path / "raw/b0.fits").read_bytes()[:-2880])
    write_raw(night / "sub/b0.fits", second=11)  # another file with the id of one that is there
    sound = (tmp_path / "raw/b0.fits").read_bytes()
    broken = {
        "no_size": (b"NAXIS1  ", b"XAXIS1  "),
        "text_size": (b"NAXIS1  =                    8", b"NAXIS1  = 'x'".ljust(30)),
    }
    for name, (card, instead) in broken.items():
        (night / f"{name}.fits").write_bytes(sound.replace(card, instead))
    write_raw(night / "far.fits", second=12, **{"DATE-OBS": "9999-12-31"})
    os.mkfifo(night / "pipe.fits")
    (night / "circle.fits").symlink_to("circle.fits")
    code, out, err = run("ingest night2 nothing --repo repo")
    assert code == 6
    assert "1 added" in out
    for name in (
        "other_camera.fits",
        "text.fits",
        "cut.fits",
        "sub/b0.fits",
        "nothing",
        "no_size",
        "text_size",
        "far",
        "pipe",
        "circle",
    ):
        assert name in err
    assert "10 refused" in err
    assert find(run, "number=0") == ["b0"]
    assert "good" in find(run)


def test_nothing_ingested_is_exit_code_3(run: Run, repository: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert run("ingest empty --repo repo")[0] == 3
    (tmp_path / "text.fits").write_text("hello")
    assert run("ingest text.fits --repo repo")[0] == 3


def test_folders_of_the_repository_are_not_searched(run: Run, repository: Path) -> None:
    write_raw(repository / "products/run/bias.fits", second=20)
    write_raw(repository / "raw/b30.fits", second=30)
    assert run("ingest repo --repo repo")[0] == 0
    assert find(run, "number>3") == ["b30"]


def test_instrument_is_chosen_by_header_if_there_are_several(run: Run, repository: Path, tmp_path: Path) -> None:
    (tmp_path / "two.yaml").write_text(INSTRUMENT.format(name="two"))
    write_raw(tmp_path / "more/x40.fits", INSTRUME="two", second=40)
    write_raw(tmp_path / "more/b41.fits", second=41)
    assert run("ingest more/x40.fits --repo repo --instrument two.yaml")[0] == 0
    assert run("ingest more --repo repo")[0] == 0
    assert find(run, "instrument=two") == ["x40"]
    assert find(run, "instrument=cam", "number=41") == ["b41"]
    write_raw(tmp_path / "more/y42.fits", INSTRUME="three", second=42)
    code, _, err = run("ingest more/y42.fits --repo repo")
    assert code == 3
    assert "fits none of the instruments" in err


def test_file_that_fits_two_instruments_is_refused(run: Run, repository: Path, tmp_path: Path) -> None:
    text = INSTRUMENT.format(name="any").replace(", expect: any", "")
    (tmp_path / "any.yaml").write_text(text)
    write_raw(tmp_path / "b50.fits", second=50)
    assert run("init other --instrument cam.yaml --instrument any.yaml")[0] == 0
    code, _, err = run("ingest b50.fits --repo other")
    assert code == 3
    assert "fits the instruments" in err
    assert run("ingest b50.fits --repo other --instrument any")[0] == 0


def test_ingest_without_any_instrument(run: Run, tmp_path: Path) -> None:
    assert run("init bare")[0] == 0
    code, _, err = run("ingest . --repo bare")
    assert code == 2
    assert "no instrument yet" in err


def test_find_filters(run: Run, repository: Path) -> None:
    assert find(run, "kind=bias") == ["b0", "b1", "b2"]
    assert find(run, "kind=bias", "begin>=2026-11-22T20:00:01") == ["b1", "b2"]
    assert find(run, "--night", "2026-11-22", "exposure_time>=5") == ["d3"]
    assert find(run, "--last", "1h") == []
    code, out, err = run("find kind=dark --repo repo")
    assert code == 0
    assert "d3" in out
    assert "b0" not in out
    assert "1 exposures" in err
    code, _, err = run("find exptime=1 --repo repo")
    assert code == 2
    assert "did you mean 'exposure_time'?" in err


def test_find_products_shows_short_identifiers_and_binning_as_people_write_it(run: Run, repository: Path) -> None:
    store = Store.open(repository)
    header = Header(
        id=new_id(), type="bias", revision=1, instrument="cam", detector=0, run=store.new_run("bias"),
        key={"detector": 0, "binning": (2, 2)}, digest=digest_of("content"), recipe=digest_of("recipe"),
    )  # fmt: skip
    staged = store.staging_file(header.recipe)
    staged.write_bytes(b"content")
    store.put(staged, header)
    code, out, _ = run("find --products --repo repo")
    assert code == 0
    assert "binning=2x2" in out
    assert f" {header.id[-8:]} " in out
    assert store.product(header.id[-8:]).id == header.id
    assert "last eight" in " ".join(run("find --help")[1].split())


def test_find_products(run: Run, repository: Path) -> None:
    code, out, _ = run("find --products type=bias detector=0 --repo repo --json")
    assert code == 0
    assert json.loads(out) == {"format": 1, "products": []}
    for wrong in ("tipe=bias", "detector=x", "bias", "detector>0"):
        assert run("find --products --repo repo", wrong)[0] == 2
    assert run("find --products --night 2026-11-22 --repo repo")[0] == 2


def test_flag(run: Run, repository: Path) -> None:
    code, out, _ = run("flag b1 --bad --repo repo --because", "door open")
    assert code == 0
    assert "b1 (cam) is bad: door open" in out
    _, out, _ = run("find --repo repo --json")
    assert [one["because"] for one in json.loads(out)["exposures"] if one["bad"]] == ["door open"]
    assert json.loads(run("flag b1 --good --repo repo --json")[1])["flag"]["bad"] is False
    assert run("flag b1 --bad --repo repo")[0] == 2
    assert run("flag nothing --good --repo repo")[0] == 2
    assert run("flag b1 --repo repo")[0] == 2  # neither bad nor good


def test_raw_file_with_a_name_that_is_no_text_is_refused(run: Run, repository: Path, tmp_path: Path) -> None:
    night = tmp_path / "night2"
    write_raw(night / "good.fits", second=10)
    os.link(night / "good.fits", os.fsencode(night) + b"/bad\xff.fits")
    code, out, err = run("ingest night2 --repo repo")
    assert (code, "1 added" in out) == (6, True)
    assert "bad\\udcff.fits" in err


def test_find_products_refuses_a_detector_that_is_no_number(run: Run, repository: Path) -> None:
    for detector in ("²", "9" * 30):
        assert run(f"find --products detector={detector} --repo repo")[0] == 2


def test_output_that_cannot_be_written_is_named(run: Run, repository: Path) -> None:
    code, _, err = run("instrument init raw/b0.fits -o nowhere/cam.yaml")
    assert code == 1
    assert "cannot write nowhere/cam.yaml" in err
    assert run("sim /dev/null/night")[0] == 1
