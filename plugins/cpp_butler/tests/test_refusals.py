"""What Butler cannot hold is refused by name before anything is written, or left out with the reason."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from cpp_butler.entries import expressible
from cpp_butler.export import export_repository
from cpp_butler.report import ExportReport, Skipped
from lsst.daf.butler import Butler

from cpp_framework.api import Repository
from cpp_framework.camera.catalogue import load_instrument
from cpp_framework.declare import CalibrationType, Inputs
from cpp_framework.errors import ConfigError, ConflictError, CppError, IncompatibleError
from cpp_framework.model import fits as product_fits
from cpp_framework.model.exposure import Exposure
from cpp_framework.model.identity import new_id
from cpp_framework.model.product import Product
from cpp_framework.plugins import discover
from cpp_framework.store import RawFile, Store

Export = Callable[..., ExportReport]

BEGIN = 1_795_377_600_000_000_000
YEAR_2100 = 4_102_444_800_000_000_000


@pytest.fixture
def own(night: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(night.root, tmp_path / "repo"))


def exposure(number: int, **changes: Any) -> Exposure:
    fields = {
        "instrument": "simcam",
        "id": f"E{number}",
        "detector": 0,
        "number": number,
        "kind": "flat",
        "exposure_time": 1.0,
        "dark_time": 1.0,
        "begin": BEGIN + number,
        "end": BEGIN + number + 10**9,
        "day_obs": 20261122,
    }
    return Exposure(**fields | changes)


@pytest.fixture
def try_export(tmp_path: Path) -> Callable[..., ExportReport]:
    """Export a repository that holds these exposures, each with a small file, to the folder ``butler``."""

    def run(exposures: Sequence[Exposure]) -> ExportReport:
        store = Store.create(tmp_path / "repo")
        camera = load_instrument("simcam")
        store.add_instrument("name: simcam", "simcam")
        for one in exposures:
            path = tmp_path / f"{one.number}_{one.detector}_{len(one.id)}.fits"
            path.write_bytes(b"raw")
            state = path.stat()
            store.ingest([RawFile(path, state.st_size, state.st_mtime_ns, (one,))])
        return export_repository(store, lambda _: camera, tmp_path / "butler")

    return run


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"id": "x" * 65}, "exposure 1 of simcam: obs_id 'x+' has 65 characters, Butler allows 64"),
        ({"filter": "f" * 33}, "exposure 1 of simcam: physical_filter 'f+' has 33 characters, Butler allows 32"),
        (
            {"filter": "r", "band": "b" * 33},
            "physical_filter r of simcam: band 'b+' has 33 characters, Butler allows 32",
        ),
        ({"group": "g" * 65}, "exposure 1 of simcam: group 'g+' has 65 characters, Butler allows 64"),
        ({"object": "o" * 65}, "exposure 1 of simcam: target_name 'o+' has 65 characters, Butler allows 64"),
        ({"begin": YEAR_2100, "end": YEAR_2100 + 1}, "exposure E1: 2099-12-31.* is outside the years 1970 to 2099"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_does_not_fit_is_named(
    try_export: Callable[..., Any], changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(IncompatibleError, match=words) as refused:
        try_export([exposure(0), exposure(1, **changes)])
    assert refused.value.hint
    assert not (tmp_path / "butler").exists()


def test_two_exposures_with_one_number_are_named(try_export: Callable[..., Any]) -> None:
    with pytest.raises(ConflictError, match="E1, other all have the number 1"):
        try_export([exposure(1), exposure(1, id="other")])


def test_a_filter_with_two_bands_is_named(try_export: Callable[..., Any]) -> None:
    with pytest.raises(ConflictError, match="filter 'R' of simcam has band 'r' in one exposure and 'i' in E3"):
        try_export([exposure(n, filter="R", band=band) for n, band in ((1, "r"), (2, ""), (3, "i"))])


def test_exposures_without_a_date_are_left_out_by_name(try_export: Callable[..., Any]) -> None:
    report = try_export([exposure(1), exposure(2, begin=None, end=None, day_obs=None)])
    assert (report.exposures, report.raws) == (1, 1)
    (left_out,) = report.skipped
    assert left_out.what == "exposure E2 of simcam detector 0"
    assert "no date" in left_out.reason


def test_filters_and_bands(try_export: Callable[..., Any], tmp_path: Path) -> None:
    try_export([exposure(1, filter="R", band="r"), exposure(2, filter="R"), exposure(3)])
    records = Butler(str(tmp_path / "butler")).query_dimension_records("physical_filter", instrument="simcam")
    assert {one.name: one.band for one in records} == {"R": "r", "unknown": "unknown"}


def test_detectors_of_one_exposure_are_one_exposure(tmp_path: Path) -> None:
    camera = load_instrument("simcam")
    second = camera.detectors[0].model_copy(update={"id": 1, "name": "S01"})
    camera = camera.model_copy(update={"detectors": (*camera.detectors, second)})
    store = Store.create(tmp_path / "repo")
    store.add_instrument("name: simcam", "simcam")
    path = tmp_path / "both.fits"
    path.write_bytes(b"raw")
    state = path.stat()
    both = (exposure(1), exposure(1, detector=1, end=BEGIN + 5 * 10**9))
    store.ingest([RawFile(path, state.st_size, state.st_mtime_ns, both)])
    report = export_repository(store, lambda _: camera, tmp_path / "butler")
    assert (report.detectors, report.exposures, report.raws) == (2, 1, 2)
    butler = Butler(str(tmp_path / "butler"))
    raws = butler.query_datasets("raw", collections="simcam/raw/all")
    assert {ref.dataId["detector"] for ref in raws} == {0, 1}
    assert len({butler.getURI(ref) for ref in raws}) == 1
    (record,) = butler.query_dimension_records("exposure", instrument="simcam")
    assert record.timespan.nsec == (BEGIN + 1, BEGIN + 5 * 10**9)


def put_like(root: Path, identifier: str, **changes: Any) -> str:
    """Store a product once more under another id, with a changed header."""
    repository = Repository.open(root)
    product = repository.product(identifier)
    assert product.header is not None
    header = product.header.model_copy(update={"id": new_id(), **changes})
    changed = product.with_header(header)
    assert isinstance(changed, Product)
    assert changed.header is not None
    staged = repository.store.staging_file(changed.header.recipe)
    product_fits.write(changed, staged)
    return repository.store.put(staged, changed.header).id


def test_products_that_differ_in_what_butler_does_not_know_are_refused(
    night: Any, own: Path, export: Export, tmp_path: Path
) -> None:
    put_like(own, night.late, key={"binning": [2, 2], "detector": 0, "mode": ""})
    with pytest.raises(
        ConflictError, match=r"both in run ci_cpp_bias/.* they differ in binning \(\[1, 1\], \[2, 2\]\)"
    ):
        export(own, tmp_path / "butler")
    assert not (tmp_path / "butler").exists()


def test_so_are_tagged_products(night: Any, own: Path, export: Export, tmp_path: Path) -> None:
    Store.open(own).tag("best/biases", [night.early])
    with pytest.raises(ConflictError, match="both in collection best/biases, and only their runs differ"):
        export(own, tmp_path / "butler")
    assert not (tmp_path / "butler").exists()


def test_and_products_valid_at_one_time(night: Any, own: Path, export: Export, tmp_path: Path) -> None:
    store = Store.open(own)
    run = store.new_run("bias")
    other = put_like(own, night.late, key={"binning": [1, 1], "detector": 0, "mode": "fast"}, run=run)
    verdict = store.verdicts(night.late)[0]
    store.put_verdict(verdict.model_copy(update={"id": new_id(), "product": other}))
    store.certify([other], None, night.change)
    with pytest.raises(
        ConflictError, match=r"force at one time in simcam/calib, and they differ in mode \('', 'fast'\)"
    ):
        export(own, tmp_path / "butler")
    store.decertify([other], None, night.change)
    store.certify([other], night.change, night.change + 5)
    with pytest.raises(ConflictError, match="force at one time"):
        export(own, tmp_path / "butler")


PER_FILTER = {"detector": 0, "filter": "RG610~empty"}


def test_products_of_one_type_with_and_without_a_filter_are_refused(
    night: Any, own: Path, export: Export, tmp_path: Path
) -> None:
    put_like(own, night.late, key=PER_FILTER, run=Store.open(own).new_run("bias"))
    with pytest.raises(ConflictError, match=r"only one of bias .* is made per filter"):
        export(own, tmp_path / "butler")
    assert not (tmp_path / "butler").exists()


def test_products_made_per_filter_have_the_dimension(
    night: Any, own: Path, export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugins = discover()
    plugins.types["illumination"] = CalibrationType(
        *("illumination", "", 1, "cpp_bias.product:Bias", "a:b", "a:b", "a:b"), inputs=(Inputs("flat"),)
    )
    monkeypatch.setattr("cpp_butler.export.installed", lambda: plugins)
    run = Store.open(own).new_run("illumination")
    identifier = put_like(own, night.late, type="illumination", key=PER_FILTER, run=run)
    assert export(own, tmp_path / "butler").products == 3
    butler = Butler(str(tmp_path / "butler"))
    (ref,) = butler.query_datasets("illumination", collections="ci_cpp_illumination")
    assert str(ref.id) == identifier
    data_id = "{instrument: 'simcam', detector: 0, physical_filter: 'RG610~empty', band: 'unknown'}"
    assert str(ref).startswith(f"illumination@{data_id} [sc=ExposureF]")
    assert butler.get(ref).metadata["FILTER"] == "RG610~empty"


def test_a_damaged_and_a_missing_product_are_left_out_by_name(
    night: Any, own: Path, export: Export, tmp_path: Path
) -> None:
    store = Store.open(own)
    damaged, missing = (store.path(store.product(one)) for one in (night.early, night.late))
    damaged.chmod(0o644)
    content = bytearray(damaged.read_bytes())
    content[40_000] ^= 1
    damaged.write_bytes(content)
    missing.unlink()
    report = export(own, tmp_path / "butler")
    assert (report.products, report.validities, report.chains, report.raws) == (0, 0, 0, 6)
    assert [one.what for one in report.skipped] == [
        f"bias {one[-8:]} of simcam detector 0" for one in (night.early, night.late)
    ]
    assert str(damaged) in report.skipped[0].reason
    assert str(missing) in report.skipped[1].reason


def test_raw_files_that_are_gone_or_changed_are_left_out_by_name(
    night: Any, export: Export, tmp_path: Path, cpp: Callable[..., Any]
) -> None:
    shutil.copytree(night.raws, tmp_path / "raw")
    cpp("init", tmp_path / "repo", "--instrument", "simcam")
    cpp("ingest", tmp_path / "raw", "--repo", tmp_path / "repo")
    first, second, *rest = sorted((tmp_path / "raw").glob("*.fits"))
    (tmp_path / "kept").write_bytes(first.read_bytes())
    first.unlink()
    second.touch()
    report = export(tmp_path / "repo", tmp_path / "butler")
    assert report.raws == len(rest) == 4
    assert report.exposures == 6
    gone, changed = report.skipped
    assert f"its file {first} cannot be read" in gone.reason
    assert f"its file {second} changed since it was ingested" in changed.reason
    for path in rest:
        path.unlink()
    again = export(tmp_path / "repo", tmp_path / "butler")
    assert [one.what for one in again.skipped] == [gone.what, changed.what]
    assert again.raws == 0


def test_types_without_a_form_of_rubins_are_left_out_by_name(night: Any) -> None:
    record = Store.open(night.root, write=False).product(night.early)
    plugins = discover([])
    skipped: list[Skipped] = []
    assert expressible([record], plugins, skipped) == []
    plugins.types["bias"] = CalibrationType(
        *("bias", "", 1, "cpp_framework.model.product:TableProduct", "a:b", "a:b", "a:b"), inputs=(Inputs("bias"),)
    )
    assert expressible([record], plugins, skipped) == []
    assert {one.what for one in skipped} == {f"bias {night.early[-8:]} of simcam detector 0"}
    assert "no calibration type 'bias'" in skipped[0].reason
    assert skipped[1].reason == "bias is a TableProduct; this version of cpp-butler exports ImageProduct only"


def test_a_detector_that_is_gone_from_the_camera_is_left_out_by_name(night: Any, own: Path, tmp_path: Path) -> None:
    repository = Repository.open(own, write=False)
    camera = repository.instrument("simcam")
    other = camera.model_copy(update={"detectors": (camera.detectors[0].model_copy(update={"id": 7}),)})
    report = export_repository(repository.store, lambda _: other, tmp_path / "butler")
    assert (report.detectors, report.exposures, report.products, len(report.skipped)) == (1, 0, 0, 8)
    assert {one.reason for one in report.skipped} == {"instrument simcam has no detector 0"}


ODD = ["a/b", "a_b", "a#1", "a#2", "../../evil", "a b", "é", "a:b?", "a%20b"]


def test_odd_names_of_exposures_never_share_a_file(try_export: Callable[..., Any], tmp_path: Path) -> None:
    """Butler's own template drops such characters: the second file would replace the first."""
    odd = [exposure(n, id=name, filter=name, group=name) for n, name in enumerate(ODD)]
    assert try_export(odd).raws == len(ODD)
    butler = Butler(str(tmp_path / "butler"))
    refs = butler.query_datasets("raw", collections="simcam/raw/all")
    paths = {Path(butler.getURI(ref).ospath) for ref in refs}
    assert len(paths) == len(ODD)
    assert all(path.is_relative_to(tmp_path / "butler" / "simcam" / "raw") for path in paths)
    assert {one.obs_id for one in butler.query_dimension_records("exposure", instrument="simcam")} == set(ODD)


