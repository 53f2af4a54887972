"""A bundle: a folder with the products of one collection, which needs nothing else to be brought into a repository.

====================  =============================================================================
below the bundle      content
====================  =============================================================================
manifest.json         what the bundle holds, with the size and SHA-256 of every other file (`Manifest`)
products/             product files and, beside them, the files of their verdicts, as in a repository
instruments/          one YAML file per camera the products are of
====================  =============================================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from cpp_framework.store import ledger
from cpp_framework.store.records import Act, CollectionKind, LedgerEntry, ProductRecord
from cpp_framework.store.schema import BEGINNING, END_OF_TIME

MANIFEST = "manifest.json"
FORMAT = 1
"""Version of the layout of a bundle. A reader refuses a newer one."""

Instant = Annotated[int, Field(gt=BEGINNING, lt=END_OF_TIME)]
"""TAI nanoseconds."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BundledFile(_Part):
    """One file of a bundle: its path below the bundle, its size in bytes, and the SHA-256 of its bytes."""

    file: str
    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class BundledVerdict(BundledFile):
    """The file of a verdict."""

    id: str


class BundledProduct(BundledFile):
    """The file of a product, what it is, and its verdicts, oldest first. ``digest`` is that of its content."""

    id: str
    digest: str
    run: str
    type: str
    instrument: str
    detector: int
    verdicts: tuple[BundledVerdict, ...] = ()


class BundledInstrument(BundledFile):
    """The file of an instrument."""

    name: str


class BundledRange(_Part):
    """A range of validity in force when the bundle was made: ``begin`` ≤ t < ``end``; None is open."""

    product: str
    begin: Instant | None
    end: Instant | None


class Manifest(_Part):
    """What ``manifest.json`` says.

    ``members`` are the runs of a chain, newest first; ``products`` are in the order in which they were stored;
    ``ledger`` holds the lines of the collection about these products, oldest first, waivers among them.
    """

    format: Literal[1] = 1
    id: str
    collection: str
    kind: CollectionKind
    members: tuple[str, ...] = ()
    created: str = Field(description="UTC")
    software: Mapping[str, str] = Field(default_factory=dict)
    products: tuple[BundledProduct, ...]
    validities: tuple[BundledRange, ...] = ()
    ledger: tuple[LedgerEntry, ...] = ()
    instruments: tuple[BundledInstrument, ...] = ()

    def files(self) -> Iterator[BundledFile]:
        """Every file of the bundle but the manifest."""
        yield from self.instruments
        for product in self.products:
            yield product
            yield from product.verdicts


@dataclass(frozen=True)
class BundleReport:
    """What an export wrote, or an import found and did.

    ``products`` are the records with what became of each (``written``, ``added``, ``already there``); ``verdicts`` and
    ``lines`` count the verdicts and the lines of the ledger that were written. ``by_sums`` are types whose
    content could be checked by FITS checksums only, because they are not installed here.
    """

    folder: Path
    collection: str
    kind: CollectionKind
    products: tuple[tuple[ProductRecord, str], ...]
    verdicts: int = 0
    lines: int = 0
    by_sums: tuple[str, ...] = ()


def certifications(one: BundledRange, entries: Sequence[LedgerEntry]) -> list[tuple[BundledRange, LedgerEntry]]:
    """Cut a range in force into the pieces certified by different lines of the ledger: the later line counts.

    Raises
    ------
    ValueError
        No line certified all of the range.
    """
    left = [ledger.closed(one.begin, one.end)]
    pieces = []
    for entry in reversed(entries):
        if entry.action is not Act.CERTIFY or entry.product != one.product:
            continue
        first, last = ledger.closed(entry.begin, entry.end)
        for begin, end in left:
            inside = (max(begin, first), min(end, last))
            if inside[0] < inside[1]:
                pieces.append((_range(one.product, *inside), entry))
        rest = [part for begin, end in left for part in ((begin, min(end, first)), (max(begin, last), end))]
        left = [(begin, end) for begin, end in rest if begin < end]
    if left:
        raise ValueError(
            f"no line of the ledger certifies {one.product} for {ledger.range_text(*ledger.opened(*left[0]))}"
        )
    return sorted(pieces, key=lambda piece: ledger.closed(piece[0].begin, piece[0].end))


def _range(product: str, first: int, last: int) -> BundledRange:
    begin, end = ledger.opened(first, last)
    return BundledRange(product=product, begin=begin, end=end)
