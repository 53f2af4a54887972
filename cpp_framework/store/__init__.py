"""Registry and files: what is there, how it was made, and where it is."""

from cpp_framework.store.locate import REGISTRY, find_repository
from cpp_framework.store.records import (
    Collection,
    CollectionKind,
    FlagRecord,
    Ingested,
    IngestOutcome,
    LedgerEntry,
    ProductRecord,
    RawFile,
    StoredExposure,
    Validity,
)
from cpp_framework.store.store import Store

__all__ = [
    "REGISTRY",
    "Collection",
    "CollectionKind",
    "FlagRecord",
    "IngestOutcome",
    "Ingested",
    "LedgerEntry",
    "ProductRecord",
    "RawFile",
    "Store",
    "StoredExposure",
    "Validity",
    "find_repository",
]
