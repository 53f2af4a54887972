"""`cpp doctor`: every check is made to find something real."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from cpp_framework.cli.main import main
from cpp_framework.doctor import State, examine, machine, repository
from cpp_framework.doctor.finding import Answer, run_check
from cpp_framework.errors import NotFoundError
from cpp_framework.model import AmplifierResult, Check, Header, ImageProduct, Level, Verdict
from cpp_framework.model import fits as product_fits
from cpp_framework.model.identity import digest_of, new_id
from cpp_framework.store import REGISTRY, Store

EXAMPLES = Path(__file__).parents[1] / "store" / "examples"
CAMERA = """\
name: cam
detectors:
  - id: 0
    name: ccd
    size: [8, 6]
    amplifiers:
      - {name: A, data: "[1:8,1:6]", detector: "[1:8,1:6]"}
header:
  instrument: {keyword: INSTRUME, expect: cam}
  kind: {keyword: IMAGETYP}
  exposure_time: {keyword: EXPTIME}
  begin: {keyword: DATE-OBS, time_scale: utc}
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.delenv("CPP_REPO", raising=False)
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return call


@pytest.fixture
def root(tmp_path: Path, run: Run) -> Path:
    """A repository with a camera, two exposures (one flagged), and a product that is verified, certified and tagged."""
    (tmp_path / "cam.yaml").write_text(CAMERA)
    (tmp_path / "raw").mkdir()
    for i in range(2):
        hdu = fits.PrimaryHDU(np.full((6, 8), i, np.uint16))
        hdu.header.update({"INSTRUME": "cam", "IMAGETYP": "bias", "EXPTIME": 0.0, "DATE-OBS": f"2026-11-22T20:00:0{i}"})
        hdu.writeto(tmp_path / "raw" / f"b{i}.fits")
    assert run("init", "repo", "--instrument", "cam.yaml")[0] == 0
    assert run("ingest", "raw", "--repo", "repo")[0] == 0
    assert run("flag", "b1", "--bad", "--because", "cloud", "--repo", "repo")[0] == 0
    put_product(Store.open(tmp_path / "repo"))
    return tmp_path / "repo"


def put_product(store: Store) -> None:
    plane = np.zeros((6, 8), np.float32)
    counts = np.ones((6, 8), np.uint16)
    product = ImageProduct(
        image=plane, error=plane, mask=np.zeros((6, 8), np.uint32), used=counts, unit="adu",
        amplifiers={"A": AmplifierResult()},
    ).with_header(
        Header(
            id=new_id(), type="bias", revision=1, instrument="cam", detector=0, run=store.new_run("bias"),
            key={"detector": 0}, recipe=digest_of("recipe"),
        )
    )  # fmt: skip
    assert product.header is not None
    staged = store.staging_file(product.header.recipe)
    product_fits.write(product, staged)
    record = store.put(staged, product.header)
    check = Check(name="B1", level=Level.DETECTOR, value=1.0)
    store.put_verdict(Verdict(id=new_id(), product=record.id, digest=record.digest, type=record.type, checks=(check,)))
    store.certify([record.id], None, None)
    store.tag("best", [record.id])


def asked(check: Callable[..., Answer], *arguments: Any) -> tuple[State, str]:
    """State of a check, and all it says; whatever is not well has a hint."""
    finding = run_check("check", lambda: check(*arguments))
    assert bool(finding.hint) == (finding.state is not State.OK), finding
    return finding.state, f"{finding.found} | {finding.hint}"


def findings(repo: Path | None = None) -> dict[str, State]:
    return {one.check: one.state for one in examine(repo)}


# The whole of it.


def test_a_sound_repository_fails_nowhere(root: Path, run: Run) -> None:
    code, out, _ = run("doctor", "--repo", root, "--json")
    checks = {one["check"]: one for one in json.loads(out)["checks"]}
    assert code == 0
    assert {one["state"] for one in checks.values()} <= {"ok", "warn"}
    for name in ("repository", "locks", "format of the index", "index", "product files", "other files", "instruments"):
        assert checks[name]["state"] == "ok", checks[name]
    for name in ("orphans", "raw files", "plugins", "versions", "worker processes", "clock", "clock of the index"):
        assert checks[name]["state"] == "ok", checks[name]
    assert "1 product files" in checks["product files"]["found"]
    assert "5 files" in checks["other files"]["found"]  # a verdict, flag, certification, tag and ingest
    assert "2 raw files" in checks["raw files"]["found"]


def test_what_fails_is_in_the_table_and_in_the_exit_code(root: Path, run: Run) -> None:
    next(root.rglob("*.fits")).unlink()
    code, out, err = run("doctor", "--repo", root)
    assert code == 4
    assert "1 of 1 product files are gone or have another size" in out
    assert "no repository here" not in err


