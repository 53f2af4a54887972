"""Reading raw files: orientation, pixel types, compressions, windows, and what is said about files that do not fit."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from cpp_framework.camera.instrument import Instrument
from cpp_framework.camera.raw import RawFrame, read_raw
from cpp_framework.declare import Stage
from cpp_framework.errors import IncompatibleError, RawFileError
from cpp_framework.isr.chain import Chain
from cpp_framework.model import Exposure

WIDTH, HEIGHT, SERIAL, PARALLEL = 7, 5, 4, 3


def _readout() -> np.ndarray:
    """Pixels as they are read: data, then serial overscan to the right, parallel overscan above; all different."""
    return np.arange((HEIGHT + PARALLEL) * (WIDTH + SERIAL), dtype=np.uint16).reshape(HEIGHT + PARALLEL, -1) + 100


def _section(x: tuple[int, int], y: tuple[int, int], corner: str) -> str:
    """FITS section of readout columns and rows in an HDU that holds them mirrored for corners R and U."""
    if "R" in corner:
        x = (WIDTH + SERIAL - x[1], WIDTH + SERIAL - x[0])
    if "U" in corner:
        y = (HEIGHT + PARALLEL - y[1], HEIGHT + PARALLEL - y[0])
    return f"[{x[0] + 1}:{x[1]},{y[0] + 1}:{y[1]}]"


def _layout(corner: str, target: str, **more: object) -> dict[str, object]:
    return {
        "name": "A",
        "readout": corner,
        "detector": target,
        "data": _section((0, WIDTH), (0, HEIGHT), corner),
        "serial_overscan": _section((WIDTH, WIDTH + SERIAL), (0, HEIGHT), corner),
        "parallel_overscan": _section((0, WIDTH), (HEIGHT, HEIGHT + PARALLEL), corner),
        **more,
    }


@pytest.mark.parametrize("corner", ["LL", "LR", "UL", "UR"])
@pytest.mark.parametrize("reverse_x", [False, True])
@pytest.mark.parametrize("reverse_y", [False, True])
def test_every_corner_and_flip_puts_pixels_where_they_belong(
    camera: Callable[..., Instrument],
    raw_of: Callable[..., RawFrame],
    corner: str,
    reverse_x: bool,
    reverse_y: bool,
) -> None:
    columns = f"{WIDTH}:1" if reverse_x else f"1:{WIDTH}"
    rows = f"{HEIGHT}:1" if reverse_y else f"1:{HEIGHT}"
    none = {"method": "none"}
    instrument = camera(
        (WIDTH, HEIGHT), [_layout(corner, f"[{columns},{rows}]")], overscan={"serial": none, "parallel": none}
    )
    read = _readout()
    stored = read[:: -1 if "U" in corner else 1, :: -1 if "R" in corner else 1]
    raw = raw_of(instrument, {0: stored})

    amplifier = raw.amplifiers["A"]
    np.testing.assert_array_equal(amplifier.data, read[:HEIGHT, :WIDTH])
    np.testing.assert_array_equal(amplifier.serial_overscan, read[:HEIGHT, WIDTH:])
    np.testing.assert_array_equal(amplifier.parallel_overscan, read[HEIGHT:, :WIDTH])
    assert amplifier.origins["serial_overscan"] == (0, WIDTH)
    assert amplifier.origins["parallel_overscan"] == (HEIGHT, 0)

    image = Chain(instrument, 0, Stage.FULL_WELL).correct(raw)
    in_hdu = read[:HEIGHT, :WIDTH][:: -1 if "U" in corner else 1, :: -1 if "R" in corner else 1]
    expected = in_hdu[:: -1 if reverse_y else 1, :: -1 if reverse_x else 1]
    np.testing.assert_array_equal(image.data, expected)
    np.testing.assert_array_equal(image.amp("A").data, read[:HEIGHT, :WIDTH])


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "uint32", "float32"])
@pytest.mark.parametrize("form", ["plain", "gz", "fz"])
def test_pixels_survive_every_type_and_compression(
    tmp_path: Path,
    camera: Callable[..., Instrument],
    exposure_of: Callable[..., Exposure],
    dtype: str,
    form: str,
) -> None:
    high = 250 if dtype == "uint8" else 32000 if dtype == "int16" else 65535
    pixels = np.random.default_rng(1).integers(0, high, (40, 50)).astype(dtype)
    path = tmp_path / "raw.fits"
    if form == "fz":
        options = {"quantize_level": 0} if dtype == "float32" else {}
        hdu = fits.CompImageHDU(pixels, compression_type="GZIP_1", **options)
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    else:
        fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(pixels)]).writeto(path)
    if form == "gz":
        with path.open("rb") as plain, gzip.open(tmp_path / "raw.fits.gz", "wb") as packed:
            shutil.copyfileobj(plain, packed)
        path = tmp_path / "raw.fits.gz"
    instrument = camera((50, 40), [{"name": "A", "hdu": 1, "data": "[1:50,1:40]", "detector": "[1:50,1:40]"}])

    data = read_raw(path, instrument, exposure_of(instrument)).amplifiers["A"].data
    assert data.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(data, pixels)


def test_scaled_and_blank_pixels_become_numbers_and_nan(
    tmp_path: Path, camera: Callable[..., Instrument], exposure_of: Callable[..., Exposure]
) -> None:
    hdu = fits.PrimaryHDU(np.array([[1, -99], [3, 4]], np.int16))
    hdu.header["BSCALE"], hdu.header["BZERO"], hdu.header["BLANK"] = 0.5, 10.0, -99
    hdu.writeto(tmp_path / "raw.fits")
    # astropy drops the scaling of data that is in memory, so it is written into the header afterwards.
    with fits.open(tmp_path / "raw.fits", mode="update", do_not_scale_image_data=True) as hdus:
        hdus[0].header["BSCALE"], hdus[0].header["BZERO"] = 0.5, 10.0
    instrument = camera((2, 2), [{"name": "A", "data": "[1:2,1:2]", "detector": "[1:2,1:2]"}])
    data = read_raw(tmp_path / "raw.fits", instrument, exposure_of(instrument)).amplifiers["A"].data
    np.testing.assert_array_equal(data, np.array([[10.5, np.nan], [11.5, 12.0]], np.float32))


def test_a_missing_hdu_is_named_with_those_there_are(
    camera: Callable[..., Instrument], raw_of: Callable[..., RawFrame]
) -> None:
    instrument = camera((2, 2), [{"name": "A", "hdu": "SEG7", "data": "[1:2,1:2]", "detector": "[1:2,1:2]"}])
    with pytest.raises(RawFileError, match=r"no HDU 'SEG7'.*1 SEG1"):
        raw_of(instrument, {1: np.zeros((2, 2), np.uint16)})


def test_an_hdu_without_pixels_is_named(camera: Callable[..., Instrument], raw_of: Callable[..., RawFrame]) -> None:
    instrument = camera((2, 2), [{"name": "A", "data": "[1:2,1:2]", "detector": "[1:2,1:2]"}])
    with pytest.raises(RawFileError, match="HDU 0 has no pixels"):
        raw_of(instrument, {1: np.zeros((2, 2), np.uint16)})


def test_a_section_outside_its_hdu_tells_both_sizes(
    camera: Callable[..., Instrument], raw_of: Callable[..., RawFrame]
) -> None:
    instrument = camera((20, 10), [{"name": "A", "data": "[1:20,1:10]", "detector": "[1:20,1:10]"}])
    with pytest.raises(RawFileError, match=r"HDU 0 is 10x5 pixels; data of amplifier A needs \[1:20,1:10\]"):
        raw_of(instrument, {0: np.zeros((5, 10), np.uint16)})


def test_a_frame_of_another_size_is_refused(camera: Callable[..., Instrument], raw_of: Callable[..., RawFrame]) -> None:
    """Sections of a binned geometry lie inside an unbinned frame: only its size gives it away."""
    amplifier = {"name": "A", "data": "[1:4,1:3]", "detector": "[1:4,1:3]"}
    detector = {"id": 0, "name": "D0", "size": (4, 3), "frame": (5, 3), "amplifiers": [amplifier]}
    instrument = Instrument.model_validate({"name": "testcam", "detectors": [detector]})
    with pytest.raises(IncompatibleError, match="HDU 0 is 10x6 pixels; the geometry is written for 5x3"):
        raw_of(instrument, {0: np.zeros((6, 10), np.uint16)})
    assert raw_of(instrument, {0: np.zeros((3, 5), np.uint16)}).window is None
    pixels = np.arange(6, dtype=np.uint16).reshape(2, 3)
    windowed = raw_of(instrument, {0: pixels}, window="[2:3,1:2]")
    np.testing.assert_array_equal(windowed.amplifiers["A"].data, pixels[:, :2])


@pytest.mark.parametrize("packed", [False, True])
def test_a_truncated_file_is_named(
    tmp_path: Path, camera: Callable[..., Instrument], exposure_of: Callable[..., Exposure], packed: bool
) -> None:
    instrument = camera((90, 80), [{"name": "A", "data": "[1:90,1:80]", "detector": "[1:90,1:80]"}])
    path = tmp_path / ("raw.fits.gz" if packed else "raw.fits")
    fits.PrimaryHDU(np.random.default_rng(2).integers(0, 9999, (80, 90)).astype(np.uint16)).writeto(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(RawFileError, match=r"raw\.fits.* cannot be read as FITS") as caught:
        read_raw(path, instrument, exposure_of(instrument))
    assert "truncated" in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"not a FITS file at all" * 200])
def test_other_files_are_refused(
    tmp_path: Path, camera: Callable[..., Instrument], exposure_of: Callable[..., Exposure], content: bytes
) -> None:
    instrument = camera((2, 2), [{"name": "A", "data": "[1:2,1:2]", "detector": "[1:2,1:2]"}])
    (tmp_path / "raw.fits").write_bytes(content)
    with pytest.raises(RawFileError, match="cannot be read as FITS"):
        read_raw(tmp_path / "raw.fits", instrument, exposure_of(instrument))
    with pytest.raises(RawFileError, match="there is no such file"):
        read_raw(tmp_path / "absent.fits", instrument, exposure_of(instrument))


def test_another_binning_is_refused(camera: Callable[..., Instrument], raw_of: Callable[..., RawFrame]) -> None:
    instrument = camera((2, 2), [{"name": "A", "data": "[1:2,1:2]", "detector": "[1:2,1:2]"}])
    with pytest.raises(IncompatibleError, match=r"binning 2x2.*written for 1x1"):
        raw_of(instrument, {0: np.zeros((2, 2), np.uint16)}, binning=(2, 2))


@pytest.fixture
def two_amplifiers(camera: Callable[..., Instrument]) -> Instrument:
    """Two amplifiers of 10x8 in one HDU, read outwards, each with its overscan beyond its data."""
    left = {
        "name": "L",
        "readout": "LL",
        "data": "[5:14,1:8]",
        "detector": "[1:10,1:8]",
        "serial_overscan": "[1:4,1:8]",
    }
    right = {
        "name": "R",
        "readout": "LR",
        "data": "[15:24,1:8]",
        "detector": "[11:20,1:8]",
        "serial_overscan": "[25:28,1:8]",
    }
    return camera((20, 8), [left, right], overscan={"serial": {"method": "median_per_line", "skip_leading": 0}})


def test_a_window_cuts_rows_and_columns_of_data_and_overscan(
    two_amplifiers: Instrument, raw_of: Callable[..., RawFrame]
) -> None:
    rows = np.arange(8)[:, None]
    whole = np.where(np.arange(28) < 4, 1000, np.where(np.arange(28) >= 24, 2000, 3000 + np.arange(28))) + 40 * rows
    keep = [*range(4), *range(10, 18), *range(24, 28)]
    window = "[7:14,3:6]"
    raw = raw_of(two_amplifiers, {0: whole[2:6, keep].astype(np.uint16)}, window=window)
    assert raw.window is not None
    assert raw.detector.shape == (4, 8)
    np.testing.assert_array_equal(raw.amplifiers["L"].data, whole[2:6, 10:14])
    np.testing.assert_array_equal(raw.amplifiers["R"].data, whole[2:6, 14:18][:, ::-1])
    np.testing.assert_array_equal(raw.amplifiers["R"].serial_overscan, whole[2:6, 24:28])
    image = Chain(two_amplifiers, 0, Stage.FULL_WELL).correct(raw)
    assert image.window == raw.window
    np.testing.assert_array_equal(image.data[:, :4], np.broadcast_to(2000 + np.arange(10, 14), (4, 4)))
    np.testing.assert_array_equal(image.data[:, 4:], np.broadcast_to(1000 + np.arange(14, 18), (4, 4)))


def test_a_window_of_the_whole_detector_is_no_window(
    two_amplifiers: Instrument, raw_of: Callable[..., RawFrame]
) -> None:
    assert raw_of(two_amplifiers, {0: np.ones((8, 28), np.uint16)}, window="[1:20,1:8]").window is None


@pytest.mark.parametrize(
    ("window", "message"),
    [
        ("[7:14,3:6]", r"HDU 0 is 28x8 pixels; window \[7:14,3:6\] leaves 16x4"),
        ("[1:8,1:8]", "does not reach amplifier R"),
        ("[1:21,1:8]", "leaves detector D0"),
    ],
)
def test_windows_that_do_not_fit_are_refused(
    two_amplifiers: Instrument, raw_of: Callable[..., RawFrame], window: str, message: str
) -> None:
    with pytest.raises(IncompatibleError, match=message):
        raw_of(two_amplifiers, {0: np.ones((8, 28), np.uint16)}, window=window)
