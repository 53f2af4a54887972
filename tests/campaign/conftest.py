"""A tiny camera, a night of its frames in two filters, and a chain of types to run on them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from cpp_framework.api import Repository
from cpp_framework.sim import simulate_night

TYPES = Path(__file__).with_name("types")
PLUGINS = "bias,campaign_types"
DETECTOR = """
  - id: {id}
    name: D{id}
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
  dark_time: DARKTIME
  filter: FILTER
  begin: DATE-OBS
"""
CHAIN = """
format: 1
passes:
  - {type: base, label: bootstrap, without: [gain], verify: no}
  - {type: rate, label: bootstrap, without: [gain], verify: no}
  - {type: response, label: bootstrap, without: [gain], verify: no}
  - type: spots
  - type: base
  - type: rate
  - type: response
"""


class ForkingCpp:
    """The process of `forking_cpp.py`: each command is a process of its own that has everything imported already."""

    def __init__(self, folder: Path) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CPP_") and name != "COLUMNS"}
        more = {"PYTHONPATH": str(TYPES), "CPP_PLUGINS": PLUGINS, "OPENBLAS_NUM_THREADS": "1"}
        script = Path(__file__).with_name("forking_cpp.py")
        self._process = subprocess.Popen(
            [sys.executable, str(script)], env=kept | more, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.out, self.err = folder / "out", folder / "err"

    def start(self, arguments: list[str], folder: Path, environment: dict[str, str]) -> int:
        """Begin a command and return its process id."""
        assert self._process.stdin is not None
        files = {"out": str(self.out), "err": str(self.err)}
        wanted = {"arguments": arguments, "folder": str(folder), "environment": environment, **files}
        self.err.unlink(missing_ok=True)
        self._process.stdin.write(json.dumps(wanted) + "\n")
        self._process.stdin.flush()
        return self._read()

    def wait(self) -> int:
        """Exit status of the command that was begun; negative if it was killed."""
        return self._read()

    def close(self) -> None:
        self._process.communicate(timeout=60)

    def _read(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())


@dataclass
class Done:
    """A command that has ended."""

    stdout: str
    stderr: str


@dataclass
class World:
    """A repository in a folder of its own with a campaign, and the program to run there."""

    root: Path
    cpp: ForkingCpp
    campaign: Path = field(init=False)
    trace: Path = field(init=False)

    def __post_init__(self) -> None:
        self.campaign, self.trace = self.root / "chain.yaml", self.root / "trace"
        self.campaign.write_text(CHAIN)

    def write(self, text: str) -> None:
        """Another campaign."""
        self.campaign.write_text(text)

    def run(self, *arguments: object, code: int = 0, **more: str) -> dict[str, Any]:
        """``cpp run`` on the campaign; what it printed as JSON."""
        done = self.call("run", self.campaign, "--json", "--jobs", 1, *arguments, code=code, **more)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def call(self, *arguments: object, code: int = 0, **more: str) -> Done:
        """Any command in the repository."""
        self.start(*arguments, **more)
        status = self.cpp.wait()
        done = Done(self.cpp.out.read_text(), self.cpp.err.read_text())
        assert status == code, f"{arguments}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def start(self, *arguments: object, **more: str) -> int:
        """Begin any command, which leads a process group of its own, and return its process id."""
        return self.cpp.start([str(one) for one in arguments], self.root, {"CHAIN_TRACE": str(self.trace)} | more)

    def traced(self) -> list[str]:
        """Calls of the types' functions so far."""
        return self.trace.read_text().splitlines() if self.trace.exists() else []

    def repository(self) -> Repository:
        """The repository, to look into."""
        return Repository.open(self.root)

    def digests(self) -> dict[tuple[Any, ...], str]:
        """Content digest of every product by type, label, detector and key; there must be one each."""
        records = self.repository().products()
        found = {(one.type, one.label, one.detector, str(one.key.get("filter"))): one.digest for one in records}
        assert len(found) == len(records), "a product was made twice"
        return found


@pytest.fixture(scope="session")
def make_night(tmp_path_factory) -> Callable[[int], Path]:
    """Make a folder with ``tinycam.yaml`` and ``raw``: per detector 3 biases, 2 darks, 2 flats in two filters."""

    @cache
    def make(detectors: int) -> Path:
        folder: Path = tmp_path_factory.mktemp("night")
        text = CAMERA.format(detectors="".join(DETECTOR.format(id=i) for i in range(detectors)))
        (folder / "tinycam.yaml").write_text(text)
        simulate_night(folder / "raw", folder / "tinycam.yaml", biases=3, darks=2, flats=2, filters=("r", "g"))
        return folder

    return make


@pytest.fixture(scope="session")
def forking_cpp(tmp_path_factory) -> Iterator[ForkingCpp]:
    runner = ForkingCpp(tmp_path_factory.mktemp("streams"))
    yield runner
    runner.close()


@pytest.fixture
def make_world(make_night: Callable[[int], Path], tmp_path: Path, forking_cpp: ForkingCpp) -> Callable[..., World]:
    """Make worlds with the frames of a night."""

    def make(name: str = "repo", detectors: int = 1) -> World:
        night = make_night(detectors)
        repository = Repository.create(tmp_path / name)
        repository.add_instrument(str(night / "tinycam.yaml"))
        repository.ingest([night / "raw"])
        return World(tmp_path / name, forking_cpp)

    return make


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """A world of its own."""
    return make_world()
