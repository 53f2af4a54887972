"""Keeping a repository in order: removing products, collecting garbage, comparing files with the index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cpp_framework.errors import ConfigError, StoreError
from cpp_framework.model.identity import new_id
from cpp_framework.store import audit, garbage, removal
from cpp_framework.store.audit import Problem
from cpp_framework.store.files import unpublish
from cpp_framework.store.garbage import Garbage, GarbageReport, Reason
from cpp_framework.store.ledger_store import LedgerStore
from cpp_framework.store.records import Act, LedgerEntry, ProductRecord
from cpp_framework.store.removal import Tombstone
from cpp_framework.store.user import user_name

DAY = 86400.0
"""Seconds."""


class UpkeepStore(LedgerStore):
    """Removal, garbage and audit."""

    def remove(self, wanted: str, because: str, who: str = "") -> ProductRecord:
        """Remove one product. See `remove_all`."""
        return self.remove_all([wanted], because, who)[0]

    def remove_all(self, wanted: Sequence[str], because: str, who: str = "") -> list[ProductRecord]:
        """Remove products with their verdicts and files: all of them vanish together, or none.

        Parameters
        ----------
        wanted : sequence of str
            Products, as `product` takes them.
        because : str
            The reason; kept in the ledger.

        Raises
        ------
        ConflictError
            A product is certified, tagged, or was used to make another one that stays.
        NotFoundError, AmbiguousError
            No product, or several, fit.
        """
        if not because.strip():
            raise ConfigError("removing products needs a reason", hint='--because "wrong temperature"')
        records = list({record.id: record for record in map(self.product, wanted)}.values())
        self.finish_removals()
        with self._publishing():
            with self._acting() as (connection, written):
                removal.refuse_if_wanted(connection, records)
                stones = [removal.bury(connection, record) for record in records]
                for one in records:
                    entry = LedgerEntry(0, new_id(), Act.REMOVE, one.run, one.id, note=because, who=who or user_name())
                    written.append(entry)
            try:
                self._empty_graves(stones, [path for stone in stones for path in stone.files])
            except StoreError as error:
                raise StoreError(
                    f"removed from the index, but not all files are gone: {error}",
                    hint="see to that, and `cpp store gc` finishes the removal",
                ) from error
        return records

    def finish_removals(self) -> None:
        """Take up removals that a crash interrupted; without any, nothing is done and nobody is waited for."""
        if not self._tombstones():
            return
        # Alone, so that no product comes back from a copy between the look and the unlinking.
        with self._publishing(alone=True):
            with self._database.read() as connection:
                stones = removal.tombstones(connection)
                left = removal.leftovers(connection, stones)
            self._empty_graves(stones, left)

    def collect_garbage(self, older: float = DAY, dry_run: bool = False) -> GarbageReport:
        """Remove what crashes left behind; never what a living process writes, or what a row names.

        Parameters
        ----------
        older : float
            Published files no row names, and temporary files of other hosts, go when nobody changed them for this
            long [s]. Temporary files of this host go as soon as their process is gone.
        dry_run : bool
            Whether to report only; no permission to write is needed then.
        """
        with self._database.read() as connection:
            named = garbage.named_files(connection)
            stones = removal.tombstones(connection)
        report = garbage.survey(self.root, named, stones, older)
        if dry_run:
            return report
        by_reason = {reason: [one for one in report.garbage if one.reason is reason] for reason in Reason}
        garbage.delete_files(self.root, by_reason[Reason.STAGED])
        self.finish_removals()
        gone = self._delete_published(by_reason[Reason.UNNAMED], by_reason[Reason.EMPTY])
        return replace(report, garbage=(*by_reason[Reason.STAGED], *by_reason[Reason.REMOVED], *gone))

    def audit(self, threads: int = 4) -> list[Problem]:
        """Compare every file with the index, reading all of them with ``threads`` threads; empty if all is well."""
        return audit.audit(self._database, self.root, threads)

    def _tombstones(self) -> list[Tombstone]:
        with self._database.read() as connection:
            return removal.tombstones(connection)

    def _empty_graves(self, stones: Sequence[Tombstone], files: Sequence[str]) -> None:
        """Remove the files of tombstones, then the tombstones."""
        unpublish(self.root / path for path in files)
        with self._database.write() as connection:
            removal.forget(connection, stones)

    def _delete_published(self, unnamed: Sequence[Garbage], folders: Sequence[Garbage]) -> list[Garbage]:
        """Remove published files that still no row names, and empty folders, while nobody publishes."""
        if not (unnamed or folders):
            return []
        with self._publishing(alone=True):
            with self._database.read() as connection:
                named = garbage.named_files(connection) if unnamed else set()
            still = [one for one in unnamed if one.path not in named]
            garbage.delete_files(self.root, still)
            return still + garbage.delete_folders(self.root, folders)
