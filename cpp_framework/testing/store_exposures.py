"""Promises of a store about exposures: ingest that can be repeated, flags, exact numbers and exact names."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from cpp_framework.errors import AmbiguousError, ConflictError, NotFoundError, StoreError
from cpp_framework.store import IngestOutcome, Store, schema
from cpp_framework.testing.store_base import StoreSuiteBase, require_same
from cpp_framework.testing.store_builders import build_exposure, write_raw


class ExposureRules(StoreSuiteBase):
    """Ingest, look-up, flags, digests, instruments."""

    def test_ingest_can_be_repeated(self, store: Store, tmp_path: Path) -> None:
        """The same unchanged files change nothing; a changed one is updated, other bytes elsewhere are a conflict."""
        files = [write_raw(tmp_path, build_exposure(number)) for number in (1, 2)]
        require_same([one.outcome for one in store.ingest(files)], [IngestOutcome.ADDED] * 2, "the first ingest")
        before = store.exposures()
        require_same([one.outcome for one in store.ingest(files)], [IngestOutcome.ALREADY] * 2, "the second ingest")
        require_same(store.exposures(), before, "the exposures after the second ingest")
        copy = write_raw(tmp_path / "copy", build_exposure(1))
        other = write_raw(tmp_path / "other", build_exposure(1), content=b"other bytes")
        changed = write_raw(tmp_path, build_exposure(2, kind="dark"))
        outcomes = [one.outcome for one in store.ingest([copy, other, changed])]
        wanted = [IngestOutcome.ALREADY, IngestOutcome.CONFLICT, IngestOutcome.UPDATED]
        require_same(outcomes, wanted, "what became of a copy, of other bytes and of a changed file")
        kinds = [one.exposure.kind for one in store.exposures()]
        require_same(kinds, ["bias", "dark"], "the kinds of the exposures")

    def test_a_file_that_moved_is_followed(self, store: Store, tmp_path: Path) -> None:
        """The exposure is then known by its new path."""
        file = write_raw(tmp_path, build_exposure())
        store.ingest([file])
        file.path.unlink()
        (outcome,) = store.ingest([write_raw(tmp_path / "new", build_exposure())])
        require_same(outcome.outcome, IngestOutcome.MOVED, "what became of the exposure")
        (found,) = store.exposures()
        require_same(found.exposure.path, str(tmp_path / "new/AT_O_000001.fits"), "the path of the exposure")

    def test_an_exposure_is_found_by_what_people_type(self, store: Store, tmp_path: Path) -> None:
        """Its id, number, path, file name (upper and lower case differ) or the beginning of its id."""
        big = 2**40 + 1
        detectors = [build_exposure(big, id="AT_big", begin=0, detector=detector) for detector in (0, 1)]
        store.ingest([
            write_raw(tmp_path, *detectors, name="B.fits"),
            write_raw(tmp_path, build_exposure(2), name="b.fits"),
            write_raw(tmp_path, build_exposure(3), name="a longer b.fits"),
        ])  # fmt: skip
        for text in ("AT_big", str(big), "B.fits", str(tmp_path / "B.fits"), "AT_b"):
            found = [(one.id, one.exposure.detector) for one in store.exposure(text)]
            require_same(found, [("AT_big", 0), ("AT_big", 1)], f"the exposure {text!r} means")
        require_same([one.id for one in store.exposure("b.fits")], ["AT_O_000002"], "the exposure of file b.fits")
        with pytest.raises(AmbiguousError, match=r"AT_O_000002.*AT_O_000003"):
            store.exposure("AT_O_0")
        for text in ("AT_c", "4", "c.fits", "%", "AT_O_00000_"):
            with pytest.raises(NotFoundError):
                store.exposure(text)

    def test_exposures_by_property_in_order_of_time(self, store: Store, tmp_path: Path) -> None:
        """Those without a date come first."""
        changes: tuple[dict[str, Any], ...] = (
            {"begin": 30},
            {"begin": 20, "kind": "dark"},
            {"begin": None, "day_obs": 20261123},
            {"begin": -5},
        )
        exposures = [build_exposure(i + 1, **more) for i, more in enumerate(changes)]
        store.ingest([write_raw(tmp_path, one) for one in exposures])
        require_same([one.exposure.number for one in store.exposures()], [3, 4, 2, 1], "the order of the exposures")
        require_same([one.exposure.number for one in store.exposures(kind="dark")], [2], "the darks")
        require_same([one.exposure.number for one in store.exposures(day_obs=20261123)], [3], "those of a day")
        require_same(store.exposures("other"), [], "those of another instrument")

    def test_the_latest_flag_counts_and_none_is_lost(self, store: Store, tmp_path: Path) -> None:
        """For all detectors of the exposure."""
        store.ingest([write_raw(tmp_path, *(build_exposure(detector=i) for i in range(2)))])
        store.flag("AT_O_000001", True, "moon", who="a")
        require_same([one.bad for one in store.exposures()], [True, True], "bad after the first flag")
        store.flag("AT_O_000001", False, "no moon", who="b")
        require_same([one.bad for one in store.exposures()], [False, False], "bad after the second flag")
        found = [(one.bad, one.because, one.who) for one in store.flags("AT_O_000001")]
        require_same(found, [(False, "no moon", "b"), (True, "moon", "a")], "the flags, newest first")
        with pytest.raises(NotFoundError):
            store.flag("AT_O_000009", True, "not there")

    def test_numbers_are_exact_to_64_bits(self, store: Store, tmp_path: Path) -> None:
        """Instants in nanoseconds, integer names of exposures and sizes of files are beyond 32 bits."""
        one = build_exposure(2**62 + 1, id="big", begin=-(2**62) - 1, day_obs=2**33)
        store.ingest([write_raw(tmp_path, one)])
        (found,) = store.exposures(day_obs=2**33)
        require_same((found.exposure.number, found.exposure.begin), (one.number, one.begin), "number and begin")

    def test_an_integer_column_refuses_text(self, store: Store) -> None:
        """A detector ``a7`` never gets into the index, nor does a missing value where one must be."""
        self.needs("sql_index")
        for size in ("a7", None):
            row = {"path": "p", "size": size, "mtime_ns": 0, "digest": "d"}
            with pytest.raises((IntegrityError, StoreError)), store._database.write() as connection:
                connection.execute(schema.raw_digest.insert(), row)
        with store._database.read() as connection:
            require_same(connection.execute(schema.raw_digest.select()).all(), [], "the rows after the refusals")

    def test_the_digest_of_a_raw_file_is_of_its_bytes(self, store: Store, tmp_path: Path) -> None:
        """It is computed again when the file has changed."""
        for content in (b"first", b"other"):
            path = write_raw(tmp_path, build_exposure(), content=content).path
            for _ in range(2):
                require_same(store.raw_digest(path), hashlib.sha256(content).hexdigest(), f"digest of {content!r}")

    def test_instruments_are_files_to_edit(self, store: Store) -> None:
        """The same text again changes nothing, another one under the same name is refused."""
        path = store.add_instrument("name: cam\n", "cam")
        require_same(store.add_instrument("name: cam\n", "cam"), path, "the file of the instrument")
        path.write_text("name: edited\n")
        require_same((store.instruments(), store.instrument_text("cam")), (["cam"], "name: edited\n"), "instrument")
        with pytest.raises(ConflictError):
            store.add_instrument("name: cam\n", "cam")
        with pytest.raises(NotFoundError):
            store.instrument_text("other")
