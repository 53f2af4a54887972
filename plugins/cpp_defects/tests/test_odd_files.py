"""Files that are no defects, or other ones than they seem: each is refused with the place and a hint, without warnings.

Warnings are errors in all tests, so a file that makes one fails here.
"""

from __future__ import annotations

import io
import os
import re
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from cpp_defects import rubin
from cpp_defects.file_errors import DefectFileError
from cpp_defects.region_files import read
from numpy.typing import NDArray

from cpp_framework.model import Mask

SHAPE = (40, 50)
GOOD = "image\nbox(10,10,3,3,0)\n"


def refused(path: Path, said: str) -> DefectFileError:
    with pytest.raises(DefectFileError, match=said) as caught:
        read(path, SHAPE)
    assert str(path) in str(caught.value)
    assert caught.value.hint
    assert len(str(caught.value)) < len(str(path)) + 200
    return caught.value


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (GOOD + "physical\nbox(20,20,9,9,0)", 3, "no region with an area in image coordinates"),
        (GOOD + "vector(20,20,9,0)", 3, "no region with an area"),
        (GOOD + "# vector(20,20,9,0) vector=1", 3, "no region with an area"),
        (GOOD + 'box(20,20,9",9",0)', 3, "something other than finite numbers"),
        (GOOD + "box(500,500,9,9,0)", 3, "covers no pixel of the detector, which has 50x40 pixels"),
        ("image\nbox(500,500,9,9,0)", 2, "covers no pixel"),
        ("image\ncircle(3.5,3.5,0.2)", 2, "covers no pixel"),
        (GOOD + "circle(nan,3,2)", 3, "something other than finite numbers"),
        (GOOD + "circle(3,inf,2)", 3, "something other than finite numbers"),
        (GOOD + "circle(3,3,1e999)", 3, "something other than finite numbers"),
        (GOOD + "circle(1_0,3,2)", 3, "something other than finite numbers"),
        (GOOD + "circle(٣,3,2)", 3, "something other than finite numbers"),
        (GOOD + "circle(3,3,1e9)", 3, "more than 2 times as large"),
        (GOOD + "circle(3,3,1e200)", 3, "more than 2 times as large"),
        (GOOD + "box(3,3,1e7,1e7,0)", 3, "more than 2 times as large"),
        (GOOD + "polygon(1,1,9,9)", 3, "4 numbers"),
        (GOOD + "polygon(1,1,9,9,1,9,4)", 3, "7 numbers"),
        (GOOD + "circle(3,3,-2)", 3, "cannot be read"),
        (GOOD + "box(3,3,2)", 3, "cannot be read"),
        (GOOD + "text(3,3) # text={hi}", 3, "no region with an area"),
        (GOOD + "line(1,1,5,5)", 3, "no region with an area"),
        (GOOD + "point(3,3)", 3, "no region with an area"),
        (GOOD + "circle(3,3,2) || circle(9,9,2)", 3, "no region with an area"),
        (GOOD + "circle(3,3,2) # color=red; fk5; circle(9,9,2)", 3, "'fk5'"),
        ("# made (by hand)\n\ncircle 3 3 2\nbox(1,1,1,1,0)", 3, "no region with an area"),
    ],
)
def test_no_ds9_statement_is_passed_over(text: str, line: int, said: str, tmp_path: Path) -> None:
    pytest.importorskip("regions")
    path = tmp_path / "a.reg"
    path.write_text(text)
    refused(path, f"line {line}: .*{re.escape(said)}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# Region file format: DS9\nimage\n", "there is no region"),
        ("image\n-circle(3,3,2)\n", "leave no pixel masked"),
        ("image\ncircle(3,3,2)\n-circle(3,3,4)\n", "leave no pixel masked"),
    ],
)
def test_a_ds9_file_that_masks_nothing_is_refused(text: str, said: str, tmp_path: Path) -> None:
    pytest.importorskip("regions")
    path = tmp_path / "a.reg"
    path.write_text(text)
    refused(path, said)


def test_everything_ds9_writes_about_a_region_is_read(tmp_path: Path) -> None:
    pytest.importorskip("regions")
    path = tmp_path / "a.reg"
    path.write_text(
        '\ufeff# Region file format: DS9 version 4.1\nglobal color=green font="helvetica 10"\nIMAGE\n'
        "# composite(3,3,0) || composite=1\nCircle( 3, 3, 1.2 ) || # color=#f00 text={a; b}\n"
        "-box(3,3,1,1,0); +box(10,10,1.0e0,3,90) # tag={x} ; polygon(19.5,19.5,23.5,19.5,23.5,23.5,19.5,23.5)\n"
    )
    wanted = np.zeros(SHAPE, bool)
    wanted[1:4, 2] = wanted[2, 1:4] = True
    wanted[2, 2] = False
    wanted[9, 8:11] = wanted[19:23, 19:23] = True
    assert np.array_equal(read(path, SHAPE) != 0, wanted)


