"""Small nights of cameras with many tiny detectors, and the calibration types of `types` made visible."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cpp_framework.api import Repository
from cpp_framework.sim import simulate_night

TYPES = Path(__file__).with_name("types")
DETECTOR = """
  - id: {id}
    name: D{id:03d}
    serial: TINY-{id}
    size: [32, 24]
    frame: [48, 24]
    amplifiers:
      - name: A
        hdu: 0
        data: '[1:32,1:24]'
        detector: '[1:32,1:24]'
        serial_overscan: '[33:48,1:24]'
        readout: LL
        gain: 1.5
        read_noise: 5.0
        adc_maximum: 65535
        full_well: 55000
"""
CAMERA = """format: 1
name: tinycam
description: a camera of many tiny detectors
overscan:
  serial: {{method: median_per_line, skip_leading: 1, skip_trailing: 0}}
detectors:{detectors}
header:
  instrument: {{keyword: INSTRUME, expect: tinycam}}
  detector: DETNUM
  id: OBSID
  number: SEQNUM
  kind: {{keyword: IMAGETYP, map: {{BIAS: bias, DARK: dark, FLAT: flat}}, default: other}}
  exposure_time: EXPTIME
  begin: DATE-OBS
"""

MakeNight = Callable[..., Path]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="session")
def make_night() -> MakeNight:
    """Simulate bias frames of a tiny camera into a folder, and return a repository they are ingested in."""

    def make(folder: Path, detectors: int, biases: int = 2) -> Path:
        text = CAMERA.format(detectors="".join(DETECTOR.format(id=i) for i in range(detectors)))
        folder.mkdir(exist_ok=True)
        (folder / "tinycam.yaml").write_text(text)
        simulate_night(folder / "raw", folder / "tinycam.yaml", biases=biases)
        return ingest(folder, folder / "repo")

    return make


@pytest.fixture(scope="session")
def make_repository() -> Callable[[Path, Path], Path]:
    """Make a further repository of a night made by `make_night`."""
    return ingest


def ingest(night: Path, root: Path) -> Path:
    """A repository in ``root`` with the raw files of a night."""
    repository = Repository.create(root)
    repository.add_instrument(str(night / "tinycam.yaml"))
    repository.ingest([night / "raw"])
    return root


@pytest.fixture(scope="session")
def env() -> dict[str, str]:
    """An environment in which the types of this folder are installed."""
    return {"PYTHONPATH": str(TYPES)}


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Where the functions of the types leave a file ``SOLVE-3`` when they begin."""
    folder = tmp_path / "trace"
    folder.mkdir()
    return folder


@pytest.fixture
def begun(trace: Path) -> Callable[..., None]:
    """Wait until ``n`` detectors have begun to be measured or solved."""

    def wait_until(what: str, n: int = 1) -> None:
        until = time.monotonic() + 60
        while len(list(trace.glob(f"{what}-*"))) < n:
            assert time.monotonic() < until, f"{what} never began"
            time.sleep(0.01)

    return wait_until


@pytest.fixture
def start(env: dict[str, str], trace: Path) -> Iterator[Start]:
    """Start `cpp produce` in a process group of its own, as a terminal does; whatever is left at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def begin(repo: Path, *arguments: object, **more: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "cpp_framework.cli.main", "produce", *map(str, arguments)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CPP_")}
        environment |= env | {"RUN_TYPES_TRACE": str(trace)} | {name: str(value) for name, value in more.items()}
        process = subprocess.Popen(
            command,
            cwd=repo,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=30)


@pytest.fixture(scope="session")
def contents() -> Callable[[Path], dict[int, str]]:
    """Content digest of each detector's product; there must be one each."""

    def look(repo: Path, type_name: str = "mean") -> dict[int, str]:
        records = Repository.open(repo).products(type=type_name)
        found = {record.detector: record.digest for record in records}
        assert len(found) == len(records), "a product was made twice"
        return found

    return look


@pytest.fixture(scope="session")
def leftovers() -> Callable[[Path], list[Path]]:
    """What a run should not leave: staged files, leases, folders of corrected frames."""

    def look(repo: Path) -> list[Path]:
        folders = ("staging", "scratch")
        found = [path for folder in folders for path in (repo / folder).glob("*")]
        return found + list((repo / "leases").glob("*.lease")) + list((repo / "cache").rglob("*.part"))

    return look
