"""What a Rubin user finds in an exported repository, in processes that import nothing of ours by themselves."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from cpp_butler.instants import timespan
from cpp_butler.report import ExportReport
from lsst.daf.butler import Butler

from cpp_framework.api import Repository
from cpp_framework.model.product import ImageProduct
from cpp_framework.store import Store

Export = Callable[..., ExportReport]
Run = Callable[..., Any]

CALIB = "simcam/calib"


def test_collections_are_ours_by_name_and_kind(night: Any, exported: Path, fresh: Run) -> None:
    code = """
butler = Butler(sys.argv[1])
answer = [[one.name, one.type.name, list(one.children)] for one in butler.collections.query_info("*")]
"""
    store = Store.open(night.root, write=False)
    early, late = (store.product(one).run for one in (night.early, night.late))
    assert fresh(code, exported) == [
        [CALIB, "CALIBRATION", []],
        ["simcam/raw/all", "RUN", []],
        [early, "RUN", []],
        [late, "RUN", []],
        ["best/biases", "TAGGED", []],
        ["ci_cpp_bias", "CHAINED", [late, early]],
    ]


def test_products_have_our_ids_and_a_chain_finds_the_newest(night: Any, exported: Path, fresh: Run) -> None:
    code = """
butler = Butler(sys.argv[1])
every = butler.query_datasets("bias", collections="ci_cpp_bias", find_first=False)
first = butler.query_datasets("bias", collections="ci_cpp_bias")
tagged = butler.query_datasets("bias", collections="best/biases")
answer = [[str(ref.id) for ref in refs] for refs in (every, first, tagged)] + [repr(every[0].datasetType)]
"""
    every, first, tagged, dataset_type = fresh(code, exported)
    assert sorted(every) == sorted([night.early, night.late])
    assert first == tagged == [night.late]
    assert dataset_type == "DatasetType('bias', {instrument, detector}, ExposureF, isCalibration=True)"


def test_the_image_is_that_of_the_product(night: Any, exported: Path, fresh: Run, tmp_path: Path) -> None:
    code = """
import numpy
butler = Butler(sys.argv[1])
exposure = butler.get(butler.query_datasets("bias", collections="ci_cpp_bias")[0])
planes = {name: getattr(exposure, name).array for name in ("image", "mask", "variance")}
numpy.savez(sys.argv[2], **planes)
answer = [str(exposure.getBBox()), exposure.mask.getMaskPlaneDict(), exposure.getMetadata()["CPPID"]]
"""
    box, planes, identifier = fresh(code, exported, tmp_path / "planes.npz")
    product = Repository.open(night.root, write=False).product(night.late)
    assert isinstance(product, ImageProduct)
    with np.load(tmp_path / "planes.npz") as found:
        assert found["image"].dtype == np.float32
        assert np.array_equal(found["image"], product.image, equal_nan=True)
        assert np.array_equal(found["variance"], product.error**2, equal_nan=True)
        assert np.array_equal(found["mask"], product.mask.view(np.int32))
    assert box == "(minimum=(0, 0), maximum=(255, 199))"
    assert (planes["BAD"], planes["SAT"], planes["NO_DATA"], planes["REJECTED"]) == (0, 1, 8, 23)
    assert identifier == night.late


def test_a_calibration_is_found_by_the_date_of_an_exposure(night: Any, exported: Path, fresh: Run) -> None:
    code = """
butler = Butler(sys.argv[1])
answer = [
    butler.get("bias", instrument="simcam", detector=0, exposure=int(n), collections="simcam/calib").metadata["CPPID"]
    for n in sys.argv[2:]
]
"""
    numbers = [one.exposure.number for one in night.exposures]
    assert fresh(code, exported, *numbers) == [night.early] * 3 + [night.late] * 3


@pytest.mark.parametrize(("offset", "which"), [(-1, "early"), (0, "late"), (1, "late")])
def test_the_boundary_is_exact_to_the_nanosecond(night: Any, exported: Path, offset: int, which: str) -> None:
    butler = Butler(str(exported))
    instant = night.change + offset
    when = timespan(instant, instant, "an instant")
    found = butler.find_dataset("bias", instrument="simcam", detector=0, collections=CALIB, timespan=when)
    assert found is not None
    assert str(found.id) == getattr(night, which)


def test_exposures_and_cameras(night: Any, exported: Path) -> None:
    butler = Butler(str(exported))
    (camera,) = butler.query_dimension_records("instrument")
    (detector,) = butler.query_dimension_records("detector", instrument="simcam")
    records = {one.id: one for one in butler.query_dimension_records("exposure", instrument="simcam")}
    assert (camera.name, camera.detector_max) == ("simcam", 1)
    assert (detector.id, detector.full_name) == (0, "S00")
    for stored in night.exposures:
        ours = stored.exposure
        record = records.pop(ours.number)
        assert (record.obs_id, record.observation_type, record.day_obs) == (ours.id, "bias", ours.day_obs)
        assert (record.physical_filter, record.group) == ("unknown", ours.id)
        assert record.timespan.nsec == (ours.begin, max(ours.end, ours.begin + 1))
    assert not records


def test_raw_files_are_read_as_the_camera_wrote_them(night: Any, exported: Path, fresh: Run, tmp_path: Path) -> None:
    code = """