def test_a_region_as_large_as_the_detector_needs_little_memory(tmp_path: Path) -> None:
    pytest.importorskip("regions")
    path = tmp_path / "a.reg"
    path.write_text("image\ncircle(2000,2000,3900)\n")
    tracemalloc.start()
    drawn = read(path, (4000, 4000)) != 0
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert drawn.all()
    assert peak < 400e6


@pytest.mark.parametrize(
    ("plane", "said"),
    [
        (np.full(SHAPE, 1e20), "float64 from 1e"),
        (np.full(SHAPE, 2**40, np.int64), "not bits up to"),
        (np.full(SHAPE, -1, np.int32), "not bits up to"),
        (np.full(SHAPE, np.nan, np.float32), "not a number at x 0, y 0"),
    ],
)
def test_planes_of_mask_bits_hold_mask_bits(plane: NDArray[Any], said: str, tmp_path: Path) -> None:
    hdu = fits.PrimaryHDU(plane)
    hdu.header["DQBIT00"] = "BAD"
    hdu.writeto(tmp_path / "mask.fits")
    refused(tmp_path / "mask.fits", said)


def test_a_plane_of_floats_of_another_program_masks_what_is_not_zero(tmp_path: Path) -> None:
    plane = np.zeros(SHAPE)
    plane[2, 3] = 1e20
    fits.PrimaryHDU(plane).writeto(tmp_path / "mask.fits")
    assert np.argwhere(read(tmp_path / "mask.fits", SHAPE) == np.uint32(Mask.BAD | Mask.USER)).tolist() == [[2, 3]]


@pytest.mark.parametrize("cut", [0.2, 0.6, 0.99])
def test_truncated_planes_are_named(cut: float, tmp_path: Path) -> None:
    content = io.BytesIO()
    fits.PrimaryHDU(np.ones(SHAPE, np.int32)).writeto(content)
    whole = content.getvalue()
    (tmp_path / "cut.fits").write_bytes(whole[: int(len(whole) * cut)])
    refused(tmp_path / "cut.fits", "not a readable FITS file")


BOX = {"x0": [1, 2], "y0": [1, 2], "width": [3, 4], "height": [3, 4]}


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("x0", [1j, 2j], "no numbers of pixels but complex"),
        ("x0", [True, False], "no numbers of pixels but bool"),
        ("x0", ["1", "2"], "no numbers of pixels"),
        ("x0", [[1, 2], [3, 4]], r"numbers of shape \(2,\) per row"),
        ("y0", [1.0, np.inf], "row 1: no box"),
        ("width", [1e300, 1.0], "row 0: no box"),
        ("height", [2**62, 1], "row 0: no box"),
    ],
)
def test_columns_are_numbers_of_pixels(name: str, values: list[object], said: str, tmp_path: Path) -> None:
    Table({**BOX, name: values}).write(tmp_path / "a.fits")
    refused(tmp_path / "a.fits", said)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 1e308])
@pytest.mark.parametrize("name", ["X", "R", "ROTANG"])
def test_regions_with_impossible_numbers(name: str, value: float) -> None:
    table = rubin.region_table(np.array([[1, 2, 3, 4]]))
    table["SHAPE"] = ["ROTBOX"]
    table[name] = np.full_like(table[name], value)
    with pytest.raises(DefectFileError, match="row 0") as caught:
        rubin.boxes_from(table, "here")
    assert caught.value.hint


def test_regions_whose_centres_are_pairs() -> None:
    table = rubin.region_table(np.array([[1, 2, 3, 4]]))
    table["X"] = [[1.0, 2.0]]
    with pytest.raises(DefectFileError, match="column X"):
        rubin.boxes_from(table, "here")


@pytest.mark.parametrize("word", ["1_0", "٣", "nan", "inf", "0x1", "x"])
def test_numbers_are_plain_numbers(word: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(f"# x0 y0 width height (from 0)\n1 2 3 4\n{word} 2 3 4\n")
    refused(path, "line 3: .* is not the four numbers")


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("\ufeff1 2 3 4\n")
    assert np.count_nonzero(read(path, SHAPE)) == 12


def test_other_texts_are_quoted_by_a_line(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text((Path(__file__).parents[1] / "README.md").read_text())
    error = refused(path, "line 3")
    assert "\n" not in str(error)


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (Path("/dev/zero"), tmp_path, tmp_path / "pipe"):
        refused(path, "no regular file")


def test_endless_files_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.fits"
    with path.open("wb") as stream:
        stream.truncate(2**40)
    refused(path, "more than the 536870912 that are read")
