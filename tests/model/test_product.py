"""Products: immutable, bit for bit through FITS, and a digest of content only."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from cpp_framework.errors import ContractError, FormatVersionError, IncompatibleError, StoreError
from cpp_framework.model import AmplifierResult, Header, ImageProduct, InputRecord, Measured, TableProduct
from cpp_framework.model import fits as product_fits


def make(**changes: Any) -> ImageProduct:
    rng = np.random.default_rng(1)
    levels = Table({"LEVEL": [1.0, 2.0], "NAME": ["e1", "e2"]})
    levels["LEVEL"].unit = "adu"
    image = rng.normal(size=(5, 7)).astype(np.float32)
    image[0, 0] = np.nan
    fields: dict[str, Any] = {
        "image": image,
        "error": np.full((5, 7), 0.5, np.float32),
        "mask": rng.integers(0, 2**32, (5, 7), dtype=np.uint32),
        "used": np.full((5, 7), 3, np.uint16),
        "rejected": np.array([[1, 2, 3, 2]], np.int32),
        "stacked": ("e1", "e2"),
        "unit": "adu",
        "amplifiers": {"A": AmplifierResult(values={"read_noise": Measured(value=3.1, error=0.1, unit="adu")})},
        "metrics": {"n": Measured(value=2)},
        "refused": {"e3": "level 5 adu off"},
        "tables": {"LEVELS": levels},
    }
    return ImageProduct(**(fields | changes))


def header(**changes: Any) -> Header:
    inputs = (InputRecord(exposure="e1", number=1, selection="bias", digest="d" * 64, reason="ä long  reason " * 99),)
    fields: dict[str, Any] = {"id": "i", "type": "t", "revision": 1, "instrument": "cam", "detector": 0, "recipe": "r"}
    return Header(**(fields | {"inputs": inputs} | changes))


def test_round_trip_is_bit_for_bit(tmp_path: Path) -> None:
    product = make().with_header(header())
    product_fits.write(product, tmp_path / "p.fits")
    again = product_fits.read(tmp_path / "p.fits", ImageProduct)
    for name, plane in product.planes().items():
        np.testing.assert_array_equal(again.planes()[name], plane)
        assert again.planes()[name].dtype == plane.dtype
    assert again.header == product.header
    assert again.amplifiers == product.amplifiers
    assert again.content_digest() == product.content_digest() == product.header.digest  # type: ignore[union-attr]


def test_the_file_is_conforming_and_plain_tools_read_it(tmp_path: Path) -> None:
    product_fits.write(make().with_header(header()), tmp_path / "p.fits")
    with fits.open(tmp_path / "p.fits", checksum=True) as hdus:
        hdus.verify("exception")
        assert hdus[1].name == "DATA"
        assert hdus[1].header["BUNIT"] == "adu"
        assert hdus[1].data.dtype.kind == "f"
        assert hdus["DQ"].header["DQBIT00"] == "BAD"
        assert hdus[0].header["NCOMBINE"] == 1
        assert hdus["AMPLIFIERS"].data["READ_NOISE"][0] == 3.1


@pytest.mark.parametrize(
    "change",
    [
        {"unit": "electron"},
        {"used": np.full((5, 7), 2, np.uint16)},
        {"stacked": ("e1", "e9")},
        {"tables": {}},
        {"metrics": {}},
        {"error": np.full((5, 7), 0.6, np.float32)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_digest_sees_content(change: dict[str, Any]) -> None:
    assert make(**change).content_digest() != make().content_digest()


def test_digest_ignores_who_when_and_where() -> None:
    one = make().with_header(header())
    two = make().with_header(header(id="j", created="2030-01-01", host="elsewhere", user="me"))
    assert one.header is not None
    assert two.header is not None
    assert one.header.digest == two.header.digest


def test_products_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        make().image[0, 0] = 1


def test_wrong_planes_are_refused() -> None:
    with pytest.raises(ContractError, match="mask is int64"):
        make(mask=np.zeros((5, 7), np.int64))
    with pytest.raises(ContractError, match="shape"):
        make(error=np.zeros((5, 6), np.float32))


def test_text_fits_cannot_hold_is_refused() -> None:
    with pytest.raises(ContractError, match="LEVELS, column NAME"):
        make(tables={"LEVELS": Table({"NAME": ["é"]})})


def test_fields_and_tables_no_file_keeps_are_refused() -> None:
    @dataclass(frozen=True, eq=False, kw_only=True)
    class Forgetful(ImageProduct):
        extra: float = 0.0

    good = {field.name: getattr(make(), field.name) for field in fields(ImageProduct)}
    with pytest.raises(ContractError, match="no file keeps: extra"):
        Forgetful(**good, extra=3.0)
    with pytest.raises(ContractError, match="'levels'"):
        make(tables={"levels": Table({"A": [1.0]})})


def test_other_formats_and_newer_ones_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    product_fits.write(make().with_header(header()), tmp_path / "p.fits")
    with pytest.raises(IncompatibleError, match="image"):
        product_fits.read(tmp_path / "p.fits", TableProduct)
    monkeypatch.setattr(ImageProduct, "minimum_reader", (2, 0))
    product_fits.write(make().with_header(header()), tmp_path / "new.fits")
    with pytest.raises(FormatVersionError, match=r"2\.0"):
        product_fits.read(tmp_path / "new.fits", ImageProduct)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "p.fits"
    product_fits.write(make().with_header(header()), path)
    path.write_bytes(path.read_bytes()[:6000])
    with pytest.raises(StoreError, match=r"p\.fits"):
        product_fits.read(path, ImageProduct)
    path.write_bytes(b"not FITS")
    with pytest.raises(StoreError, match=r"p\.fits"):
        product_fits.read(path, ImageProduct)


def test_rejected_runs_become_a_mask() -> None:
    found = make().rejected_mask("e2")
    assert found.sum() == 2
    assert found[2, 3]
    assert found[2, 4]
    assert not make().rejected_mask("e1").any()


def test_notebook_text_escapes() -> None:
    product = make(amplifiers={"<A>": AmplifierResult(reason="a < b")})
    assert "&lt;A&gt;" in product._repr_html_()
