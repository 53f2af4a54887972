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
from cpp_framework.model import AmplifierResult, Exposure, Header, ImageProduct, InputRecord, Measured, TableProduct
from cpp_framework.model import fits as product_fits
from cpp_framework.model.header import NeedRecord
from cpp_framework.model.timespan import to_tai_ns


def make(**changes: Any) -> ImageProduct:
    rng = np.random.default_rng(1)
    levels = Table({"LEVEL": [1.0, 2.0], "NAME": ["e1", "e2"]})
    levels["LEVEL"].unit = "electron / s"
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
        "cards": {"NORMSTAT": "mean of all good pixels"},
        "scales": np.array([10.0, 0.1]),
        "weights": np.array([1.0, 1 / 3]),
        "offsets": np.array([[0.0], [-2.5]]),
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
    assert isinstance(again, ImageProduct)
    np.testing.assert_array_equal(again.rejected, product.rejected)
    assert again.stacked == product.stacked
    assert again.cards == product.cards
    for name in ("scales", "weights", "offsets"):
        np.testing.assert_array_equal(getattr(again, name), getattr(product, name))
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
        assert "BUNIT" not in hdus["DQ"].header
        assert hdus["NUSED"].header["BUNIT"] == "count"
        assert hdus[0].header["NCOMBINE"] == 1
        assert hdus["AMPLIFIERS"].data["READ_NOISE"][0] == 3.1


