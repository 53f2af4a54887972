"""What the conformance suite gives to a store: small products, verdicts and raw files, made without any camera."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cpp_framework.model import Check, Exposure, Header, InputRecord, Level, Limit, NeedRecord, Outcome, Verdict
from cpp_framework.model.identity import digest_of, new_id
from cpp_framework.store import ProductRecord, RawFile, Store

SECOND = 1_000_000_000
"""Nanoseconds, the unit of the store's instants."""
NIGHT = 86_400 * SECOND


def build_header(run: str, content: str = "content", **changes: Any) -> Header:
    """Header of a bias of camera ``cam``, detector 0, made from exposure ``e1`` and not from ``e2``."""
    fields: dict[str, Any] = {
        "id": new_id(), "type": "bias", "revision": 1, "instrument": "cam", "detector": 0, "run": run,
        "digest": digest_of(content), "recipe": digest_of(["recipe", content]), "key": {"detector": 0},
        "inputs": (
            InputRecord(exposure="e1", number=1, selection="bias", digest="d1", exposure_time=0.1, begin=5),
            InputRecord(exposure="e2", number=2, selection="bias", digest="d2", used=False, reason="too noisy"),
        ),
        "needs": (NeedRecord(type="gain", id="g1", digest="gd", recipe="gr", why="named by --use"),),
        "config": {"sigma": 4.0}, "software": {"numpy": "2.0"},
    }  # fmt: skip
    return Header(**fields | changes)


def stage(store: Store, header: Header, content: str = "content") -> tuple[Path, Header]:
    """Write the file of a product to the staging folder: what `Store.put` takes."""
    path = store.staging_file(header.recipe)
    path.write_bytes(content.encode() * 100)
    return path, header


def put_product(store: Store, run: str = "", content: str = "", **changes: Any) -> ProductRecord:
    """Put a product into a run (a new one by default); its content is its own unless it is given."""
    content = content or new_id()
    header = build_header(run or store.new_run(changes.get("type", "bias")), content, **changes)
    return store.put(*stage(store, header, content))


def build_verdict(record: ProductRecord, outcome: Outcome = Outcome.PASS) -> Verdict:
    """A verdict with this outcome: check ``level`` passes, warns or fails, or check ``noise`` was promised only."""
    values = {Outcome.PASS: 1.0, Outcome.WARN: 3.0, Outcome.FAIL: 5.0, Outcome.INCOMPLETE: 1.0}
    limits = {"warn": Limit(low=0.0, high=2.0), "fail": Limit(low=0.0, high=4.0)}
    check = Check(name="level", level=Level.DETECTOR, value=values[outcome], unit="adu", detector=0, **limits)
    promised = ("level", "noise") if outcome is Outcome.INCOMPLETE else ("level",)
    return Verdict(
        id=new_id(), product=record.id, digest=record.digest, type=record.type, checks=(check,), promised=promised
    )


def put_verified(store: Store, outcome: Outcome = Outcome.PASS, **changes: Any) -> ProductRecord:
    """Put a product that has a verdict."""
    record = put_product(store, **changes)
    store.put_verdict(build_verdict(record, outcome))
    return record


def build_exposure(number: int = 1, **changes: Any) -> Exposure:
    """Exposure ``AT_O_000001`` (say) of camera ``cam``, detector 0."""
    fields: dict[str, Any] = {
        "instrument": "cam", "detector": 0, "id": f"AT_O_{number:06d}", "number": number, "kind": "bias",
        "exposure_time": 0.0, "dark_time": 0.0, "begin": number * SECOND, "day_obs": 20261122,
    }  # fmt: skip
    return Exposure(**fields | changes)


def write_raw(folder: Path, *exposures: Exposure, name: str = "", content: bytes = b"raw bytes") -> RawFile:
    """Write a file that stands for a raw one, and return it with its exposures as headers would have told them."""
    path = folder / (name or f"{exposures[0].id}.fits")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    state = path.stat()
    return RawFile(path, state.st_size, state.st_mtime_ns, exposures)
