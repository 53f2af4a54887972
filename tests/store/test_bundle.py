"""Bundles: what leaves one repository arrives in another, whole, once, and with its history."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from cpp_framework.api import Repository
from cpp_framework.cli.main import main
from cpp_framework.errors import ConflictError, InstrumentError, NotFoundError, StoreError
from cpp_framework.plugins import installed
from cpp_framework.store import REGISTRY, CollectionKind, Store, collections
from cpp_framework.store.bundle import BundleReport
from cpp_framework.store.bundle_export import export_bundle
from cpp_framework.store.bundle_import import import_bundle

DAY = 86_400 * 10**9


def bring(store: Store, source: Path, supersede: bool = False) -> BundleReport:
    return import_bundle(store, source, supersede, plugins=installed())


def manifest(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return document


def lasting(folder: Path) -> dict[str, Any]:
    """What must be the same in a bundle of the imported collection: all but who carried it, and when."""
    return {name: manifest(folder)[name] for name in ("collection", "kind", "products", "validities", "instruments")}


def state(store: Store) -> tuple[Any, ...]:
    """Everything a repository holds: rows of all tables, and all files but locks."""
    with sqlite3.connect(store.root / REGISTRY) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        rows = {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in sorted(tables)}
    connection.close()
    files = {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file() and path.name != REGISTRY}
    return rows, {path: content for path, content in files.items() if "leases" not in path.parts}


def outcomes(report: BundleReport) -> set[str]:
    return {outcome for _, outcome in report.products}


@pytest.mark.parametrize(
    ("name", "kind", "n"),
    [
        ("cam/calib", CollectionKind.CALIBRATION, 3),
        ("best/2026", CollectionKind.TAGGED, 2),
        ("ci_cpp_bias", CollectionKind.CHAINED, 4),
        ("", CollectionKind.RUN, 2),
    ],
)
def test_round_trip(site: Store, tmp_path: Path, name: str, kind: CollectionKind, n: int) -> None:
    name = name or site.products(type="bias", instrument="cam")[-1].run
    before = state(site)
    report = export_bundle(site, name, tmp_path / "bundle")
    assert state(site) == before
    assert (report.kind, len(report.products), outcomes(report)) == (kind, n, {"written"})
    other = Store.create(tmp_path / "summit")
    report = bring(other, tmp_path / "bundle")
    assert (report.kind, len(report.products), outcomes(report)) == (kind, n, {"added"})
    export_bundle(other, name, tmp_path / "again")
    assert lasting(tmp_path / "again") == lasting(tmp_path / "bundle")
    # The files are the same, byte for byte, but for the manifest.
    files = {path.relative_to(tmp_path / "bundle") for path in (tmp_path / "bundle").rglob("*.*") if path.is_file()}
    assert len(files) == 1 + len(list(manifest(tmp_path / "bundle")["instruments"])) + n + report.verdicts
    for file in files - {Path("manifest.json")}:
        assert (tmp_path / "again" / file).read_bytes() == (tmp_path / "bundle" / file).read_bytes()
        assert (other.root / file).read_bytes() == (site.root / file).read_bytes()
    for one in other.products():
        first = site.product(one.id)
        assert (one.digest, one.sha256, one.run, one.path, one.key) == (
            first.digest, first.sha256, first.run, first.path, first.key,
        )  # fmt: skip
        assert other.header(one) == site.header(first)
        assert [str(each) for each in other.verdicts(one.id)] == [str(each) for each in site.verdicts(one.id)]
    assert other.audit() == []
    assert other.collect_garbage(older=0, dry_run=True).garbage == ()


def test_round_trip_through_an_index_in_memory(site: Store, tmp_path: Path) -> None:
    export_bundle(site, "cam/calib", tmp_path / "bundle")
    with Store.in_memory() as other:
        bring(other, tmp_path / "bundle")
        bring(other, tmp_path / "bundle")
        export_bundle(other, "cam/calib", tmp_path / "again")
    assert lasting(tmp_path / "again") == lasting(tmp_path / "bundle")


def test_round_trip_through_an_index_on_a_server(site: Store, tmp_path: Path, postgres: str) -> None:
    export_bundle(site, "cam/calib", tmp_path / "bundle")
    other = Store.create(tmp_path / "far", registry=postgres)
    bring(other, tmp_path / "bundle")
    assert bring(other, tmp_path / "bundle").verdicts == 0
    assert len(other.ledger()) == len(other.validities()) == 5
    export_bundle(other, "cam/calib", tmp_path / "again")
    assert lasting(tmp_path / "again") == lasting(tmp_path / "bundle")
    assert other.audit() == []


def test_a_run_is_in_its_chain_again(site: Store, tmp_path: Path) -> None:
    export_bundle(site, "ci_cpp_bias", tmp_path / "bundle")
    other = Store.create(tmp_path / "summit")
    bring(other, tmp_path / "bundle")
    chains = {one.name: one.members for one in other.collections() if one.kind is CollectionKind.CHAINED}
    assert chains == {one.name: one.members for one in site.collections() if one.name == "ci_cpp_bias"}


def test_validity_and_its_history_arrive(site: Store, tmp_path: Path) -> None:
    export_bundle(site, "cam/calib", tmp_path / "bundle")
    other = Store.create(tmp_path / "summit")
    report = bring(other, tmp_path / "bundle")
    assert other.validities() == site.validities("cam/calib")
    for at in (
        -1,
        0,
        500 * DAY - 1,
        500 * DAY,
        600 * DAY - 1,
        600 * DAY,
        1000 * DAY,
        2000 * DAY - 1,
        2000 * DAY,
        10**18,
    ):
        for detector in (0, 1):
            assert other.best("bias", "cam", detector, at) == site.best("bias", "cam", detector, at), at
    lines = other.ledger()
    assert report.lines == len(lines) == len(site.validities("cam/calib"))
    waived = [line for line in lines if line.waived]
    assert [dict(line.waived) for line in waived] == [{"B1_level": "seen by eye", "B2_noise": "no noise measured"}]
    assert all(
        "from a bundle of cam/calib exported" in line.note and "certified by Ada on" in line.note for line in lines
    )
    assert sum("first light" in line.note for line in lines) == len(lines) - 1
    assert {line.verdict for line in lines} <= {v.id for one in other.products() for v in other.verdicts(one.id)}


def test_importing_twice_changes_nothing(site: Store, tmp_path: Path) -> None:
    for name in ("cam/calib", "best/2026"):
        export_bundle(site, name, tmp_path / name)
        other = Store.create(tmp_path / name / "summit")
        bring(other, tmp_path / name)
        before = state(other)
        report = bring(other, tmp_path / name)
        assert (outcomes(report), report.verdicts, report.lines) == ({"already there"}, 0, 0)
        assert state(other) == before


def test_import_where_it_came_from_changes_nothing(site: Store, tmp_path: Path) -> None:
    export_bundle(site, "cam/calib", tmp_path / "bundle")
    before = state(site)
    bring(site, tmp_path / "bundle")
    assert state(site) == before


def test_new_verdicts_and_ranges_are_added_to_what_is_there(site: Store, tmp_path: Path, put_verdict) -> None:
    export_bundle(site, "dim/calib", tmp_path / "first")
    other = Store.create(tmp_path / "summit")
    bring(other, tmp_path / "first")
    (record,) = other.products()
    site.decertify([record.id], 0, 10 * DAY)
    put_verdict(site, site.product(record.id))
    newest = site.certify([record.id], 5 * DAY, 10 * DAY, note="again")[0].verdict
    export_bundle(site, "dim/calib", tmp_path / "second")
    other.decertify([record.id])
    report = bring(other, tmp_path / "second")
    # What was decertified here stays so, and what was certified there since is brought in.
    assert (outcomes(report), report.verdicts, report.lines) == ({"already there"}, 1, 1)
    assert [(one.begin, one.end) for one in other.validities()] == [(5 * DAY, 10 * DAY)]
    assert other.ledger()[-1].verdict == newest


def test_importing_a_bundle_again_does_not_undo_what_was_decided_here(site: Store, tmp_path: Path) -> None:
    export_bundle(site, "dim/calib", tmp_path / "bundle")
    other = Store.create(tmp_path / "summit")
    bring(other, tmp_path / "bundle")
    (record,) = other.products()
    other.decertify([record.id], note="light leak")
    assert bring(other, tmp_path / "bundle").lines == 0
    assert other.validities() == []


def test_overlap_is_refused_and_superseded(site: Store, tmp_path: Path, put_real, put_verdict) -> None:
    export_bundle(site, "cam/calib", tmp_path / "bundle")
    other = Store.create(tmp_path / "summit")
    own = put_real(other, level=9.0, label="own", detector=1, key={"detector": 1, "binning": (1, 1)})
    put_verdict(other, own)
    other.certify([own.id], 100 * DAY, 200 * DAY)
    before = state(other)
    with pytest.raises(ConflictError, match=rf"{own.short} is valid 1970-04-10T.* … 1970-07-1") as caught:
        bring(other, tmp_path / "bundle")
    assert "cannot be valid 1969-12-31T23:59:51.999918240Z … open" in str(caught.value)
    assert "--supersede" in caught.value.hint
    assert state(other) == before
    bring(other, tmp_path / "bundle", supersede=True)
    assert [one for one in other.validities() if one.product == own.id] == []
    assert other.validities() == site.validities("cam/calib")
    assert [line.note for line in other.ledger(product=own.id)][-1].startswith("superseded by ")


def test_a_run_of_the_same_name_with_such_a_product_is_refused(site: Store, tmp_path: Path, put_real) -> None:
    export_bundle(site, "cam/calib", tmp_path / "bundle")
    theirs = site.products(type="bias", instrument="cam")[0]
    other = Store.create(tmp_path / "summit")
    with other._database.write() as connection:
        collections.ensure_run(connection, theirs.run)
    own = put_real(other, theirs.run, level=9.0, detector=theirs.detector, key=theirs.key)
    before = state(other)
    with pytest.raises(ConflictError, match=f"a run of this name was made here .*{own.short}"):
        bring(other, tmp_path / "bundle")
    assert state(other) == before


def test_another_instrument_of_the_same_name_is_refused(site: Store, tmp_path: Path) -> None:
    export_bundle(site, "cam/calib", tmp_path / "bundle")
    other = Store.create(tmp_path / "summit")
    other.add_instrument(site.instrument_text("cam") + "# edited\n", "cam")
    before = state(other)
    with pytest.raises(ConflictError, match="instrument 'cam' is another one here") as caught:
        bring(other, tmp_path / "bundle")
    assert str(other.root / "instruments" / "cam.yaml") in str(caught.value)
    assert state(other) == before


def test_product_that_is_there_with_other_bytes_is_refused(site: Store, tmp_path: Path) -> None:
    export_bundle(site, "best/2026", tmp_path / "bundle")
    other = Store.create(tmp_path / "summit")
    bring(other, tmp_path / "bundle")
    record = other.products()[0]
    with sqlite3.connect(other.root / REGISTRY) as connection:
        connection.execute("UPDATE product SET sha256 = ? WHERE id = ?", ("0" * 64, record.id))
    connection.close()
    with pytest.raises(ConflictError, match=f"product {record.id} is in this repository already, with other bytes"):
        bring(other, tmp_path / "bundle")


def test_what_a_stranger_put_under_a_products_name_is_refused_and_kept(site: Store, tmp_path: Path) -> None:
    report = export_bundle(site, "best/2026", tmp_path / "bundle")
    other = Store.create(tmp_path / "summit")
    taken = other.root / report.products[1][0].path
    taken.parent.mkdir(parents=True)
    taken.write_text("mine")
    before = state(other)
    with pytest.raises(ConflictError, match="never overwritten"):
        bring(other, tmp_path / "bundle")
    assert state(other) == before
    assert [path for path in (other.root / "products").rglob("*") if path.is_file()] == [taken]


def test_collections_that_are_not_there(site: Store, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no collection 'cam/clib'") as caught:
        export_bundle(site, "cam/clib", tmp_path / "bundle")
    assert caught.value.hint == "did you mean 'cam/calib'?"
    assert not (tmp_path / "bundle").exists()
    with pytest.raises(NotFoundError, match="no such folder"):
        bring(site, tmp_path / "bundle")


@pytest.mark.parametrize("there", ["a file", "a full folder", "a link"])
def test_a_target_that_is_there_is_refused_and_kept(site: Store, tmp_path: Path, there: str) -> None:
    target = tmp_path / "bundle"
    if there == "a file":
        target.write_text("mine")
    elif there == "a full folder":
        target.mkdir()
        (target / "file").write_text("mine")
    else:
        (tmp_path / "empty").mkdir()
        target.symlink_to(tmp_path / "empty")
    with pytest.raises(ConflictError, match="is there already"):
        export_bundle(site, "cam/calib", target)
    assert [path.name for path in tmp_path.glob("*.part")] == []
    assert there != "a link" or target.is_symlink()
    assert there != "a file" or target.read_text() == "mine"
    assert there != "a full folder" or [path.name for path in target.iterdir()] == ["file"]


def test_an_empty_folder_is_filled(site: Store, tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    export_bundle(site, "cam/calib", tmp_path / "bundle")
    assert len(manifest(tmp_path / "bundle")["products"]) == 3


@pytest.mark.parametrize("what", ["flipped", "truncated", "gone", "verdict", "verdict gone", "instrument"])
def test_a_damaged_repository_is_not_exported(site: Store, tmp_path: Path, what: str) -> None:
    record = site.products(type="bias", instrument="cam")[0]
    path = site.path(record)
    if what.startswith("verdict"):
        path = next(path.parent.glob("*.json"))
    if what == "instrument":
        path = site.instrument_path("cam")
    content = path.read_bytes()
    if what == "flipped":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif what in ("truncated", "verdict"):
        path.write_bytes(content[:-10])
    else:
        path.unlink()
    with pytest.raises((StoreError, NotFoundError), match=path.name):
        export_bundle(site, record.run, tmp_path / "bundle")
    assert [path.name for path in tmp_path.iterdir()] == ["repo"]


def test_no_exposure_is_needed_and_verbs_remain_sensible(site: Store, tmp_path: Path, capsys, monkeypatch) -> None:
    def cpp(*words: object, code: int = 0) -> tuple[str, str]:
        capsys.readouterr()
        assert main([str(word) for word in words]) == code
        said = capsys.readouterr()
        return said.out, said.err

    bundle = tmp_path / "a bundle"
    out, err = cpp("export", "cam/calib", bundle, "--repo", site.root)
    assert f"cpp import '{bundle}'" in err
    assert out.count("written") == 3
    assert "did you mean 'cam/calib'" in cpp("export", "cam/calb", tmp_path / "x", "--repo", site.root, code=2)[1]
    assert cpp("export", "cam/calib", bundle, "--repo", site.root, code=5)[0] == ""
    shutil.move(site.root, tmp_path / "away")
    monkeypatch.setenv("CPP_REPO", str(tmp_path / "summit"))
    cpp("init", tmp_path / "summit")
    assert cpp("import", bundle)[0].count("added") == 3
    again = json.loads(cpp("import", bundle, "--json")[0])
    assert {one["outcome"] for one in again["products"]} == {"already there"}
    product = again["products"][0]
    assert product["id"] in cpp("show", product["id"])[0]
    explained = cpp("explain", product["id"])[0]
    assert "certify in cam/calib" in explained
    assert "certified by Ada" in explained
    found = json.loads(cpp("find", "--products", f"run={product['run']}", "--json")[0])["products"]
    assert product["id"] in {one["id"] for one in found}
    assert "cpp ingest the raw files it was made from" in cpp("verify", product["id"], code=3)[1]
    assert cpp("produce", "--type", "bias", code=3)[1].count("hint: ") == 1


def test_products_of_types_that_are_not_installed_are_checked_by_their_sums(site: Store, tmp_path: Path) -> None:
    export_bundle(site, "cam/extra", tmp_path / "bundle")
    report = bring(Store.create(tmp_path / "summit"), tmp_path / "bundle")
    assert report.by_sums == ("glow",)


def test_a_wrong_instrument_file_is_found_before_anything_is_changed(site: Store, tmp_path: Path) -> None:
    site.instrument_path("cam").write_text("name: cam\ndetectors: nonsense\n")
    export_bundle(site, "cam/calib", tmp_path / "bundle")
    other = Repository.create(tmp_path / "summit")
    before = state(other.store)
    with pytest.raises(InstrumentError, match=r"instrument 'cam' of .*detectors"):
        other.import_bundle(tmp_path / "bundle")
    assert state(other.store) == before


def test_what_the_manifest_does_not_name_is_left_alone(site: Store, tmp_path: Path) -> None:
    bundle = export_bundle(site, "cam/calib", tmp_path / "bundle").folder
    (bundle / "README").write_text("carried by mule")
    (bundle / "products" / "more.fits").write_text("nothing")
    (bundle / "link").symlink_to("/")
    store = Store.create(tmp_path / "another")
    report = bring(store, bundle)
    assert len(report.products) == 3
    assert sorted(path.name for path in (store.root / "products").rglob("*.fits")) == sorted(
        Path(record.path).name for record, _ in report.products
    )
