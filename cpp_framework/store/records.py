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


class Act(StrEnum):
    """What a line of the ledger did."""

    CERTIFY = "certify"
    DECERTIFY = "decertify"
    TAG = "tag"
    UNTAG = "untag"
    REMOVE = "remove"


@dataclass(frozen=True)
class LedgerEntry:
    """One line of the ledger: what was done to a product, by whom, when and why (``note``).

    ``collection`` is the calibration or tagged collection; for a removal the product's run. ``begin`` and ``end`` (TAI
    nanoseconds, half-open; None is open) are the range that was certified or taken away.
    ``verdict`` is the id of the verdict a certification rests on; ``waived`` are the checks it overruled, each with
    its reason. ``made`` is TAI nanoseconds; ``path`` is the line's own file below the repository.

    ``act`` is the id of the command's act, which wrote ``lines`` lines together. ``source`` is the id of the line of
    another repository that this one repeats.
    """

    sequence: int
    id: str
    action: Act
    collection: str
    product: str
    begin: int | None = None
    end: int | None = None
    verdict: str = ""
    waived: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    who: str = ""
    made: int = 0
    path: str = ""
    act: str = ""
    lines: int = 1
    source: str = ""


@dataclass(frozen=True)
class Validity:
    """From when to when a product is the one to use in a collection: ``begin`` ≤ t < ``end`` (TAI ns; None is open)."""

    collection: str
    product: str
    type: str
    instrument: str
    detector: int
    key: Mapping[str, Any]
    begin: int | None
    end: int | None

    def holds(self, at: int) -> bool:
        """Whether an instant (TAI nanoseconds) is in the range."""
        return (self.begin is None or self.begin <= at) and (self.end is None or at < self.end)


def short_of(identifier: str) -> str:
    """Last eight characters of an id: random, while the first ones of an UUIDv7 only tell the minute."""
    return identifier[-8:]
