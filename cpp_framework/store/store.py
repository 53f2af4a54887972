"""The repository on disk: an index and the files it names.

====================  =========================================================================
below the root        content
====================  =========================================================================
registry.sqlite3      the index: exposures, flags, products, inputs, verdicts, collections, ledger
registry.json         instead of it, where the index is kept by a PostgreSQL server
products/             published product files and, beside them, the files of their verdicts
instruments/          one YAML file per camera, for the user to edit
flags/, ledger/       one small file per flag, certification or tag, so that an index can be made anew
ingests/              one small file per ingest, for the same reason: which raw files it registered
staging/              files being written; what a crash leaves there is harmless
leases/               locks of what is being worked on; a crash releases them
cache/                measurements; may be deleted at any time
====================  =========================================================================
"""

from __future__ import annotations

from cpp_framework.store.base import FOLDERS
from cpp_framework.store.bundle_store import BundleStore
from cpp_framework.store.exposure_store import ExposureStore
from cpp_framework.store.upkeep import UpkeepStore

__all__ = ["FOLDERS", "Store"]


class Store(BundleStore, ExposureStore, UpkeepStore):
    """A repository, made by `Store.create`, `Store.open` or `Store.in_memory`; threads and processes may share it.

    What is written keeps law 6 of the design: a file is published before a row names it, and all rows of one act are
    one transaction, so that nothing is ever half visible. Every method may raise `StoreError` (lock, full disk,
    permission, damage), with the cause named.
    """