def test_without_a_repository_only_the_environment_is_looked_at(run: Run) -> None:
    code, out, err = run("doctor")
    assert code == 0
    assert "command cpp" in out
    assert "locks" not in out
    assert "no repository here" in err


def test_a_repository_that_is_named_and_is_none_fails(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("doctor", "--repo", tmp_path / "nothing", "--json")
    assert code == 4
    assert [one["check"] for one in json.loads(out)["checks"] if one["state"] == "fail"] == ["repository"]


@pytest.mark.parametrize("damage", ["text", "newer", "older", "empty", "folder", "a row", "gone"])
def test_it_works_whatever_the_index_is(root: Path, damage: str) -> None:
    index = root / REGISTRY
    fails = {"format of the index"}
    if damage == "text":
        index.write_text("no database " * 1000)
    elif damage in ("newer", "older"):
        with sqlite3.connect(index) as connection:
            connection.execute("UPDATE schema_version SET version = ?", (99 if damage == "newer" else 0,))
        connection.close()
    elif damage == "empty":
        index.write_bytes(b"")
    elif damage == "a row":
        with sqlite3.connect(index) as connection:
            connection.execute("UPDATE product SET key = '{', provenance = '{'")
        connection.close()
        fails = {"product files", "certified products"}
    else:
        index.unlink()
        fails |= {"repository"}
    if damage == "folder":
        index.mkdir()
    found = findings(root)
    assert {name for name, state in found.items() if state is State.FAIL} == fails


def test_it_works_without_home_and_almost_no_environment(root: Path) -> None:
    environment = {"PATH": "", "NUMBA_CACHE_DIR": str(root.parent / "numba")}
    command = [sys.executable, "-m", "cpp_framework.cli.main", "doctor", "--repo", str(root), "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    checks = {one["check"]: one for one in json.loads(done.stdout)["checks"]}
    assert checks["command cpp"]["found"] == "no cpp on the PATH"


# The repository.


def test_a_clock_that_is_behind(root: Path) -> None:
    future = time.time() + 7200
    os.utime(root / REGISTRY, (future, future))
    state, said = asked(machine.check_clock, [root / REGISTRY, root / "products"])
    assert state is State.FAIL
    assert str(root / REGISTRY) in said
    assert findings(root)["clock of the index"] is State.FAIL


def test_no_place_for_locks(root: Path) -> None:
    assert asked(machine.check_locks, root)[0] is State.OK
    assert list((root / "staging").iterdir()) == []
    shutil.rmtree(root / "staging")
    assert asked(machine.check_locks, root)[0] is State.FAIL


def test_where_a_repository_is_looked_for(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root / "products")
    assert repository.find_root(None) == root
    (root / REGISTRY).unlink()
    assert repository.find_root(None) == root
    monkeypatch.chdir(tmp_path)
    assert repository.find_root(None) is None
    monkeypatch.setenv("CPP_REPO", str(root))
    assert repository.find_root(None) == root
    with pytest.raises(NotFoundError, match="is no repository"):
        repository.find_root(tmp_path)


def test_a_folder_of_the_repository_is_gone(root: Path) -> None:
    shutil.rmtree(root / "flags")
    state, said = asked(repository.check_folders, root)
    assert state is State.FAIL
    assert "no folder flags" in said


def test_the_index_is_gone(root: Path) -> None:
    (root / REGISTRY).unlink()
    state, said = asked(repository.check_folders, root)
    assert state is State.FAIL
    assert "cpp doctor --rebuild" in said


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder other users may enter, which pytest's own is not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_repository_to_read_only(root: Path, open_folder: Path) -> None:
    moved = Path(shutil.copytree(root, open_folder / "repo"))
    (moved / "staging").chmod(0o555)
    was_root = os.geteuid() == 0
    if was_root:
        os.seteuid(65534)
    try:
        state, said = asked(repository.check_folders, moved)
    finally:
        if was_root:
            os.seteuid(0)
        (moved / "staging").chmod(0o755)
    assert state is State.WARN
    assert "can be read only" in said


def test_formats_of_other_versions(root: Path, tmp_path: Path) -> None:
    with tarfile.open(EXAMPLES / "format1.tar.gz") as archive:
        archive.extractall(tmp_path / "old", filter="data")
    old = next((tmp_path / "old").rglob(REGISTRY)).parent
    state, said = asked(repository.check_format, old)
    assert state is State.FAIL
    assert "cpp store upgrade" in said
    with sqlite3.connect(root / REGISTRY) as connection:
        connection.execute("UPDATE schema_version SET version = 99, software = '7.0'")
    connection.close()
    state, said = asked(repository.check_format, root)
    assert state is State.FAIL
    assert "upgrade cpp-framework" in said


def test_an_index_that_contradicts_itself(root: Path) -> None:
    with sqlite3.connect(root / REGISTRY) as connection:
        connection.execute("DELETE FROM product")
    connection.close()
    state, said = asked(repository.check_index, root)
    assert state is State.FAIL
    assert "names a product that is not there" in said
    assert "--rebuild" in said


def test_a_product_that_is_cut(root: Path) -> None:
    (path,) = root.rglob("*.fits")
    path.write_bytes(path.read_bytes()[:-1])
    state, said = asked(repository.check_products, root)
    assert state is State.FAIL
    assert path.name in said


@pytest.mark.parametrize("folder", ["products", "flags", "ledger", "ingests"])
def test_a_small_file_is_gone(root: Path, folder: str) -> None:
    path = next((root / folder).rglob("*.json"))
    path.unlink()
    state, said = asked(repository.check_records, root)
    assert state is State.FAIL
    assert path.name in said


def test_an_instrument_that_is_gone_or_wrong(root: Path) -> None:
    (root / "instruments" / "cam.yaml").write_text("name: cam\ndetectors: 5\n")
    state, said = asked(repository.check_instruments, root)
    assert state is State.FAIL
    assert "detectors" in said
    (root / "instruments" / "cam.yaml").unlink()
    assert asked(repository.check_instruments, root)[0] is State.FAIL


def test_orphans(root: Path) -> None:
    (root / "ledger" / "note.txt").write_text("mine")
    state, said = asked(repository.check_orphans, root)
    assert state is State.WARN
    assert "ledger/note.txt" in said
    stray = root / "flags" / "cam_b7_01234567.json"
    stray.write_text("{}")
    os.utime(stray, (0, 0))
    before = sorted(root.rglob("*"))
    state, said = asked(repository.check_orphans, root)
    assert state is State.WARN
    assert stray.name in said
    assert sorted(root.rglob("*")) == before
    (path,) = root.rglob("*.fits")
    again = path.with_name("bias_cam_det000_89abcdef.fits")
    shutil.copy(path, again)
    again.with_name(f"{again.stem}.verdict_01234567.json").write_text("{}")
    state, said = asked(repository.check_orphans, root)
    assert state is State.FAIL
    assert again.name in said
    assert "--rebuild" in said


def test_a_temporary_file_of_a_dead_process(root: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from cpp_framework.store.files import temporary_path\n"
        "temporary_path(Path(sys.argv[1]), 'x').write_text('half')"
    )
    subprocess.run([sys.executable, "-c", code, str(root / "staging")], check=True)
    state, said = asked(repository.check_orphans, root)
    assert state is State.WARN
    assert "1 leftovers of 4 bytes: staging/x." in said
    assert "cpp store gc" in said


def test_raw_files_that_are_gone_or_changed(root: Path) -> None:
    raw = root.parent / "raw"
    (raw / "b0.fits").unlink()
    os.utime(raw / "b1.fits", (1, 1))
    state, said = asked(repository.check_raw_files, root)
    assert state is State.WARN
    assert "of 2 raw files 1 are gone and 1 have changed" in said


# The index made anew.


def test_rebuild_as_typed(root: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root / "products")
    (root / REGISTRY).write_text("scribble")
    code, _, err = run("find")
    assert code == 1
    assert "cpp doctor --rebuild" in err
    code, out, err = run("doctor", "--rebuild")
    assert code == 0
    assert "ledger lines" in out
    assert f"the old index is now {root / REGISTRY}.before-" in err
    assert "not told by any file" in err
    assert json.loads(run("find", "--json")[1])["exposures"][1]["because"] == "cloud"
    assert run("doctor", "--json")[0] == 0


def test_rebuild_tells_what_did_not_go_in(root: Path, run: Run) -> None:
    (root.parent / "raw" / "b0.fits").unlink()
    code, out, _ = run("doctor", "--rebuild", "--repo", root, "--json")
    assert code == 6
    document = json.loads(out)
    assert [one["file"] for one in document["left_out"]] == [str(root.parent / "raw" / "b0.fits")]
    assert document["counts"]["exposures"] == 1
    assert "b0.fits" in run("doctor", "--rebuild", "--repo", root)[1]


def test_rebuild_where_there_is_nothing(run: Run) -> None:
    code, _, err = run("doctor", "--rebuild")
    assert code == 2
    assert "there is no repository here" in err
