"""An index made anew from the files says what the old one said; what does not go in is named."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from cpp_framework.api import Repository
from cpp_framework.doctor.rebuild import rebuild_repository
from cpp_framework.errors import ConflictError, NotFoundError, StoreError
from cpp_framework.plugins import installed
from cpp_framework.store import REGISTRY, Store
from cpp_framework.store.ledger import entry_text
from cpp_framework.store.rebuild_report import RebuildReport
from cpp_framework.store.records import Act, LedgerEntry
from cpp_framework.store.upgrade import upgrade

DAY = 86_400 * 10**9


def write_raw(path: Path, camera: str, second: int, detector: int = 0, level: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    hdu = fits.PrimaryHDU(np.full((6, 8), level, np.uint16))
    hdu.header.update({
        "INSTRUME": camera, "IMAGETYP": "bias", "EXPTIME": 0.0, "CCD": detector,
        "DATE-OBS": f"2026-11-22T20:00:{second:02d}",
    })  # fmt: skip
    hdu.writeto(path, overwrite=True)
    return path


@pytest.fixture
def history(site: Store, tmp_path: Path) -> Store:
    """The repository `site` with exposures of three ingests, one moved, one overwritten, and flags."""
    repository = Repository(site)
    raw = tmp_path / "raw"
    for i in range(3):
        write_raw(raw / f"c{i}.fits", "cam", i, detector=i % 2)
    repository.ingest([raw], "cam")
    write_raw(raw / "more" / "d5.fits", "dim", 5)
    repository.ingest([raw / "more"], "dim")
    (raw / "c2.fits").rename(tmp_path / "c2.fits")
    write_raw(raw / "c0.fits", "cam", 0, level=7)
    repository.ingest([tmp_path / "c2.fits", raw / "c0.fits"])
    site.flag("c0", bad=True, because="door open", who="Ada")
    site.flag("d5", bad=True, because="cloud", who="Ben")
    site.flag("c0", bad=False, because="no, it was closed", who="Ben")
    return site


def rebuild(store: Store) -> RebuildReport:
    return rebuild_repository(store.root, installed())


def told(store: Store) -> dict[str, Any]:
    """Everything a repository tells, but when its rows were written."""
    store = Store.open(store.root, write=False)
    products = store.products()
    instants = {at for one in store.validities() for at in (one.begin, one.end) if at is not None}
    lines = {(one.collection, one.type, one.instrument, one.detector, str(one.key)): one for one in store.validities()}
    return {
        "products": [replace(one, stored=0) for one in products],
        "headers": [store.header(one) for one in products],
        "verdicts": [str(store.verdicts(one.id)) for one in products],
        "outcomes": store.outcomes(),
        "collections": store.collections(),
        "validities": store.validities(),
        "ledger": store.ledger(),
        "tags": [store.tags(one.id) for one in products],
        "instruments": [(name, store.instrument_path(name)) for name in store.instruments()],
        "exposures": store.exposures(),
        "flags": [store.flags(one.id, one.exposure.instrument) for one in store.exposures()],
        "best": [
            store.best(one.type, one.instrument, one.detector, at + step, one.key, one.collection)
            for one in lines.values()
            for at in sorted(instants)
            for step in (-1, 0, 1)
        ],
    }


def notes(store: Store) -> dict[str, dict[str, list[str]]]:
    """What the notes of ingests say: paths by instrument, by ingest."""
    documents = [json.loads(path.read_text()) for path in sorted((store.root / "ingests").iterdir())]
    return {one["id"]: one["paths"] for one in documents}


def test_every_ingest_leaves_a_note_of_what_it_registered(history: Store, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    assert list(notes(history).values()) == [
        {"cam": [str(raw / f"c{i}.fits") for i in range(3)]},
        {"dim": [str(raw / "more" / "d5.fits")]},
        {"cam": [str(tmp_path / "c2.fits"), str(raw / "c0.fits")]},
    ]
    assert {one.ingested for one in history.exposures()} <= set(notes(history))
    before = notes(history)
    Repository(history).ingest([raw])  # nothing is new
    write_raw(raw / "c1" / "c1.fits", "cam", 9, detector=1)
    shutil.copy(raw / "c0.fits", raw / "c1" / "c0.fits")
    Repository(history).ingest([raw])  # the same bytes, and a conflict
    assert notes(history) == before


def test_an_upgrade_writes_the_notes_an_older_version_did_not(tmp_path: Path) -> None:
    with tarfile.open(Path(__file__).with_name("examples") / "format1.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    root = next(tmp_path.rglob(REGISTRY)).parent
    upgrade(root)
    store = Store.open(root)
    told_paths = {path for note in notes(store).values() for paths in note.values() for path in paths}
    assert told_paths == {one.exposure.path for one in store.exposures()} != set()
    assert set(notes(store)) == {one.ingested for one in store.exposures()}


@pytest.mark.parametrize("damage", ["gone", "text", "cut", "newer format", "sound", "folder"])
def test_everything_is_as_before_whatever_happened_to_the_index(history: Store, damage: str) -> None:
    before = told(history)
    assert len(before["best"]) > 60
    assert len([one for one in before["best"] if one]) > 30
    index = history.root / REGISTRY
    stored = {one.id: one.stored for one in history.products()}
    if damage == "gone":
        index.unlink()
    elif damage == "text":
        index.write_text("this is no database" * 100)
    elif damage == "cut":
        index.write_bytes(index.read_bytes()[:20_000])
    elif damage == "newer format":
        with sqlite3.connect(index) as connection:
            connection.execute("UPDATE schema_version SET version = 99")
        connection.close()
    elif damage == "folder":
        index.unlink()
        index.mkdir()
    content = index.read_bytes() if index.is_file() else b""
    report = rebuild(history)
    after = told(history)
    for name in before:
        assert after[name] == before[name], name
    assert [one.file for one in report.left_out] == [str(history.root.parent / "raw" / "c2.fits")]  # it was moved
    assert report.counts == {
        "instruments": 2, "products": 5, "verdicts": 6, "ledger lines": 11, "exposures": 4, "flags": 3
    }  # fmt: skip
    assert report.by_sums == 1
    assert all(abs(one.stored - stored[one.id]) < 10 * 10**9 for one in Store.open(history.root).products())
    assert Store.open(history.root).audit() == []
    if damage == "gone":
        assert report.moved is None
    else:
        assert report.moved is not None
        assert report.moved.name.startswith(f"{REGISTRY}.before-20")
        assert report.moved.is_dir() if damage == "folder" else report.moved.read_bytes() == content
    assert [path.name for path in (history.root / "staging").iterdir()] == []


def test_the_new_index_is_worked_with(history: Store, put_real, put_verdict) -> None:
    rebuild(history)
    store = Store.open(history.root)
    record = put_real(store, level=9.0, detector=0, key={"detector": 0, "binning": (1, 1)})
    put_verdict(store, record)
    with pytest.raises(ConflictError, match="cannot be valid"):
        store.certify([record.id], 0, None)
    numbers = [line.sequence for line in store.ledger()]
    store.certify([record.id], 0, None, supersede=True)
    assert [line.sequence for line in store.ledger()][: len(numbers)] == numbers
    assert store.ledger()[-1].sequence > numbers[-1]
    assert store.product("last").id == record.id
    assert len({one.path for one in store.ledger()}) == len(store.ledger())
    before = told(store)
    rebuild(store)
    assert told(store) == before


def test_an_imported_bundle_is_there_again(history: Store, tmp_path: Path) -> None:
    repository = Repository(history)
    repository.export_bundle("cam/calib", tmp_path / "bundle")
    summit = Repository.create(tmp_path / "summit")
    summit.import_bundle(tmp_path / "bundle")
    before = told(summit.store)
    (summit.root / REGISTRY).unlink()
    rebuild(summit.store)
    assert told(summit.store) == before
    report = Repository.open(summit.root).import_bundle(tmp_path / "bundle")
    assert {outcome for _, outcome in report.products} == {"already there"}
    assert told(summit.store) == before


def test_what_does_not_go_in_is_named_and_left_where_it_is(history: Store) -> None:
    before = told(history)
    record = history.products(type="glow")[0]
    damaged = history.path(record)
    damaged.write_bytes(damaged.read_bytes()[:-2880])
    other = history.products(instrument="dim")[0]
    folder = history.path(other).parent
    (verdict,) = folder.glob("*.json")
    verdict.write_text("{garbage")
    (folder / "note.txt").write_text("mine")
    shutil.copy(history.path(other), folder / "copy.fits")
    (folder / "link.fits").symlink_to(history.path(other))
    (history.root / "ledger" / "0000002_strange.json").write_text('{"format": 1}')
    (history.root / "flags" / "strange.json").write_text("[]")
    (history.root / "ingests" / "strange.json").write_text("7")
    (history.root / "instruments" / "strange.yaml").write_text("name: [")
    report = rebuild(history)
    names = {Path(one.file).name: one.reason for one in report.left_out}
    assert set(names) == {
        damaged.name, next(damaged.parent.glob("*.json")).name, verdict.name, "note.txt", "copy.fits", "link.fits",
        "0000002_strange.json", "strange.json", "strange.yaml", "c2.fits",
    }  # fmt: skip
    assert "truncated" in names[damaged.name] or "Truncated" in names[damaged.name]
    assert all(names.values())
    after = told(history)
    assert {one.id for one in after["products"]} == {one.id for one in before["products"]} - {record.id}
    assert after["ledger"] == before["ledger"]
    assert after["validities"] == [one for one in before["validities"] if one.product != record.id]
    assert history.outcomes() == {
        id: text for id, text in before["outcomes"].items() if id not in (record.id, other.id)
    }
    for name in ("note.txt", "copy.fits", "link.fits"):
        assert (folder / name).exists()
    assert damaged.exists()


def lost_transaction(store: Store, *entries: tuple[int, str]) -> list[Path]:
    """Write files of lines that were never committed, as a killed `cpp decertify` leaves them: number and product."""
    paths = []
    made = store.ledger()[-1].made + 1
    for sequence, product in entries:
        entry = LedgerEntry(
            sequence, f"ghost-{sequence}", Act.DECERTIFY, "cam/calib", product, made=made, who="Ada",
            path=f"ledger/{sequence:07d}_ghost.json", act="lost", lines=len(entries),
        )  # fmt: skip
        paths.append(store.root / entry.path)
        paths[-1].write_text(entry_text(entry))
    return paths


def test_an_act_whose_lines_are_not_all_there_was_never_done(history: Store) -> None:
    last = history.ledger()[-1].sequence
    first, second = sorted({one.product for one in history.validities("cam/calib")})[:2]
    written = lost_transaction(history, (last + 1, first), (last + 2, second))
    written.pop().unlink()  # killed before it was written
    history.tag("later", [first])
    before = told(history)
    report = rebuild(history)
    assert told(history) == before
    never_done = {one.file for one in report.left_out if "never done" in one.reason}
    assert never_done == {str(path.relative_to(history.root)) for path in written}
    assert all(path.exists() for path in written)


def test_a_number_is_never_given_twice(history: Store) -> None:
    last = history.ledger()[-1].sequence
    first = min({one.product for one in history.validities("cam/calib")})
    lost_transaction(history, (last + 1, first), (last + 2, first))
    assert [one.sequence for one in history.tag("later", [first])] == [last + 3]


@pytest.mark.parametrize("sequence", [0, -1, 10**12, 10**30])
def test_a_line_with_an_absurd_number_is_left_out(history: Store, sequence: int) -> None:
    (path,) = lost_transaction(history, (history.ledger()[-1].sequence + 1, history.products()[0].id))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"sequence": sequence}))
    before = told(history)
    report = rebuild(history)
    assert told(history) == before
    assert str(path.relative_to(history.root)) in {one.file for one in report.left_out}


def test_an_act_with_a_lost_file_is_left_out_as_a_whole_and_named(history: Store) -> None:
    superseded = [line for line in history.ledger() if line.note.startswith("superseded by")]
    together = [line for line in history.ledger() if line.act == superseded[0].act]
    assert len(together) > 1
    (history.root / superseded[0].path).unlink()
    report = rebuild(history)
    assert {one.file for one in report.left_out if "never done" in one.reason} == {line.path for line in together[1:]}
    assert not {line.act for line in Store.open(history.root).ledger()} & {superseded[0].act}


@pytest.mark.parametrize("folder", ["ledger", "flags", "ingests", "instruments"])
def test_a_pipe_among_the_files_keeps_nobody_waiting(history: Store, folder: str) -> None:
    os.mkfifo(history.root / folder / "0000001_pipe.json")
    before = told(history)
    report = rebuild(history)
    assert told(history) == before
    assert f"{folder}/0000001_pipe.json" in {one.file for one in report.left_out}


@pytest.mark.parametrize(
    ("folder", "change"),
    [
        ("ledger", {"begin": 9, "end": 5}), ("ledger", {"made": 10**30}), ("ledger", {"note": "\ud800"}),
        ("flags", {"made": 10**30}), ("flags", {"because": "\ud800"}),
    ],
    ids=str,
)  # fmt: skip
def test_what_no_index_can_hold_is_left_out_and_named(history: Store, folder: str, change: dict[str, Any]) -> None:
    path = min((history.root / folder).iterdir())
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    report = rebuild(history)
    assert [
        one.reason
        for one in report.left_out
        if one.file in (str(path.relative_to(history.root)),) or "flag" in one.file
    ]
    assert len(Store.open(history.root).products()) == len(history.products())


def test_removed_products_stay_away_and_their_history_remains(history: Store) -> None:
    record = history.products(type="glow")[0]
    history.decertify([record.id], collection="cam/extra")
    history.untag("best/2026", [record.id])
    history.remove(record.id, because="wrong lamp")
    before = told(history)
    rebuild(history)
    assert told(history) == before
    assert [one.action for one in history.ledger(product=record.id)][-3:] == ["decertify", "untag", "remove"]


def test_raw_files_that_are_gone_are_named(history: Store, tmp_path: Path) -> None:
    (tmp_path / "raw" / "c1.fits").unlink()
    (tmp_path / "raw" / "more" / "d5.fits").write_text("no FITS any more")
    report = rebuild(history)
    assert {Path(one.file).name for one in report.left_out} == {"c1.fits", "c2.fits", "d5.fits"}
    assert [one.id for one in Store.open(history.root).exposures()] == ["c0", "c2"]
    assert len(Store.open(history.root).products()) == 5


def test_what_lies_beside_the_old_index_goes_with_it(history: Store) -> None:
    for end in ("-journal", "-wal", "-shm"):
        (history.root / (REGISTRY + end)).write_text(end)
    report = rebuild(history)
    assert report.moved is not None
    for end in ("-journal", "-wal", "-shm"):
        assert not (history.root / (REGISTRY + end)).exists()
        assert report.moved.with_name(report.moved.name + end).read_text() == end
    assert Store.open(history.root).audit() == []


def test_rebuilding_twice_in_a_second_keeps_both_indexes(history: Store) -> None:
    for _ in range(3):
        rebuild(history)
    kept = list(history.root.glob(f"{REGISTRY}.before-*"))
    assert len(kept) == 3
    for path in kept:
        with sqlite3.connect(path) as connection:
            assert connection.execute("SELECT count(*) FROM product").fetchone() == (5,)
        connection.close()


def test_nothing_like_a_repository(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"neither registry\.sqlite3 nor a folder products"):
        rebuild_repository(tmp_path, installed())
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(NotFoundError):
        rebuild_repository(tmp_path / "nothing", installed())


def test_an_index_kept_by_a_server_is_not_made_anew(history: Store) -> None:
    (history.root / REGISTRY).unlink()
    (history.root / "registry.json").write_text(json.dumps({"format": 1, "url": "postgresql://h/d", "schema": "s"}))
    with pytest.raises(StoreError, match="kept by a database server") as caught:
        rebuild(history)
    assert "pg_restore" in caught.value.hint
    assert not (history.root / REGISTRY).exists()


def test_while_somebody_works_nothing_is_done(history: Store) -> None:
    content = (history.root / REGISTRY).read_bytes()
    lease = history.lease("recipe of a bias")
    assert lease is not None
    with lease, pytest.raises(ConflictError, match="somebody is working in"):
        rebuild(history)
    assert (history.root / REGISTRY).read_bytes() == content
    rebuild(history)


@pytest.mark.slow
def test_a_killed_rebuild_loses_nothing_and_is_finished_by_repeating_it(history: Store, dying) -> None:
    before = told(history)
    content = (history.root / REGISTRY).read_bytes()
    hot = history.root / f"{REGISTRY}-journal"
    step = 0
    whole = 0
    while True:
        (history.root / REGISTRY).write_bytes(content)
        hot.write_text("of the old index")
        if dying.run("rebuild", step, history.root):
            break
        if (history.root / REGISTRY).exists() and not hot.exists():
            # Killed after the new index had its name.
            assert told(history) == before
            whole += 1
        rebuild(history)
        assert told(history) == before
        moved = [path for path in history.root.glob(f"{REGISTRY}.before-*") if not path.name.endswith("-journal")]
        assert content in [path.read_bytes() for path in moved]
        journals = list(history.root.glob(f"{REGISTRY}.before-*-journal"))
        assert [path.read_text() for path in journals] == ["of the old index"]
        for path in (*moved, *journals, *(history.root / "staging").iterdir()):
            path.unlink()
        step += 1
    assert step > 5, "killed at too few points to tell"
    assert whole >= 1
