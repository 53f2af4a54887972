"""Builders of what a store is given."""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cpp_framework.model import (
    AmplifierResult,
    Check,
    Exposure,
    Header,
    ImageProduct,
    InputRecord,
    Level,
    Limit,
    Measured,
    NeedRecord,
    Product,
    TableProduct,
    Verdict,
)
from cpp_framework.model import fits as product_fits
from cpp_framework.model.identity import digest_of, new_id
from cpp_framework.store import RawFile, Store

WRITER = Path(__file__).with_name("writer.py")

MakeExposure = Callable[..., Exposure]
MakeRaw = Callable[..., RawFile]
Put = Callable[..., Any]


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a real PostgreSQL server, started for this session."""
    command = [sys.executable, str(Path(__file__).with_name("postgres_server.py"))]
    with (
        tempfile.TemporaryFile("w+") as talk,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=talk, text=True) as server,
    ):
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        if not url:
            talk.seek(0)
            pytest.fail(f"the PostgreSQL server did not start:\n{talk.read()}")
        yield url
        server.communicate()


class Writer:
    """The process of `writer.py`: it forks a child per task, one at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(WRITER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip

    def start(self, mode: str, root: Path, *arguments: Any) -> int:
        """Give a child its task; return the child's pid."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([mode, str(root), *arguments], default=str) + "\n")
        self._process.stdin.flush()
        return int(self.line())

    def line(self) -> str:
        """What the child says next."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def run(self, mode: str, root: Path, *arguments: Any) -> str:
        """Let a child work until it ends; return its last line."""
        self.start(mode, root, *arguments)
        return self.line()

    def close(self) -> None:
        """End the process, and a child that a failed test has left at work."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()


@pytest.fixture(scope="module")
def writers() -> Iterator[list[Writer]]:
    """Three processes of `writer.py`."""
    processes = [Writer() for _ in range(3)]
    yield processes
    for one in processes:
        one.close()


@pytest.fixture
def writer(writers: list[Writer]) -> Writer:
    return writers[0]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "repo")


@pytest.fixture
def make_exposure() -> MakeExposure:
    def make(number: int = 1, **changes: Any) -> Exposure:
        fields: dict[str, Any] = {
            "instrument": "cam", "detector": 0, "id": f"AT_O_{number:06d}", "number": number, "kind": "bias",
            "exposure_time": 0.0, "dark_time": 0.0, "begin": number * 10**9, "day_obs": 20261122,
        }  # fmt: skip
        return Exposure(**fields | changes)

    return make


@pytest.fixture
def make_raw(tmp_path: Path) -> MakeRaw:
    """Write a real file and return it with its exposures."""

    def make(*exposures: Exposure, name: str = "", content: bytes = b"raw bytes") -> RawFile:
        path = tmp_path / "raw" / (name or f"{exposures[0].id}.fits")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        state = path.stat()
        return RawFile(path, state.st_size, state.st_mtime_ns, exposures)

    return make


@pytest.fixture
def make_header() -> Callable[..., Header]:
    def make(run: str, content: str = "content", **changes: Any) -> Header:
        fields: dict[str, Any] = {
            "id": new_id(), "type": "bias", "revision": 1, "instrument": "cam", "detector": 0, "run": run,
            "key": {"detector": 0}, "digest": digest_of(content), "recipe": digest_of(["recipe", content]),
            "inputs": (
                InputRecord(exposure="e1", number=1, selection="bias", digest="d1", exposure_time=0.1, begin=5),
                InputRecord(exposure="e2", number=2, selection="bias", digest="d2", used=False, reason="too noisy"),
            ),
            "needs": (NeedRecord(type="gain", id="g1", digest="gd", recipe="gr", why="named by --use"),),
            "config": {"sigma": 4.0}, "software": {"numpy": "2.0"},
        }  # fmt: skip
        return Header(**fields | changes)

    return make


@pytest.fixture
def put(make_header: Callable[..., Header]) -> Put:
    """Put a product with some bytes; its detector, run and content may be chosen."""

    def make(store: Store, run: str = "", content: str = "content", **changes: Any) -> Any:
        header = make_header(run or store.new_run("bias"), content, **changes)
        staged = store.staging_file(header.recipe)
        staged.write_bytes(content.encode() * 100)
        return store.put(staged, header)

    return make


CAMERA = """\
name: {name}
detectors:
  - id: 0
    name: ccd0
    size: [8, 6]
    amplifiers:
      - {{name: A, data: "[1:8,1:6]", detector: "[1:8,1:6]"}}
  - id: 1
    name: ccd1
    size: [8, 6]
    amplifiers:
      - {{name: A, data: "[1:8,1:6]", detector: "[1:8,1:6]"}}
header:
  instrument: {{keyword: INSTRUME, expect: {name}}}
  detector: {{keyword: CCD}}
  kind: {{keyword: IMAGETYP}}
  exposure_time: {{keyword: EXPTIME}}
  begin: {{keyword: DATE-OBS, time_scale: utc}}
"""
"""An instrument of two detectors of 8 x 6 pixels."""
DAY = 86_400 * 10**9
"""Nanoseconds."""


@pytest.fixture
def put_real(make_header: Callable[..., Header]) -> Put:
    """Put a product that is a real file: an image of an installed type, or a table of one that is not."""

    def make(store: Store, run: str = "", level: float = 0.0, **changes: Any) -> Any:
        run = run or store.new_run(changes.get("type", "bias"), changes.get("label", ""))
        changes = {"needs": (), "config": {}, **changes}
        header = make_header(run, str(level), **changes)
        image = np.full((6, 8), level, np.float32)
        common: dict[str, Any] = {"unit": "adu", "amplifiers": {"A": AmplifierResult()}}
        product: Product = TableProduct(**common, metrics={"level": Measured(value=level, unit="adu")})
        if header.type == "bias":
            counts = np.ones((6, 8), np.uint16)
            product = ImageProduct(image=image, error=image, mask=np.zeros((6, 8), np.uint32), used=counts, **common)
        product = product.with_header(header)
        assert product.header is not None
        staged = store.staging_file(header.recipe)
        product_fits.write(product, staged)
        return store.put(staged, product.header)

    return make


@pytest.fixture
def put_verdict() -> Put:
    """Put a verdict on a product: PASS, or FAIL because of the check ``B1_level`` (with a check that is not finite)."""

    def make(store: Store, record: Any, good: bool = True, run: str = "") -> Verdict:
        checks = [Check(name="B1_level", level=Level.DETECTOR, value=1.0 if good else 9.0, fail=Limit(high=5.0))]
        checks += [] if good else [Check(name="B2_noise", level=Level.AMPLIFIER, amplifier="A", value=math.nan)]
        verdict = Verdict(
            id=new_id(), product=record.id, digest=record.digest, type=record.type, checks=tuple(checks),
            promised=("B1_level",), created="2026-11-23T00:00:00", run=run,
        )  # fmt: skip
        store.put_verdict(verdict)
        return verdict

    return make


@pytest.fixture
def site(store: Store, put_real: Put, put_verdict: Put) -> Store:
    """A repository with a history.

    Two instruments; biases of two runs and a type that is not installed; several verdicts; certified, superseded,
    waived and decertified; a tag.
    """
    for name in ("cam", "dim"):
        store.add_instrument(CAMERA.format(name=name), name)
    run = store.new_run("bias")
    first = [put_real(store, run, 1.0 + i, detector=i, key={"detector": i, "binning": (1, 1)}) for i in range(2)]
    second = put_real(store, level=3.0, detector=0, key={"detector": 0, "binning": (1, 1)})
    other = put_real(store, level=4.0, instrument="dim", key={"detector": 0, "filter": "r"})
    strange = put_real(store, level=5.0, type="glow", label="night")
    for record in (*first, second, other, strange):
        put_verdict(store, record)
    put_verdict(store, second, good=False)
    store.certify([one.id for one in first], 0, None, note="first light", who="Ada")
    waive = {"B1_level": "seen by eye", "B2_noise": "no noise measured"}
    store.certify([second.id], 1000 * DAY, 2000 * DAY, supersede=True, waive=waive, who="Ada")
    store.decertify([first[0].id], 500 * DAY, 600 * DAY, note="door was open", who="Ben")
    store.certify([other.id], None, None, note="all times", who="Ada")
    store.certify([strange.id], 10 * DAY, 20 * DAY, collection="cam/extra", who="Ada")
    store.tag("best/2026", [first[1].id, strange.id], note="for the paper", who="Ada")
    store.tag("best/2026", [second.id], who="Ada")
    store.untag("best/2026", [second.id], who="Ben")
    return store


class Dying:
    """The process of `dies.py`: work that is killed at its n-th durable step."""

    def __init__(self) -> None:
        command = [sys.executable, str(Path(__file__).with_name("dies.py"))]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, verb: str, step: int, *paths: Path) -> bool:
        """Return whether the work ended before that step."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([verb, step, *map(str, paths)]) + "\n")
        self._process.stdin.flush()
        said = self._process.stdout.readline().strip()
        assert said in ("ended", "killed"), said
        return said == "ended"

    def close(self) -> None:
        self._process.communicate(timeout=30)


@pytest.fixture
def dying() -> Iterator[Dying]:
    process = Dying()
    yield process
    process.close()


NOBODY = 65534


@contextmanager
def limit_file_size(size: int) -> Iterator[None]:
    """Let this process write no file beyond ``size`` bytes: writing fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def file_size_limit() -> Callable[[int], AbstractContextManager[None]]:
    return limit_file_size


@contextmanager
def forbid_writing(root: Path, readable: bool = True) -> Iterator[None]:
    """Take away every permission to write below ``root`` (from root, by becoming nobody), or to read products."""
    paths = [root, *root.rglob("*")]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444 if readable or path.suffix != ".fits" else 0)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        for path in paths:
            path.chmod(0o755 if path.is_dir() else 0o644)


@pytest.fixture
def without_permission() -> Callable[..., AbstractContextManager[None]]:
    return forbid_writing


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder every user may enter; pytest's own is closed to others."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)