import numpy
butler = Butler(sys.argv[1])
raw = butler.get("raw", instrument="simcam", detector=0, exposure=int(sys.argv[2]), collections="simcam/raw/all")
numpy.savez(sys.argv[3], **raw.images)
answer = [raw.metadata["OBSID"], list(raw.images), sorted(raw.headers)]
"""
    one = night.exposures[2].exposure
    name, images, headers = fresh(code, exported, one.number, tmp_path / "images.npz")
    assert (name, images, headers) == (one.id, ["C00", "C01", "C10", "C11"], ["C00", "C01", "C10", "C11"])
    with np.load(tmp_path / "images.npz") as found, fits.open(one.path) as written:
        for i, image in enumerate(images, start=1):
            assert np.array_equal(found[image], written[i].data)
            assert found[image].dtype == np.uint16


def test_provenance_names_the_raw_files_used(night: Any, exported: Path, fresh: Run) -> None:
    code = """
from lsst.daf.butler import DatasetProvenance
butler = Butler(sys.argv[1])
metadata = butler.get(butler.query_datasets("bias", collections="ci_cpp_bias")[0]).metadata
provenance, ref = DatasetProvenance.from_flat_dict(metadata, butler)
inputs = [butler.get_dataset(one.id) for one in provenance.inputs]
answer = [str(ref.id), [[one.datasetType.name, one.dataId["exposure"]] for one in inputs]]
"""
    identifier, inputs = fresh(code, exported)
    used = Store.open(night.root, write=False)
    header = used.header(used.product(night.late))
    assert identifier == night.late
    assert inputs == [["raw", one.number] for one in header.used]
    assert len(inputs) == 5


def test_a_copy_of_the_repository_reads(exported: Path, fresh: Run, tmp_path: Path) -> None:
    shutil.copytree(exported, tmp_path / "elsewhere")
    code = """
butler = Butler(sys.argv[1])
raws = butler.query_datasets("raw", collections="simcam/raw/all")
biases = butler.query_datasets("bias", collections="ci_cpp_bias", find_first=False)
answer = [len(raws), len(biases), [butler.get(ref).getBBox().height for ref in biases], len(butler.get(raws[0]).images)]
"""
    assert fresh(code, tmp_path / "elsewhere") == [6, 2, [200, 200], 4]


@pytest.mark.parametrize("raws", ["link", "copy", "direct"])
def test_raw_files_come_over_as_asked(night: Any, export: Export, tmp_path: Path, raws: str) -> None:
    export(night.root, tmp_path / "butler", raws=raws)
    butler = Butler(str(tmp_path / "butler"))
    for ref in butler.query_datasets("raw", collections="simcam/raw/all"):
        path = Path(butler.getURI(ref).ospath)
        source = next(one.exposure.path for one in night.exposures if one.exposure.number == ref.dataId["exposure"])
        assert path.is_relative_to(tmp_path) == (raws != "direct")
        assert path.samefile(source) == (raws != "copy")
        assert path.read_bytes() == Path(source).read_bytes()


def test_raw_files_have_the_ids_every_butler_gives_them(
    night: Any, exported: Path, export: Export, tmp_path: Path
) -> None:
    export(night.root, tmp_path / "other", raws="copy")
    ids = [
        {ref.id for ref in Butler(str(root)).query_datasets("raw", collections="simcam/raw/all")}
        for root in (exported, tmp_path / "other")
    ]
    assert ids[0] == ids[1]
    assert len(ids[0]) == 6


def test_the_report_counts_what_is_new_and_what_was_there(night: Any, export: Export, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    first = export(night.root, tmp_path / "butler", progress=lambda *done: seen.append(done))
    assert first == ExportReport(
        instruments=1, detectors=1, exposures=6, raws=6, products=2, runs=3, chains=1, tagged=1, validities=2
    )
    assert seen[-1] == (8, 8)
    assert seen == sorted(seen)
    index = (tmp_path / "butler" / "gen3.sqlite3").read_bytes()
    assert export(night.root, tmp_path / "butler") == ExportReport(already=1 + 1 + 6 + 6 + 2 + 1 + 1 + 2)
    assert (tmp_path / "butler" / "gen3.sqlite3").read_bytes() == index
