"""Rubin's files are read, and ours are like theirs, card by card."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from cpp_defects import rubin
from cpp_defects.file_errors import DefectFileError
from cpp_defects.product import Defects, make_defects
from cpp_defects.region_files import FORMS, form_of, read, write
from numpy.typing import NDArray

from cpp_framework.model import AmplifierResult, Header, Mask, Measured

Shared = Callable[[str], Path]
SHAPE = (4000, 4096)
BOXES = [[0, 0, 4096, 9], [500, 9, 1, 1991], [10, 20, 1, 1], [100, 100, 7, 5], [3000, 3500, 40, 2], [4095, 3999, 1, 1]]
COUNTS = {
    "LSST CALIB DEFECTS N_BAD_COLUMNS": 1,
    "LSST CALIB DEFECTS C10 N_HOT": 5,
    "LSST CALIB DEFECTS C11 N_COLD": 2,
}
IDENTITY = rubin.Identity("SynthCam", 94, "R22_S11", "SYNTH-0001", "2026-11-22T08:31:28.348385", COUNTS)
"""What the samples hold."""


def corners() -> NDArray[np.int64]:
    return np.array(BOXES, np.int64)


def drawn(boxes: list[list[int]], shape: tuple[int, int] = SHAPE) -> NDArray[np.bool_]:
    mask = np.zeros(shape, bool)
    for x0, y0, width, height in boxes:
        mask[y0 : y0 + height, x0 : x0 + width] = True
    return mask


def defects() -> Defects:
    mask = np.zeros((60, 80), np.uint32)
    mask[:, 7] = Mask.BAD | Mask.BAD_COLUMN
    mask[20, 30:33] = Mask.BAD | Mask.HOT
    mask[0] |= np.uint32(Mask.BAD | Mask.EDGE)
    amplifier = AmplifierResult(
        values={
            "n_hot": Measured(value=3, unit="pixel"),
            "n_cold": Measured(value=0, unit="pixel"),
            "n_bad_columns": Measured(value=1, unit="column"),
        }
    )
    header = Header(
        id="x", type="defects", revision=1, instrument="cam", detector=3, detector_name="R01_S20", recipe="x",
        created="2026-11-23T10:00:00",
    )  # fmt: skip
    return make_defects(mask, {"A": amplifier}).with_header(header)


def test_our_fits_table_is_the_sample_byte_for_byte(shared: Shared) -> None:
    sample = shared("data/rubin-files/defects.fits")
    ours = io.BytesIO()
    rubin.to_hdus(rubin.box_table(corners()), rubin.cards(IDENTITY, unset=False)).writeto(ours)
    with fits.open(sample) as theirs, fits.open(io.BytesIO(ours.getvalue())) as mine:
        assert [hdu.name for hdu in mine] == [hdu.name for hdu in theirs]
        for one, other in zip(mine, theirs, strict=True):
            assert [str(card) for card in one.header.cards] == [str(card) for card in other.header.cards]
        assert np.array_equal(mine[1].data, theirs[1].data)
    assert ours.getvalue() == sample.read_bytes()


def test_our_ecsv_is_the_sample_letter_for_letter(shared: Shared) -> None:
    assert rubin.ecsv_text(corners(), IDENTITY) == shared("data/rubin-files/defects.ecsv").read_text()


@pytest.mark.parametrize("name", ["defects.fits", "defects.ecsv"])
def test_samples_are_read(shared: Shared, name: str) -> None:
    mask = read(shared(f"data/rubin-files/{name}"), SHAPE)
    assert np.array_equal(mask, drawn(BOXES) * np.uint32(Mask.BAD | Mask.USER))


def test_regions_count_from_one_and_have_points() -> None:
    table = rubin.region_table(corners())
    assert table.colnames == ["X", "Y", "SHAPE", "R", "ROTANG", "COMPONENT"]
    assert (table["X"][3], table["Y"][3], *table["R"][3]) == (104.0, 103.0, 7.0, 5.0)
    assert [str(shape) for shape in table["SHAPE"]] == ["BOX", "BOX", "POINT", "BOX", "BOX", "POINT"]
    assert np.array_equal(rubin.boxes_from(table, "here"), corners())
    hdu = rubin.to_hdus(table, rubin.cards(IDENTITY, unset=True))[1]
    assert [column.format for column in hdu.columns] == ["D", "D", "5A", "2D", "D", "K"]
    assert isinstance(hdu.header["FILTER"], fits.card.Undefined)
    keys = [key for key in hdu.header if key in rubin.UNSET]
    assert tuple(keys) == rubin.UNSET


def test_turned_boxes_are_read_at_right_angles() -> None:
    table = rubin.region_table(corners()[3:4])
    table["SHAPE"] = ["ROTBOX"]
    table["ROTANG"] = [90.0]
    assert rubin.boxes_from(table, "here").tolist() == [[101, 99, 5, 7]]
    table["ROTANG"] = [45.0]
    with pytest.raises(DefectFileError, match="turned by 45"):
        rubin.boxes_from(table, "here")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("width", 0), "0 0 0 9"),
        (("height", -3), "0 0 4096 -3"),
        (("x0", 0.5), "0.5 0"),
        (("y0", np.nan), "0 nan"),
        (("x0", "a"), "x0 holds no numbers"),
    ],
)
def test_bad_values_are_named(change: tuple[str, object], said: str) -> None:
    table = rubin.box_table(corners())
    name, value = change
    table[name] = [value, *list(table[name])[1:]]
    with pytest.raises(DefectFileError, match=said):
        rubin.boxes_from(table, "here")


def test_other_tables_and_shapes_are_refused() -> None:
    with pytest.raises(DefectFileError, match="are no boxes"):
        rubin.boxes_from(Table({"a": [1]}), "here")
    table = rubin.region_table(corners())
    table["SHAPE"] = ["CIRCLE"] * len(table)
    with pytest.raises(DefectFileError, match="CIRCLE"):
        rubin.boxes_from(table, "here")


@pytest.mark.parametrize("form", [form for form in FORMS if form != "ds9"])
def test_every_form_gives_the_mask_back(form: str, tmp_path: Path) -> None:
    product = defects()
    path = tmp_path / "out"
    write(product, path, form, "SN-1")
    mask = read(path, product.mask.shape)
    if form == "mask":
        assert np.array_equal(mask, product.mask)
    else:
        assert np.array_equal(mask != 0, product.mask != 0)
        assert set(np.unique(mask)) == {0, int(Mask.BAD | Mask.USER)}


def test_cards_of_a_product(tmp_path: Path) -> None:
    write(defects(), tmp_path / "d.fits", "fits", "SN-1")
    header = fits.getheader(tmp_path / "d.fits", 1)
    wanted = {
        "OBSTYPE": "defects", "INSTRUME": "cam", "RAFTNAME": "R01", "SLOTNAME": "S20", "DETECTOR": 3,
        "DET_NAME": "R01_S20", "DET_SER": "SN-1", "CALIBCLS": "lsst.ip.isr.defects.Defects",
        "CALIBDATE": "2026-11-23T10:00:00", "LSST CALIB DEFECTS N_BAD_COLUMNS": 1,
        "LSST CALIB DEFECTS A N_HOT": 3, "LSST CALIB DEFECTS A N_COLD": 0,
    }  # fmt: skip
    assert {key: header[key] for key in wanted} == wanted
    table = Table.read(tmp_path / "d.fits", hdu=1)
    assert table.colnames == ["x0", "y0", "width", "height"]
    assert [table[name].dtype.kind for name in table.colnames] == ["i"] * 4
    # Without reasons the row and the column are one shape: three boxes are enough for them.
    assert len(table) == 3


def test_curated_files(tmp_path: Path) -> None:
    write(defects(), tmp_path / "20261123T100000.ecsv", "curated")
    table = Table.read(tmp_path / "20261123T100000.ecsv")
    assert list(table.meta) == [
        "OBSTYPE", "INSTRUME", "DETECTOR", "CALIBDATE", "CALIB_ID", "DEFECTS_SCHEMA", "DEFECTS_SCHEMA_VERSION",
    ]  # fmt: skip
    assert str(table["x0"].unit) == "pix"


def test_no_defects_at_all(tmp_path: Path) -> None:
    product = make_defects(np.zeros((6, 7), np.uint32), {}).with_header(defects().header)  # type: ignore[arg-type]
    for form in FORMS:
        path = tmp_path / form
        write(product, path, form)
        if form != "ds9":
            assert not read(path, (6, 7)).any()
    # Rubin writes float columns where there are no rows.
    empty = Table({name: np.zeros(0) for name in rubin.BOX_COLUMNS})
    assert rubin.boxes_from(empty, "here").shape == (0, 4)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 2 3\n", "line 1: .* is not the four numbers"),
        ("1 2 x 4\n", "line 1: '1 2 x 4' is not"),
        ("1 2 3 0\n", "no box"),
        ("1 2 3.5 4\n", "no box"),
        ("\n0 0 8 1\n", "line 2: .* not on the detector"),
        ("# %ECSV 1.0\nnonsense", "ECSV"),
    ],
)
def test_bad_text_is_named(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.txt"
    path.write_text(text)
    with pytest.raises(DefectFileError, match=said):
        read(path, (6, 7))


def test_old_text_with_comments_and_overlaps(tmp_path: Path) -> None:
    path = tmp_path / "old.txt"
    path.write_text("# x0 y0 width height\n0 0 5 5\n3 3 5 2   # overlaps\n\n")
    assert np.array_equal(read(path, (10, 12)) != 0, drawn([[0, 0, 5, 5], [3, 3, 5, 2]], (10, 12)))


def test_damaged_files_are_named(tmp_path: Path) -> None:
    write(defects(), tmp_path / "d.fits", "fits")
    whole = (tmp_path / "d.fits").read_bytes()
    (tmp_path / "cut.fits").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "noise.bin").write_bytes(bytes(range(256)))
    fits.PrimaryHDU().writeto(tmp_path / "empty.fits")
    fits.PrimaryHDU(np.ones((3, 4), np.uint8)).writeto(tmp_path / "small.fits")
    for name in ("cut.fits", "noise.bin", "empty.fits", "small.fits", "missing.fits"):
        with pytest.raises(DefectFileError, match=name):
            read(tmp_path / name, (60, 80))


def test_another_programs_mask_is_what_is_not_zero(tmp_path: Path) -> None:
    plane = np.zeros((6, 7), np.int16)
    plane[2, 3] = 8
    fits.PrimaryHDU(plane).writeto(tmp_path / "mask.fits")
    assert np.argwhere(read(tmp_path / "mask.fits", (6, 7))).tolist() == [[2, 3]]


def test_forms_follow_suffixes() -> None:
    assert {form_of(Path(f"a{suffix}")) for suffix in (".fits", ".ecsv", ".txt", ".REG")} == {
        "fits", "ecsv", "text", "ds9",
    }  # fmt: skip
    assert form_of(Path("a.fits"), "mask") == "mask"
    for path, form in (("a.xyz", ""), ("a.fits", "jpeg")):
        with pytest.raises(DefectFileError):
            form_of(Path(path), form)
