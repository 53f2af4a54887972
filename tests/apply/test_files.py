"""What `cpp apply` writes: planes, cards, tables, and reading it back."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData, StdDevUncertainty, VarianceUncertainty

from cpp_framework.apply.calibrated import CalibratedImage, read_calibrated
from cpp_framework.apply.request import Applied, ApplyRequest
from cpp_framework.declare import Stage
from cpp_framework.errors import RawFileError
from cpp_framework.model import ImageProduct, Mask


@pytest.fixture(scope="module")
def applied(night: Any, tmp_path_factory: pytest.TempPathFactory) -> Applied:
    (one,) = night.repository.apply([night.first], tmp_path_factory.mktemp("out") / "new" / "folder", jobs=1)
    assert one.state == "written", one.error
    return one


@pytest.fixture(scope="module")
def image(applied: Applied) -> CalibratedImage:
    return read_calibrated(applied.target.output)


def test_the_file_is_clean_fits_and_its_sums_hold(applied: Applied) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with fits.open(applied.target.output, checksum=True) as hdus:
            hdus.verify("exception")
            names = [hdu.name for hdu in hdus]
            assert names == ["DATA", "VARIANCE", "DQ", "CALIBRATIONS", "STEPS", "AMPLIFIERS"]
            assert all("CHECKSUM" in hdu.header and "DATASUM" in hdu.header for hdu in hdus)
            assert hdus[0].data.dtype == np.dtype(">f4")
            assert [hdus[name].header.get("BUNIT") for name in names[:3]] == ["electron", "electron2", None]
            assert hdus["DQ"].header["DQBIT01"] == "SAT"
    assert not list(applied.target.output.parent.glob("*.part"))


def test_cards_of_the_raw_that_still_hold_are_carried_over(night: Any, image: CalibratedImage) -> None:
    header = image.header
    assert (header["OBJECT"], header["OBSERVER"], header["EQUINOX"]) == ("NGC 1275", "a person", 2000.0)
    assert (header["EXPTIME"], header["INSTRUME"]) == (20.0, "simcam")
    with fits.open(night.first) as raw:
        assert header["DATE-OBS"] == raw[0].header["DATE-OBS"]
    for untrue in ("GAIN", "BZERO", "DATASEC", "BIASSEC"):
        assert untrue not in header


def test_every_calibration_is_named_with_id_digest_date_and_stage(night: Any, image: CalibratedImage) -> None:
    record = night.repository.store.product(night.bias)
    header = image.header
    assert header["NCAL"] == 1
    assert (header["CALTYP01"], header["CALID01"], header["CALDIG01"]) == ("bias", record.id, record.digest)
    assert header["CALSTG01"] == "bias"
    assert header["CALDAT01"] == night.repository.product(night.bias).header.created
    used = {one.type: one for one in image.calibrations}
    assert (used["bias"].id, used["bias"].digest, used["bias"].stages) == (record.id, record.digest, (Stage.BIAS,))
    assert "certified in simcam/calib for 2026-11-01" in used["bias"].why
    for name, one in used.items():
        if name != "bias":
            assert not one.id
            said = f"not applied: {name}: {one.why}"  # long lines go on in a further card
            assert said.replace(" ", "") in "".join(header["HISTORY"]).replace(" ", "")
    assert header["GAINSRC"] == "nominal"
    assert image.gains == {"C00": 1.5, "C01": 1.45, "C10": 1.55, "C11": 1.6}
    assert f"bias: bias {record.id}" in image.steps
    assert header["CPPVERS"]


def test_planes_are_the_sky_and_its_noise(image: CalibratedImage) -> None:
    """600 electron of uniform light: the mean of 51200 pixels is known to 0.12 electron, levels add some."""
    assert image.unit == "electron"
    assert image.data.shape == image.mask.shape == image.variance.shape == (200, 256)
    good = image.usable
    assert image.data[good].mean() == pytest.approx(600, abs=2.0)
    assert image.variance[good].mean() == pytest.approx(625, rel=0.03)


def test_ccddata_has_unit_uncertainty_mask_and_meta(image: CalibratedImage) -> None:
    ccd = image.to_ccddata()
    assert isinstance(ccd, CCDData)
    assert str(ccd.unit) == "electron"
    assert isinstance(ccd.uncertainty, VarianceUncertainty)
    np.testing.assert_array_equal(ccd.uncertainty.array, image.variance)
    np.testing.assert_array_equal(ccd.mask, (image.mask & int(Mask.SAT | Mask.BAD_OVERSCAN)) != 0)
    assert ccd.meta["OBJECT"] == "NGC 1275"
    assert ccd.wcs is None


def test_image_products_become_ccddata_too(night: Any) -> None:
    product = night.repository.product(night.bias)
    assert isinstance(product, ImageProduct)
    ccd = product.to_ccddata()
    assert str(ccd.unit) == "adu"
    assert isinstance(ccd.uncertainty, StdDevUncertainty)
    np.testing.assert_array_equal(ccd.data, product.image)
    np.testing.assert_array_equal(ccd.uncertainty.array, product.error)
    assert ccd.meta["CPPID"] == night.bias


def test_stages_end_where_asked_and_gain_can_be_left_out(night: Any, tmp_path: Path) -> None:
    request = ApplyRequest(up_to=Stage.BIAS)
    (one,) = night.repository.apply([night.first], tmp_path / "adu", request, jobs=1)
    image = read_calibrated(one.target.output)
    assert image.unit == "adu"
    assert image.steps[-1] == "variance: read noise and Poisson"
    (two,) = night.repository.apply([night.first], tmp_path / "no", ApplyRequest(without=("gain", "bias")), jobs=1)
    image = read_calibrated(two.target.output)
    assert (image.unit, two.unit) == ("adu", "adu")
    assert "gain: stays adu, the gain stage was left out on request" in image.steps
    assert all(np.isnan(gain) for gain in image.gains.values())
    assert not any(record.id for record in image.calibrations)


def test_serial_and_parallel_runs_write_the_same_pixels(night: Any, tmp_path: Path) -> None:
    planes = []
    for jobs in (1, 2):
        done = night.repository.apply(night.raws, tmp_path / str(jobs), jobs=jobs)
        assert [one.state for one in done] == ["written", "written"]
        planes.append([read_calibrated(one.target.output) for one in done])
    for serial, parallel in zip(*planes, strict=True):
        np.testing.assert_array_equal(serial.data, parallel.data)
        np.testing.assert_array_equal(serial.variance, parallel.variance)
        np.testing.assert_array_equal(serial.mask, parallel.mask)


def test_coordinates_reach_the_ccddata_and_every_plane(night: Any, tmp_path: Path) -> None:
    """Amplifier C00 lies unmirrored in HDU 1, four columns of prescan before it; its frame has an old name."""
    raw = tmp_path / "sky.fits"
    sky = {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.0, "CRPIX1": 30.0, "CRPIX2": 10.0,
        "CD1_1": -1e-4, "CD2_2": 1e-4, "RADECSYS": "FK5",
    }  # fmt: skip
    with fits.open(night.first) as hdus:
        hdus[1].header.update(sky)
        hdus.writeto(raw)
    (one,) = night.repository.apply([raw], tmp_path / "out", jobs=1)
    image = read_calibrated(one.target.output)
    ccd = image.to_ccddata()
    np.testing.assert_allclose(ccd.wcs.wcs_world2pix(150.0, 2.0, 0), (25.0, 9.0), atol=1e-6)
    with fits.open(one.target.output) as hdus:
        assert [hdus[name].header["CRPIX1"] for name in ("DATA", "VARIANCE", "DQ")] == [26.0] * 3


def test_packed_raws_give_the_same_image(night: Any, image: CalibratedImage, tmp_path: Path) -> None:
    with fits.open(night.first) as hdus:
        packed = [fits.CompImageHDU(hdu.data, hdu.header) for hdu in hdus[1:]]
        fits.HDUList([hdus[0].copy(), *packed]).writeto(tmp_path / "packed.fits.fz")
    (one,) = night.repository.apply([tmp_path / "packed.fits.fz"], tmp_path / "out", jobs=1)
    assert one.state == "written", one.error
    same = read_calibrated(one.target.output)
    np.testing.assert_array_equal(same.data, image.data)
    assert not any(keyword.startswith("Z") for keyword in same.header)


def test_a_foreign_file_is_told_apart(night: Any, tmp_path: Path) -> None:
    for path in (night.first, tmp_path / "absent.fits"):
        with pytest.raises(RawFileError, match="not a calibrated image"):
            read_calibrated(path)
