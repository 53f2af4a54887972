"""Builders of what a store is given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cpp_framework.model import Exposure, Header, InputRecord, NeedRecord
from cpp_framework.model.identity import digest_of, new_id
from cpp_framework.store import RawFile, Store

MakeExposure = Callable[..., Exposure]
MakeRaw = Callable[..., RawFile]
Put = Callable[..., Any]


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