@pytest.mark.parametrize(
    "change",
    [
        {"unit": "electron"},
        {"used": np.full((5, 7), 2, np.uint16)},
        {"stacked": ("e1", "e9")},
        {"rejected": np.array([[1, 2, 3, 1]], np.int32)},
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
    elsewhere = {"id": "j", "created": "2030-01-01", "host": "elsewhere", "user": "me"}
    two = make().with_header(header(**elsewhere, label="x", begin=1, gains={"A": 2.0}, key={"binning": (2, 2)}))
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


def test_table_names_of_the_framework_are_refused() -> None:
    with pytest.raises(ContractError, match="'REJECTED'"):
        make(tables={"REJECTED": Table({"A": [1.0]})})


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


def test_the_table_of_rejected_runs_tells_what_it_means(tmp_path: Path) -> None:
    product_fits.write(make().with_header(header()), tmp_path / "p.fits")
    table = Table.read(tmp_path / "p.fits", hdu="REJECTED")
    assert table.colnames == ["INDEX", "Y", "X0", "LENGTH"]
    assert [tuple(row) for row in table] == [(1, 2, 3, 2)]
    cards = fits.getheader(tmp_path / "p.fits", "REJECTED")
    assert [cards["EXP00000"], cards["EXP00001"]] == ["e1", "e2"]
    assert [cards["TTYPE2"], cards["TUNIT2"]] == ["Y", "pixel"]
    assert "from 0" in cards["TCOMM2"]
    assert "REJECTED" not in make().planes()


@pytest.mark.parametrize("rows", [0, 300_000])
def test_any_number_of_rejected_runs_is_kept_bit_for_bit(tmp_path: Path, rows: int) -> None:
    rejected = np.random.default_rng(3).integers(-(2**31), 2**31, (rows, 4)).astype(np.int32)
    product_fits.write(make(rejected=rejected).with_header(header()), tmp_path / "p.fits")
    again = product_fits.read(tmp_path / "p.fits", ImageProduct)
    assert isinstance(again, ImageProduct)
    assert again.rejected.dtype == np.dtype(np.int32)
    assert again.rejected.shape == (rows, 4)
    assert again.rejected.tobytes() == rejected.tobytes()
    assert not again.rejected.flags.writeable


def _record(exposure: str, exposure_time: float, *, used: bool = True) -> InputRecord:
    return InputRecord(
        exposure=exposure, number=1, selection="flat", digest="d" * 64, exposure_time=exposure_time, used=used
    )


def test_the_primary_header_has_the_cards_astronomers_look_for(tmp_path: Path) -> None:
    begin, end = to_tai_ns("2026-11-22T12:00:00"), to_tai_ns("2040-01-01T00:00:00")
    inputs = (_record("e1", 10.0), _record("e2", 13.0), _record("e3", 99.0, used=False))
    key = {"detector": 0, "filter": "r", "binning": [2, 4], "temperature": None}
    made = header(inputs=inputs, key=key, begin=begin, end=end, gains={"A": 1.5}, gain_source="instrument")
    product_fits.write(make().with_header(made), tmp_path / "p.fits")
    cards = fits.getheader(tmp_path / "p.fits")
    assert cards["EXPTIME"] == 11.5
    assert cards["NCOMBINE"] == 2
    assert [cards["DATE-BEG"], cards["DATE-OBS"]] == ["2026-11-22T12:00:00.000"] * 2
    assert [cards["MJD-BEG"], cards["MJD-OBS"], cards["MJD-END"]] == [61366.5, 61366.5, 66154.0]
    assert cards["TIMESYS"] == "UTC"
    assert [cards["FILTER"], cards["BINNING"], cards["XBINNING"], cards["YBINNING"]] == ["r", "2 4", 2, 4]
    assert [cards["CPPIN000"], cards["CPPIN001"], cards["CPPRF000"]] == ["e1", "e2", "e3"]
    assert cards["GAINSRC"] == "instrument"
    assert not {"CPPLABEL", "CPPIN002", "CPPRF001", "TEMPERAT"} & set(cards)
    with fits.open(tmp_path / "p.fits") as hdus:
        amplifiers = hdus["AMPLIFIERS"]
        assert amplifiers.data["GAIN_USED"].tolist() == [1.5]
        column = amplifiers.columns.names.index("GAIN_USED") + 1
        assert amplifiers.header[f"TCOMM{column}"].endswith("electron/adu")


def test_cards_that_have_nothing_to_say_are_left_out() -> None:
    cards = product_fits.to_hdus(make().with_header(header(inputs=())))[0].header
    assert not {"EXPTIME", "DATE-BEG", "MJD-BEG", "MJD-OBS", "GAINSRC", "XBINNING"} & set(cards)


def test_long_and_foreign_texts_keep_the_header_conforming(tmp_path: Path) -> None:
    names = ["e" * 60, "f" * 68, "g" * 200, "it's " * 20 + "x", "é\nu"]
    inputs = tuple(_record(name, 1.0) for name in names) + tuple(_record(name, 1.0, used=False) for name in names)
    need = NeedRecord(type="t", id="i", digest="d", recipe="r", why="née " * 40)
    made = header(inputs=inputs, type="t" * 40, title="a title " * 9, label="lä" * 30, needs=(need,))
    product = make(stacked=tuple(names), scales=np.zeros(0), weights=np.zeros(0), offsets=np.zeros((0, 0)))
    product_fits.write(product.with_header(made), tmp_path / "p.fits")
    with fits.open(tmp_path / "p.fits", checksum=True) as hdus:
        hdus.verify("exception")
        kept = [*names[:4], "??u"]
        assert [hdus[0].header[f"CPPIN{i:03d}"] for i in range(5)] == kept
        assert [hdus[0].header[f"CPPRF{i:03d}"] for i in range(5)] == kept
        assert [hdus["REJECTED"].header[f"EXP{i:05d}"] for i in range(5)] == kept
        assert hdus[0].header["CPPLABEL"] == "l?" * 30
    again = product_fits.read(tmp_path / "p.fits", ImageProduct)
    assert isinstance(again, ImageProduct)
    assert again.stacked == tuple(names)


def test_a_label_is_said_to_be_one() -> None:
    cards = product_fits.to_hdus(make().with_header(header(label="bias-2")))[0].header
    assert (cards["CPPLABEL"], cards.comments["CPPLABEL"]) == ("bias-2", "label of this pass")


def test_at_most_999_cards_per_sort_of_input() -> None:
    inputs = tuple(_record(f"e{i}", 1.0, used=i % 2 == 0) for i in range(2200))
    hdus = product_fits.to_hdus(make().with_header(header(inputs=inputs)))
    assert len(hdus[0].header["CPPIN*"]) == len(hdus[0].header["CPPRF*"]) == 999
    assert len(hdus["INPUTS"].data) == 2200


def test_notebook_text_escapes() -> None:
    product = make(amplifiers={"<A>": AmplifierResult(reason="a < b")})
    assert "&lt;A&gt;" in product._repr_html_()


@pytest.mark.parametrize(
    "changes",
    [
        {"scales": np.ones(3)},
        {"weights": np.array([1.0, np.nan])},
        {"offsets": np.zeros((2, 3))},
        {"scales": np.ones(2, np.float32)},
        {"cards": {"too_long_a_word": "x"}},
    ],
)
def test_numbers_and_cards_that_no_file_could_keep_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ContractError):
        make(**changes)


def test_scales_are_told_of_stacked_exposures_only() -> None:
    product = make()
    one = Exposure(instrument="cam", detector=0, id="e2", number=2, kind="dark", exposure_time=1.0, dark_time=1.0)
    assert product.scale_of(one) == 0.1
    assert np.isnan(product.scale_of(one.model_copy(update={"id": "e9"})))
    assert make(scales=np.zeros(0)).scale_of(one) == 1.0


def test_stack_numbers_and_cards_are_part_of_the_content() -> None:
    digests = {
        make().content_digest(),
        make(scales=np.array([10.0, 0.2])).content_digest(),
        make(weights=np.array([1.0, 0.5])).content_digest(),
        make(cards={}).content_digest(),
    }
    assert len(digests) == 4