def test_another_exposure_of_the_same_number_over_there_is_refused(
    night: Any, own: Path, export: Export, try_export: Callable[..., Any], tmp_path: Path
) -> None:
    shutil.move(own, tmp_path / "night")
    try_export([exposure(1)])
    with pytest.raises(ConflictError, match="has exposure 1 of simcam with obs_id E1; here it is SIM_"):
        export(tmp_path / "night", tmp_path / "butler")


@pytest.mark.parametrize("name", ["a#b", "a?b", "a%20b"])
def test_folders_butler_cannot_open_are_refused(night: Any, export: Export, tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="takes paths for URLs"):
        export(night.root, tmp_path / name)
    assert not (tmp_path / name).exists()


def test_a_folder_with_other_things_in_it_is_left_alone(night: Any, export: Export, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("chapter one")
    for target in (tmp_path / "full", tmp_path / "full" / "thesis.tex"):
        with pytest.raises(ConflictError, match="is not a Butler repository"):
            export(night.root, target)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["thesis.tex"]


def test_odd_names_of_folders_and_raw_files_work(
    night: Any, export: Export, tmp_path: Path, cpp: Callable[..., Any]
) -> None:
    raws = shutil.copytree(night.raws, tmp_path / "n#r %20?")
    cpp("init", tmp_path / "repo", "--instrument", "simcam")
    cpp("ingest", raws, "--repo", tmp_path / "repo")
    assert export(tmp_path / "repo", tmp_path / "a night.1").raws == 6
    assert len(Butler(str(tmp_path / "a night.1")).query_datasets("raw", collections="simcam/raw/all")) == 6


def test_a_second_export_at_the_same_time_is_refused(night: Any, export: Export, tmp_path: Path) -> None:
    export(night.root, tmp_path / "butler")
    with (tmp_path / "butler" / ".cpp_export" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ConflictError, match="another export is writing"):
            export(night.root, tmp_path / "butler")
    assert export(night.root, tmp_path / "butler").products == 0


def test_an_unknown_way_of_taking_raw_files_is_refused(night: Any, export: Export, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'move'"):
        export(night.root, tmp_path / "butler", raws="move")


def test_a_damaged_index_is_named(night: Any, export: Export, tmp_path: Path) -> None:
    export(night.root, tmp_path / "butler")
    (tmp_path / "butler" / "gen3.sqlite3").write_bytes(b"not a database, but long enough to be read as one" * 100)
    with pytest.raises(CppError, match="index of the Butler repository"):
        export(night.root, tmp_path / "butler")
