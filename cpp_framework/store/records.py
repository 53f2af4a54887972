"""What the store hands out and takes in: plain immutable values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from cpp_framework.model.exposure import Exposure


@dataclass(frozen=True)
class RawFile:
    """A raw file whose headers have been read: where it is, what identifies its bytes, and its exposures."""

    path: Path
    size: int
    mtime_ns: int
    exposures: tuple[Exposure, ...]


class IngestOutcome(StrEnum):
    """What became of one exposure of one detector at ingest."""

    ADDED = "added"
    ALREADY = "already there"
    UPDATED = "updated"
    MOVED = "moved"
    CONFLICT = "conflict"


@dataclass(frozen=True)
class Ingested:
    """One exposure of one detector that was offered to the registry, and what became of it and why."""

    exposure: Exposure
    outcome: IngestOutcome
    reason: str = ""


@dataclass(frozen=True)
class StoredExposure:
    """An exposure of one detector with its latest flag.

    ``ingested`` identifies the ingest that brought it; ``size`` (bytes) and ``mtime_ns`` are those its file had then.

    ``problem`` says why its file cannot be used; the planner looks.
    """

    exposure: Exposure
    bad: bool = False
    because: str = ""
    ingested: str = ""
    size: int = 0
    mtime_ns: int = 0
    problem: str = ""

    @property
    def id(self) -> str:
        """The exposure's name."""
        return self.exposure.id


@dataclass(frozen=True)
class FlagRecord:
    """One line of the ledger of flags: who said what about an exposure, when (TAI nanoseconds) and why."""

    id: str
    instrument: str
    exposure: str
    bad: bool
    because: str
    who: str
    made: int


class CollectionKind(StrEnum):
    """Kinds of collections, with Butler's meaning."""

    RUN = "RUN"
    CHAINED = "CHAINED"
    TAGGED = "TAGGED"
    CALIBRATION = "CALIBRATION"


@dataclass(frozen=True)
class Collection:
    """A collection. ``members`` of a chain are its runs, newest first; ``n_products`` counts through them."""

    name: str
    kind: CollectionKind
    members: tuple[str, ...] = ()
    n_products: int = 0


@dataclass(frozen=True)
class ProductRecord:
    """One stored product: identity, what it is of, and its file (relative to the repository).

    ``short`` is the handle people see and type: the last eight characters of the id, also in the file's name.
    ``key`` holds JSON values (lists, not tuples). ``begin``, ``end`` and ``stored`` are TAI nanoseconds.
    """

    id: str
    digest: str
    recipe: str
    type: str
    label: str
    revision: int
    instrument: str
    detector: int
    detector_name: str
    run: str
    path: str
    size: int
    sha256: str
    stored: int
    begin: int | None = None
    end: int | None = None
    key: Mapping[str, Any] = field(default_factory=dict)

    @property
    def short(self) -> str:
        """Short handle: the last eight characters of the id."""
        return short_of(self.id)


def short_of(identifier: str) -> str:
    """Last eight characters of an id: random, while the first ones of an UUIDv7 only tell the minute."""
    return identifier[-8:]
