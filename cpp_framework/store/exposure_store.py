"""What a store knows of cameras and their exposures: instruments, raw files, flags, digests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from cpp_framework.model.identity import new_id
from cpp_framework.store import digests, exposures, ingests, instruments, schema
from cpp_framework.store.base import StoreBase
from cpp_framework.store.clock import now_tai_ns
from cpp_framework.store.exposures import IngestPlan
from cpp_framework.store.files import publish_text
from cpp_framework.store.records import FlagRecord, Ingested, RawFile, StoredExposure
from cpp_framework.store.user import user_name


class ExposureStore(StoreBase):
    """Instruments, exposures, their flags, and the digests of their files."""

    def add_instrument(self, text: str, name: str) -> Path:
        """Keep an instrument's YAML text as a file the user may edit; return its path.

        Raises
        ------
        ConflictError
            There is another text under this name.
        """
        path = instruments.write_file(self.root, name, text)
        with self._database.write() as connection:
            instruments.register(connection, name, path.name)
        return path

    def instruments(self) -> list[str]:
        """Names of the instruments of this repository."""
        with self._database.read() as connection:
            return instruments.names(connection)

    def instrument_path(self, name: str) -> Path:
        """The YAML file of an instrument.

        Raises
        ------
        NotFoundError
            The repository has no such instrument, or its file is gone.
        """
        with self._database.read() as connection:
            return instruments.find_file(connection, self.root, name)

    def instrument_text(self, name: str) -> str:
        """The YAML text of an instrument, as it is on disk now. Raises as `instrument_path`."""
        return self.instrument_path(name).read_text(encoding="utf-8")

    def ingest(self, files: Sequence[RawFile], *, again: str = "") -> list[Ingested]:
        """Register the exposures of raw files in one transaction; doing it again changes nothing.

        Parameters
        ----------
        files : sequence of RawFile
            What to register.
        again : str
            Id of the earlier ingest that is repeated for an index made anew; its note is there.

        Returns
        -------
        list of Ingested
            One per exposure and detector, in the order given; conflicts are among them, with the reason.
        """
        ingest_id = again or new_id()
        same_bytes: dict[tuple[str, str], bool] = {}
        while True:
            with self._publishing(), self._database.write() as connection:
                plan = exposures.plan_ingest(connection, files, same_bytes, ingest_id)
                if not plan.doubtful:
                    if not again:
                        self._note(plan, files, ingest_id)
                    exposures.apply_ingest(connection, plan)
                    return plan.outcomes
            # Reading whole files takes long, so it is done without the lock, and then the comparison again with it.
            for pair in plan.doubtful:
                same_bytes[pair] = self._same_bytes(*pair)

    def exposures(
        self,
        instrument: str = "",
        *,
        kind: str | None = None,
        detector: int | None = None,
        day_obs: int | None = None,
        id: str | None = None,
        ingest: str | None = None,
    ) -> list[StoredExposure]:
        """Exposures with their flags, in order of time, then number, then detector."""
        with self._database.read() as connection:
            return exposures.find(
                connection, instrument, kind=kind, detector=detector, day_obs=day_obs, id=id, ingest=ingest
            )

    def exposure(self, text: str, instrument: str = "") -> list[StoredExposure]:
        """The one exposure meant by an id, number, file (path or name) or beginning of an id: one entry per detector.

        Raises
        ------
        NotFoundError, AmbiguousError
            No exposure, or several, fit.
        """
        with self._database.read() as connection:
            return exposures.find_one(connection, text, instrument)

    def flag(self, exposure_id: str, bad: bool, because: str, instrument: str = "", who: str = "") -> FlagRecord:
        """Flag an exposure (all its detectors) as bad or good; the ledger only grows, and the latest line counts.

        Raises
        ------
        NotFoundError, AmbiguousError
            No exposure, or several, fit.
        """
        one = self.exposure(exposure_id, instrument)[0].exposure
        record = FlagRecord(new_id(), one.instrument, one.id, bad, because, who or user_name(), now_tai_ns())
        text = json.dumps(asdict(record), indent=1) + "\n"
        with self._publishing():
            path = self.root / exposures.flag_path(record)
            publish_text(text, path, self.root / "staging")
            with self._withdrawing([path]) as commit_begins, self._database.write() as connection:
                connection.execute(schema.exposure_flag.insert(), asdict(record) | {"bad": int(bad)})
                commit_begins()
        return record

    def flags(self, exposure_id: str, instrument: str = "") -> list[FlagRecord]:
        """Every flag an exposure ever got, newest first. Raises as `exposure`."""
        one = self.exposure(exposure_id, instrument)[0].exposure
        with self._database.read() as connection:
            return exposures.flags(connection, one.instrument, one.id)

    def raw_digests(self, paths: Sequence[Path | str], threads: int = 1) -> dict[str, str]:
        """SHA-256 of raw files by path, read with ``threads`` threads where it is not known yet.

        Raises
        ------
        RawFileError
            A file cannot be read, or changed while it was read.
        """
        states = [digests.state_of(Path(path)) for path in dict.fromkeys(map(str, paths))]
        with self._database.read() as connection:
            found = digests.remembered(connection, states)
        new = [state for state in states if state.path not in found]
        computed = digests.compute(new, threads)
        if computed and self._database.writable:
            with self._database.write() as connection:
                digests.remember(connection, new, computed)
        return found | computed

    def raw_digest(self, path: Path | str) -> str:
        """SHA-256 of one raw file. Raises as `raw_digests`."""
        return self.raw_digests([path])[str(path)]

    def _note(self, plan: IngestPlan, files: Sequence[RawFile], ingest_id: str) -> None:
        """Write which files are about to be registered."""
        registered = {row["path"] for row in plan.rows.values()}
        note = ingests.note_of(ingest_id, (file for file in files if str(file.path) in registered))
        if note.paths:
            ingests.publish_note(self.root, note)

    def _same_bytes(self, stored: str, offered: str) -> bool:
        if not Path(stored).exists():
            return False
        found = self.raw_digests([stored, offered])
        return found[stored] == found[offered]
