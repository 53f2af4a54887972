"""Cards carried over, and coordinates that follow the pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from cpp_framework.apply.cards import CarriedCards, carry_over
from cpp_framework.camera.hdu import read_headers
from cpp_framework.camera.instrument import AmplifierLayout, DetectorLayout, Instrument
from cpp_framework.model import Exposure, Image

SKY = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.0, "CRPIX1": 20.0, "CRPIX2": 10.0,
    "CD1_1": -1e-4, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 1e-4,
}  # fmt: skip
LEFT = {"name": "A", "hdu": 1, "data": "[5:24,1:16]", "detector": "[1:20,1:16]", "serial_overscan": "[25:30,1:16]"}
RIGHT = {"name": "B", "hdu": 2, "data": "[5:24,1:16]", "detector": "[21:40,1:16]", "serial_overscan": "[25:30,1:16]"}


def _carried(
    folder: Path,
    amplifiers: Sequence[Mapping[str, Any]],
    cards: Mapping[int, Mapping[str, Any]],
) -> CarriedCards:
    """Write a raw file with the given cards by HDU and carry them over to its assembled image."""
    layouts = tuple(AmplifierLayout.model_validate(amp) for amp in amplifiers)
    size = (max(one.target.box.x1 for one in layouts), 16)
    layout = DetectorLayout(id=0, name="D", size=size, amplifiers=layouts)
    hdus = fits.HDUList([fits.PrimaryHDU()])
    if any(one.hdu == 0 for one in layouts):
        hdus = fits.HDUList([fits.PrimaryHDU(np.zeros((16, 60), np.uint16))])
    hdus += [fits.ImageHDU(np.zeros((16, 30), np.uint16)) for _ in range(max(int(one.hdu) for one in layouts))]
    for index, some in cards.items():
        hdus[index].header.update(some)
    hdus.writeto(folder / "raw.fits")
    detector = Instrument(name="cam", detectors=(layout,)).detector(0)
    exposure = Exposure(instrument="cam", detector=0, id="e", number=1, kind="science", exposure_time=1, dark_time=1)
    plane = np.zeros(detector.shape, np.float32)
    image = Image(plane, np.zeros(plane.shape, np.uint32), detector, exposure=exposure)
    return carry_over(read_headers(folder / "raw.fits"), layout, image)


def _sky_of(header: fits.Header, x: float, y: float) -> np.ndarray:
    """Sky position of a pixel, counted from 0."""
    return np.array(WCS(header).wcs_pix2world(x, y, 0))


def test_coordinates_follow_the_pixels(tmp_path: Path) -> None:
    """The raw's column 4 of each HDU is column 0 (A) and 20 (B) of the image."""
    right = SKY | {"CRPIX1": 0.0}
    carried = _carried(tmp_path, [LEFT, RIGHT], {1: SKY, 2: right})
    assert carried.notes == []
    assert carried.coordinates["CRPIX1"] == 16.0
    np.testing.assert_allclose(_sky_of(carried.coordinates, 3, 7), _sky_of(fits.Header(SKY), 7, 7), rtol=1e-12)
    np.testing.assert_allclose(_sky_of(carried.coordinates, 23, 7), _sky_of(fits.Header(right), 7, 7), rtol=1e-12)


def test_amplifiers_that_disagree_leave_no_coordinates(tmp_path: Path) -> None:
    carried = _carried(tmp_path, [LEFT, RIGHT], {1: SKY, 2: SKY})
    assert "CRPIX1" not in carried.coordinates
    assert carried.notes == [
        "coordinates are left out: the amplifiers disagree on the reference pixel once they are assembled"
    ]


def test_overscan_between_amplifiers_of_one_hdu_breaks_its_coordinates(tmp_path: Path) -> None:
    left = LEFT | {"hdu": 0, "data": "[1:20,1:16]", "serial_overscan": "[21:30,1:16]"}
    right = RIGHT | {"hdu": 0, "data": "[41:60,1:16]", "serial_overscan": "[31:40,1:16]"}
    carried = _carried(tmp_path, [left, right], {0: SKY})
    assert "disagree" in carried.notes[0]


@pytest.mark.parametrize(
    ("change", "why"),
    [({"CTYPE1": "RA---TNX"}, "does not allow to move the reference pixel"), ({"CTYPE2": "SOMEWHAT"}, "'SOMEWHAT'")],
)
def test_projections_that_cannot_be_moved_are_left_out(tmp_path: Path, change: dict[str, str], why: str) -> None:
    carried = _carried(tmp_path, [LEFT], {1: SKY | change})
    assert not carried.coordinates
    assert why in carried.notes[0]


def test_mirrored_amplifiers_leave_no_coordinates(tmp_path: Path) -> None:
    carried = _carried(tmp_path, [LEFT | {"detector": "[20:1,1:16]"}], {1: SKY})
    assert not carried.coordinates
    assert "mirrored" in carried.notes[0]


def test_distortions_move_with_the_reference_pixel(tmp_path: Path) -> None:
    sip = {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-4, "B_0_2": 1e-4}
    carried = _carried(tmp_path, [LEFT], {1: SKY | sip})
    moved = np.array(WCS(carried.coordinates).all_pix2world(3, 7, 0))
    np.testing.assert_allclose(moved, WCS(fits.Header(SKY | sip)).all_pix2world(7, 7, 0), rtol=1e-12)


def test_cards_of_counts_and_sections_stay_behind(tmp_path: Path) -> None:
    true = {"OBSERVER": "a person", "AIRMASS": 1.2, "FILTER": "r", "EQUINOX": 2000.0, "HIERARCH CAM TEMP": -99.5}
    untrue = {
        "GAIN": 1.0, "RDNOISE": 5.0, "DATASEC": "[5:24,1:16]", "BIASSEC": "[25:30,1:16]", "SATURATE": 65535,
        "DATAMAX": 65535, "LTV1": 3.0, "CCDSEC": "[1:20,1:16]", "CHECKSUM": "x", "DATASUM": "0", "TRIMSEC": "[1:2,1:2]",
    }  # fmt: skip
    carried = _carried(tmp_path, [LEFT], {0: true | untrue, 1: {"CCDTEMP": -100.0}})
    names = {name.removeprefix("HIERARCH ") for name in true}
    assert names | {"CCDTEMP"} <= set(carried.cards)
    assert not set(untrue) & set(carried.cards)


def test_cards_that_are_no_fits_are_named(tmp_path: Path) -> None:
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.zeros((16, 30), np.uint16))])
    hdus[0].header["BADCARD"], hdus[0].header["GOODCARD"] = "a" * 8, 3
    hdus.writeto(tmp_path / "made.fits")
    spoilt = (tmp_path / "made.fits").read_bytes().replace(b"'aaaaaaaa'", b"'aaa\xe9aaaa ")
    path = tmp_path / "raw.fits"
    path.write_bytes(spoilt)
    layout = DetectorLayout(id=0, name="D", size=(20, 16), amplifiers=(AmplifierLayout.model_validate(LEFT),))
    detector = Instrument(name="cam", detectors=(layout,)).detector(0)
    image = Image(np.zeros((16, 20), np.float32), np.zeros((16, 20), np.uint32), detector)
    carried = carry_over(read_headers(path), layout, image)
    assert carried.cards["GOODCARD"] == 3
    assert "BADCARD" not in carried.cards
    assert "BADCARD" in carried.notes[0]
