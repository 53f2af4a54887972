"""What an export did, and what it left out and why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Skipped:
    """Something that was not exported, and why."""

    what: str
    reason: str


@dataclass(frozen=True)
class ExportReport:
    """Counts of what is new in the Butler repository; ``already`` counts everything that was there.

    ``raws`` are exposures of one detector, ``tagged`` memberships in tagged collections, ``validities`` ranges
    certified, ``removed`` ranges and memberships that are gone here and were taken away there too.
    """

    instruments: int = 0
    detectors: int = 0
    exposures: int = 0
    raws: int = 0
    products: int = 0
    runs: int = 0
    chains: int = 0
    tagged: int = 0
    validities: int = 0
    removed: int = 0
    already: int = 0
    skipped: tuple[Skipped, ...] = ()
