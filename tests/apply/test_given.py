"""What is given to `cpp apply`: raws that changed, lists, names that are no text, folders that cannot be written to."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits

from cpp_framework.api import Repository
from cpp_framework.apply.choose import _check_units
from cpp_framework.apply.request import ApplyRequest, Choice
from cpp_framework.declare import Stage
from cpp_framework.errors import IncompatibleError
from cpp_framework.model.header import NeedRecord
from cpp_framework.plan.unit import Need


@pytest.fixture
def own(night: Any, tmp_path: Path) -> Path:
    """A repository of its own, to change."""
    return Path(shutil.copytree(night.root, tmp_path / "repo"))


def _give(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_an_id_whose_file_has_changed_is_refused(own: Path, here: Any, tmp_path: Path, make_science: Any) -> None:
    (raw,) = make_science(tmp_path / "raw", 1, first=401)
    Repository.open(own).ingest([raw])
    name = fits.getheader(raw)["OBSID"]
    here("apply", name, "-o", tmp_path / "out", "-n", "--repo", own)
    os.utime(raw, ns=(1, 1))
    done = here("apply", name, "-o", tmp_path / "out", "-n", "--repo", own, code=3)
    assert f"exposure {name}: {raw} has changed since it was ingested" in done.stderr
    assert "hint: cpp ingest it again" in done.stderr
    assert "changed since" in here("apply", raw, "-o", tmp_path / "out", "-n", "--repo", own).stderr


def test_an_id_registered_with_other_bytes_is_told(own: Path, here: Any, tmp_path: Path, make_science: Any) -> None:
    (first,) = make_science(tmp_path / "one", 1, first=402)
    (second,) = make_science(tmp_path / "two", 1, first=402, seed=6)
    Repository.open(own).ingest([first])
    done = here("apply", second, "-o", tmp_path / "out", "-n", "--repo", own)
    assert f"{second} has the id" in done.stderr
    assert f"under which {first} with other bytes is registered" in done.stderr
    copy = shutil.copy(first, tmp_path / "copy.fits")
    assert "other bytes" not in here("apply", copy, "-o", tmp_path / "out", "-n", "--repo", own).stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"a.fits\n\xff\xfe.fits\n", "line 2 of the list on standard input is not UTF-8"), (b" \n", "names no raw")],
)
def test_lists_that_are_none(
    night: Any, here: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, said: str
) -> None:
    _give(monkeypatch, content)
    assert said in here("apply", "-", "-o", tmp_path / "out", "--repo", night.root, code=2).stderr


def test_many_unknown_names_are_quickly_told_once_each(
    night: Any, here: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"NOT_THERE_{i}" for i in range(400)]
    _give(monkeypatch, "\n".join(names * 10).encode())
    start = time.perf_counter()
    done = here("apply", "-", "-o", tmp_path / "out", "--json", "--repo", night.root, code=2)
    assert [one["what"] for one in json.loads(done.stdout)["refused"]] == names
    assert time.perf_counter() - start < 10


def test_names_that_are_no_text_are_named(night: Any, here: Any, tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    shutil.copy(night.first, os.fsencode(folder) + b"/bad\xff.fits")
    shutil.copy(night.raws[1], folder)
    done = here("apply", folder, "-o", tmp_path / "out", "--repo", night.root, code=6)
    assert "the name holds characters that are no text" in done.stderr
    assert "damaged" not in done.stderr
    assert len(list((tmp_path / "out").iterdir())) == 1
    gone = here("apply", "gone\udcff", "-o", tmp_path / "out", "--repo", night.root, code=2)
    assert "no such file, and no exposure" in gone.stderr


def test_folders_to_write_to_are_checked(night: Any, here: Any, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for output, said in (
        ("", "--output is an empty text"),
        (tmp_path / "loop", "symbolic link"),
        (night.root / "products" / "mine", "keeps its own files there"),
    ):
        assert said in here("apply", night.first, "-o", output, "--repo", night.root, code=2).stderr, output
    assert "a raw exposure is an empty text" in here("apply", "", "-o", tmp_path, "--repo", night.root, code=2).stderr
    missing = here("apply", "nosuch.fits", "-o", tmp_path, "--repo", night.root, code=2)
    assert "not written: nosuch.fits: nosuch.fits: no such file" in missing.stderr


def test_into_the_folder_of_the_raws_twice(night: Any, here: Any, tmp_path: Path) -> None:
    shutil.copy(night.first, tmp_path / "raw.fits")
    here("apply", tmp_path, "-o", tmp_path, "--repo", night.root)
    before = sorted(tmp_path.iterdir())
    done = here("apply", tmp_path, "-o", tmp_path, "--repo", night.root, code=5)
    assert "1 calibrated images are left out" in done.stderr
    assert "there already, not written" in done.stdout
    assert night.bias[-8:] not in done.stdout, "nothing is claimed of the file that is there"
    assert "--force" in done.stderr
    assert sorted(tmp_path.iterdir()) == before
    assert "to do" in here("apply", tmp_path, "-o", tmp_path, "-n", "--force", "--repo", night.root).stdout
    (calibrated,) = tmp_path.glob("*_calibrated.fits")
    named = here("apply", calibrated, "-o", tmp_path, "--repo", night.root, code=3)
    assert "is a calibrated image, not a raw file" in named.stderr


def test_products_in_electrons_need_gains(tmp_path: Path) -> None:
    path = tmp_path / "dark.fits"
    fits.PrimaryHDU(header=fits.Header({"BUNIT": "electron/s"})).writeto(path)
    need = Need(NeedRecord(type="dark", id="1", digest="2", recipe="3", why=""), path)
    choices = (Choice("dark", (Stage.DARK,), need, ""),)
    _check_units(choices, ApplyRequest())
    with pytest.raises(IncompatibleError, match="dark is in electrons") as refused:
        _check_units(choices, ApplyRequest(without=("gain",)))
    assert "--without dark" in refused.value.hint
