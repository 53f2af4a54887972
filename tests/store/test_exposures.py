"""Ingest, look-up and flags."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from cpp_framework.errors import AmbiguousError, NotFoundError, RawFileError
from cpp_framework.model import Measured
from cpp_framework.store import IngestOutcome, RawFile, Store


def outcomes(store: Store, *files: RawFile) -> list[IngestOutcome]:
    return [one.outcome for one in store.ingest(files)]


def test_ingest_keeps_every_field(store: Store, make_exposure, make_raw) -> None:
    records = {"monitor": Measured(value=1.5e-9, error=1e-12, unit="C")}
    one = make_exposure(
        7, exposure_time=0.1 + 0.2, temperature=-100.1, binning=(2, 1), records=records, begin=None, filter="RG610~é"
    )
    file = make_raw(one)
    assert outcomes(store, file) == [IngestOutcome.ADDED]
    (stored,) = store.exposures("cam")
    assert stored.exposure == one.model_copy(update={"path": str(file.path)})
    assert not stored.bad


def test_ingest_is_idempotent(store: Store, make_exposure, make_raw) -> None:
    file = make_raw(make_exposure(1), make_exposure(1, detector=1))
    assert outcomes(store, file) == [IngestOutcome.ADDED] * 2
    before = store.exposures()
    assert outcomes(store, file, file) == [IngestOutcome.ALREADY] * 4
    assert store.exposures() == before


def test_other_path_same_bytes_is_already_there(store: Store, make_exposure, make_raw) -> None:
    original, copy = make_raw(make_exposure(1)), make_raw(make_exposure(1), name="copy.fits")
    assert outcomes(store, original) == [IngestOutcome.ADDED]
    (found,) = store.ingest([copy])
    assert (found.outcome, found.reason) == (IngestOutcome.ALREADY, f"same bytes as {original.path}")
    assert store.exposures()[0].exposure.path == str(original.path)


def test_other_path_other_bytes_is_a_conflict_and_the_rest_goes_in(store: Store, make_exposure, make_raw) -> None:
    original = make_raw(make_exposure(1))
    store.ingest([original])
    other = make_raw(make_exposure(1), name="other.fits", content=b"raw bytez")
    found = store.ingest([other, make_raw(make_exposure(2))])
    assert [one.outcome for one in found] == [IngestOutcome.CONFLICT, IngestOutcome.ADDED]
    assert str(original.path) in found[0].reason
    assert store.exposures()[0].exposure.path == str(original.path)


def test_conflict_inside_one_ingest(store: Store, make_exposure, make_raw) -> None:
    first, second = make_raw(make_exposure(1)), make_raw(make_exposure(1), name="b.fits", content=b"x")
    assert outcomes(store, first, second) == [IngestOutcome.ADDED, IngestOutcome.CONFLICT]


def test_moved_file_is_followed(store: Store, make_exposure, make_raw) -> None:
    file = make_raw(make_exposure(1))
    store.ingest([file])
    new = file.path.rename(file.path.with_name("moved.fits"))
    (found,) = store.ingest([RawFile(new, file.size, file.mtime_ns, file.exposures)])
    assert found.outcome is IngestOutcome.MOVED
    assert store.exposures()[0].exposure.path == str(new)


def test_overwritten_file_replaces_what_it_held(store: Store, make_exposure, make_raw) -> None:
    store.ingest([make_raw(make_exposure(1), name="latest.fits")])
    changed = make_raw(make_exposure(1, object="sky"), name="latest.fits", content=b"longer than before")
    assert outcomes(store, changed) == [IngestOutcome.UPDATED]
    assert store.exposures()[0].exposure.object == "sky"
    assert outcomes(store, make_raw(make_exposure(2), name="latest.fits")) == [IngestOutcome.ADDED]
    assert [one.id for one in store.exposures()] == ["AT_O_000002"]


def test_ten_thousand_exposures_go_in_at_once(store: Store, make_exposure) -> None:
    files = [RawFile(Path(f"/raw/{i}.fits"), 1, 1, (make_exposure(i),)) for i in range(10_000)]
    store.ingest(files)
    assert len(store.exposures("cam", kind="bias")) == 10_000


def test_exposures_come_in_order_of_time_those_without_date_first(store: Store, make_exposure, make_raw) -> None:
    numbers = [3, 1, 2]
    store.ingest([make_raw(make_exposure(i)) for i in numbers] + [make_raw(make_exposure(9, begin=None))])
    assert [one.exposure.number for one in store.exposures()] == [9, 1, 2, 3]
    assert store.exposures(kind="dark") == []
    assert [one.exposure.number for one in store.exposures("cam", id="AT_O_000002")] == [2]


def test_exposure_by_id_number_file_and_prefix(store: Store, make_exposure, make_raw) -> None:
    files = [make_raw(make_exposure(i), make_exposure(i, detector=1)) for i in (12, 13)]
    store.ingest(files)
    for text in ("AT_O_000012", "12", str(files[0].path)):
        assert [one.exposure.detector for one in store.exposure(text)] == [0, 1]
    store.ingest([make_raw(make_exposure(14, id="UNIQUE_14"))])
    assert store.exposure("UNIQ")[0].id == "UNIQUE_14"
    with pytest.raises(AmbiguousError, match=r"AT_O_000012 .*AT_O_000013"):
        store.exposure("AT_O")
    with pytest.raises(NotFoundError, match="no exposure 'UNI'"):
        store.exposure("UNI")  # shorter than four characters: never taken as a beginning


def test_exposure_by_the_name_of_its_file(store: Store, make_exposure, make_raw) -> None:
    store.ingest([make_raw(make_exposure(1), make_exposure(1, detector=1), name="night1/bias_r3074.fits.gz")])
    store.ingest([make_raw(make_exposure(2), name="other_bias_r3074.fits.gz")])
    assert [one.exposure.number for one in store.exposure("bias_r3074.fits.gz")] == [1, 1]
    for text in ("r3074.fits.gz", "BIAS_r3074.fits.gz", "bias%r3074.fits.gz", "bias_r3074.fits"):
        with pytest.raises(NotFoundError, match="a file"):
            store.exposure(text)
    store.ingest([make_raw(make_exposure(3), name="night2/bias_r3074.fits.gz")])
    with pytest.raises(AmbiguousError, match=r"AT_O_000001 .*AT_O_000003") as caught:
        store.exposure("bias_r3074.fits.gz")
    assert "path of the file" in caught.value.hint


def test_exposures_tell_size_and_time_of_their_file_at_ingest(store: Store, make_exposure, make_raw) -> None:
    file = make_raw(make_exposure(1))
    store.ingest([file])
    make_raw(make_exposure(1), content=b"other, longer bytes")
    for found in (store.exposures(), store.exposure("1")):
        assert [(one.size, one.mtime_ns) for one in found] == [(file.size, file.mtime_ns)]


def test_id_of_digits_is_stronger_than_a_number(store: Store, make_exposure, make_raw) -> None:
    store.ingest([make_raw(make_exposure(5, id="7")), make_raw(make_exposure(7, id="9"))])
    assert store.exposure("7")[0].exposure.number == 5


def test_percent_in_a_prefix_is_no_wildcard(store: Store, make_exposure, make_raw) -> None:
    store.ingest([make_raw(make_exposure(1))])
    with pytest.raises(NotFoundError):
        store.exposure("AT%O_")


def test_flags_are_a_ledger_and_the_latest_counts(store: Store, make_exposure, make_raw) -> None:
    store.ingest([make_raw(make_exposure(1), make_exposure(1, detector=1)), make_raw(make_exposure(2))])
    store.flag("AT_O_000001", True, "door open", who="me")
    assert [(one.bad, one.because) for one in store.exposures()] == [(True, "door open")] * 2 + [(False, "")]
    store.flag("1", False, "")
    store.flag("AT_O_000001", True, "no, it was open")
    store.flag("AT_O_000001", False, "shutter was closed")
    assert not any(one.bad for one in store.exposures())
    ledger = store.flags("AT_O_000001")
    assert [one.because for one in ledger] == ["shutter was closed", "no, it was open", "", "door open"]
    assert ledger[-1].who == "me"
    assert len(list((store.root / "flags").glob("cam_AT_O_000001_*.json"))) == 4
    with pytest.raises(NotFoundError):
        store.flag("nothing", True, "x")


def test_flags_survive_a_new_ingest(store: Store, make_exposure, make_raw) -> None:
    store.ingest([make_raw(make_exposure(1))])
    store.flag("AT_O_000001", True, "door open")
    store.ingest([make_raw(make_exposure(1, object="sky"))])
    assert store.exposures()[0].because == "door open"


def test_raw_digest_is_remembered_until_the_file_changes(store: Store, make_exposure, make_raw, monkeypatch) -> None:
    file = make_raw(make_exposure(1), content=b"abc")
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert store.raw_digest(file.path) == abc
    with monkeypatch.context() as patch:
        patch.setattr("cpp_framework.store.digests.file_sha256", None)
        assert store.raw_digest(file.path) == abc  # not read again
    state = file.path.stat()
    time.sleep(0.02)
    file.path.write_bytes(b"abd")
    os.utime(file.path, ns=(state.st_atime_ns, state.st_mtime_ns))  # as `cp -p` and rsync do
    assert store.raw_digest(file.path) != abc


def test_raw_file_that_became_a_pipe_is_refused(store: Store, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "raw.fits")
    with pytest.raises(RawFileError, match="not a file any more"):
        store.raw_digest(tmp_path / "raw.fits")


def test_raw_digests_of_many_files(store: Store, make_exposure, make_raw) -> None:
    paths = [make_raw(make_exposure(i), content=bytes([i])).path for i in range(20)]
    found = store.raw_digests([*paths, *paths], threads=2)
    assert list(found) == [str(path) for path in paths]
    assert len(set(found.values())) == 20
    assert Store.open(store.root, write=False).raw_digests(paths) == found
    paths[3].unlink()
    with pytest.raises(RawFileError, match="No such file"):
        store.raw_digests(paths)
