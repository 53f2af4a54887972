"""The file of an exposure: the layout Rubin's reader wants, with everything cpp writes of a product behind it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from cpp_butler.exposure import BoundingBox, Exposure, MaskPlane, Plane
from cpp_butler.formatters import provenance_cards
from cpp_butler.image_product import PLANES, exposure_hdus
from lsst.daf.butler import Butler, DatasetProvenance, DatasetRef

from cpp_framework.api import Repository
from cpp_framework.errors import IncompatibleError, NotFoundError
from cpp_framework.model import fits as product_fits
from cpp_framework.model.mask import Mask
from cpp_framework.model.product import ImageProduct
from cpp_framework.model.timespan import to_iso


@pytest.fixture(scope="module")
def product(night: Any) -> ImageProduct:
    read = Repository.open(night.root, write=False).product(night.late)
    assert isinstance(read, ImageProduct)
    return read


@pytest.fixture(scope="module")
def file(product: ImageProduct, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("file") / "exposure.fits"
    exposure_hdus(product, {"LSST BUTLER ID": "some-id"}).writeto(path, checksum=True)
    return path


def test_three_planes_then_the_tables_of_the_product(product: ImageProduct, file: Path) -> None:
    own = [hdu.name for hdu in product_fits.to_hdus(product)]
    with fits.open(file, checksum=True) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "IMAGE", "MASK", "VARIANCE", *own[4:]]
        assert own[:4] == ["PRIMARY", "DATA", "ERR", "DQ"]
        for hdu, bitpix, unit in zip(hdus[1:4], (-32, 32, -32), ("adu", None, "(adu)**2"), strict=True):
            assert hdu.header["EXTTYPE"] == hdu.name
            assert hdu.header["INHERIT"] is True
            assert (hdu.header["BITPIX"], hdu.header.get("BUNIT")) == (bitpix, unit)
        assert [row["EXPOSURE"] for row in hdus["INPUTS"].data if row["USED"]] == list(product.stacked)


def test_mask_planes_are_named_with_their_numbers(file: Path) -> None:
    header = fits.getheader(file, "MASK")
    assert {key.removeprefix("MP_"): header[key] for key in header if key.startswith("MP_")} == PLANES
    assert {name: 1 << number for name, number in PLANES.items()} == {plane.name: int(plane) for plane in Mask}


def test_dates_are_tai(product: ImageProduct, file: Path) -> None:
    header = fits.getheader(file)
    of = product.header
    assert of is not None
    assert of.begin is not None
    assert of.end is not None
    assert header["TIMESYS"] == "TAI"
    expected = {"BEG": of.begin, "OBS": of.begin, "AVG": (of.begin + of.end) // 2, "END": of.end}
    for suffix, instant in expected.items():
        assert header[f"DATE-{suffix}"] == to_iso(instant, "tai")
        assert header[f"MJD-{suffix}"] == pytest.approx(40587 + instant / 86_400e9, abs=1e-9)
    assert header["LSST ISR UNITS"] == "adu"
    assert header["LSST BUTLER ID"] == "some-id"


def test_reading_and_writing_change_nothing(file: Path, tmp_path: Path) -> None:
    read = Exposure.readFits(str(file))
    read.metadata["HISTORY OF IT"] = "a long story, " * 10 + "told"
    read.writeFits(str(tmp_path / "again.fits"))
    again = Exposure.readFits(str(tmp_path / "again.fits"))
    assert again.getMetadata() == read.metadata
    assert again.getMask().getMaskPlaneDict() == PLANES
    for name in ("getImage", "getMask", "getVariance"):
        assert np.array_equal(getattr(again, name)().array, getattr(read, name)().array, equal_nan=True)
        assert getattr(again, name)().getBBox() == again.getBBox() == BoundingBox(0, 0, 256, 200)


def test_a_file_of_another_layout_is_refused(night: Any) -> None:
    repository = Repository.open(night.root, write=False)
    with pytest.raises(IncompatibleError, match="HDUs 1 to 3 of an exposure"):
        Exposure.readFits(str(repository.store.path(repository.store.product(night.late))))


def test_an_unknown_mask_plane_is_named() -> None:
    mask = MaskPlane(np.zeros((2, 2), np.int32), {"BAD": 0, "SAT": 1})
    assert mask.getPlaneBitMask("SAT") == 2
    with pytest.raises(NotFoundError, match="no mask plane 'HOT'; the mask has BAD, SAT"):
        mask.getPlaneBitMask("HOT")


def test_the_box_is_written_as_rubin_writes_it() -> None:
    assert str(Plane(np.zeros((4000, 4072))).getBBox()) == "(minimum=(0, 0), maximum=(4071, 3999))"


def test_provenance_keeps_all_inputs_however_many(exported: Path, tmp_path: Path) -> None:
    butler = Butler(str(exported))
    (bias,) = butler.query_datasets("bias", collections="ci_cpp_bias")
    raw = butler.query_datasets("raw", collections="simcam/raw/all")[0]
    provenance = DatasetProvenance()
    inputs = [DatasetRef(raw.datasetType, raw.dataId, run=raw.run) for _ in range(3500)]
    for ref in inputs:
        provenance.add_input(ref)
    exposure = butler.get(bias)
    exposure.metadata.update(provenance_cards(provenance, bias))
    exposure.writeFits(str(tmp_path / "many.fits"))
    header = fits.getheader(tmp_path / "many.fits")
    assert sum(key.startswith("LSST BUTLER INPUT") and key.endswith("ID") for key in header) == 3500
    assert [header[f"LSST BUTLER INPUT {n} ID"] for n in range(3500)] == [str(ref.id) for ref in inputs]


def test_components_are_refused_by_name(exported: Path) -> None:
    butler = Butler(str(exported))
    (ref,) = butler.query_datasets("bias", collections="ci_cpp_bias")
    with pytest.raises(Exception, match="reads whole datasets only, not the component 'image'"):
        butler.get(ref.makeComponentRef("image"))


@pytest.mark.parametrize("packed", [".fits.gz", ".FIT"])
def test_raw_files_of_any_name(packed: str, night: Any, cpp: Callable[..., Any], export: Any, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    with fits.open(night.exposures[0].exposure.path) as hdus:
        hdus.writeto(tmp_path / "raw" / f"one{packed}")
        pixels = np.array(hdus[1].data)
    cpp("init", tmp_path / "repo", "--instrument", "simcam")
    cpp("ingest", tmp_path / "raw" / f"one{packed}", "--repo", tmp_path / "repo")
    export(tmp_path / "repo", tmp_path / "butler")
    butler = Butler(str(tmp_path / "butler"))
    (ref,) = butler.query_datasets("raw", collections="simcam/raw/all")
    assert np.array_equal(butler.get(ref).images["C00"], pixels)
