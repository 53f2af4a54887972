"""Raw pixels of one exposure of one detector: every region of every amplifier as a view in readout orientation."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.io.fits.verify import VerifyError
from astropy.utils.exceptions import AstropyUserWarning
from numpy.typing import NDArray

from cpp_framework.camera.instrument import SIDE_REGIONS, AmplifierLayout, DetectorLayout, Instrument
from cpp_framework.camera.window import crop_detector, window_of, windowed_boxes
from cpp_framework.errors import IncompatibleError, RawFileError
from cpp_framework.model.detector import Amplifier, Detector
from cpp_framework.model.exposure import Exposure
from cpp_framework.model.geometry import Box

Pixels = NDArray[Any]
_IMAGES = (fits.PrimaryHDU, fits.ImageHDU, fits.CompImageHDU)
Hdu = int | str


def _no_pixels() -> Pixels:
    return np.zeros((0, 0), np.uint16)


@dataclass(frozen=True)
class RawAmplifier:
    """One amplifier's regions in readout orientation (``[0, 0]`` is read first); empty where there is none.

    ``origins`` gives, per region, row and column of its ``[0, 0]`` counted from that of ``data``, so that lines of
    an overscan find the lines of the data they were read with.
    """

    amplifier: Amplifier
    data: Pixels
    serial_prescan: Pixels = field(default_factory=_no_pixels)
    serial_overscan: Pixels = field(default_factory=_no_pixels)
    parallel_prescan: Pixels = field(default_factory=_no_pixels)
    parallel_overscan: Pixels = field(default_factory=_no_pixels)
    origins: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class RawFrame:
    """Raw pixels of one exposure of one detector, in raw counts.

    ``detector`` is the one of the instrument, or what is left of it in a windowed exposure; ``window`` is then the
    part of the whole detector that was read.
    """

    instrument: Instrument
    detector: Detector
    exposure: Exposure
    amplifiers: Mapping[str, RawAmplifier]
    window: Box | None = None


def read_raw(path: str | Path, instrument: Instrument, exposure: Exposure) -> RawFrame:
    """Read the pixels of one detector from a raw file: plain, gzipped or tile-compressed FITS.

    Parameters
    ----------
    path : str or Path
        The raw file. Only the HDUs with pixels of this detector are read, each once.
    instrument : Instrument
        Says where each amplifier lies.
    exposure : Exposure
        Says which detector, and the binning and window of the file.

    Raises
    ------
    RawFileError
        The file is not FITS, is truncated, lacks an HDU, or a section lies outside its HDU.
    IncompatibleError
        Binning or window do not fit the geometry of the instrument.
    """
    layout = instrument.layout(exposure.detector)
    if exposure.binning != instrument.binning:
        raise IncompatibleError(
            f"{path}: binning {_times(exposure.binning)}; "
            f"the geometry of {instrument.name} is written for {_times(instrument.binning)}",
            hint="write a second instrument file for this binning",
        )
    window = window_of(exposure, layout)
    detector = instrument.detector(layout.id)
    planes = _read_planes(Path(path), layout)
    if window is None:
        boxes = {amp.name: _boxes(amp) for amp in layout.amplifiers}
    else:
        boxes = windowed_boxes(layout, window, {hdu: plane.shape for hdu, plane in planes.items()}, str(path))
        detector = crop_detector(detector, window)
    _check_sections(str(path), layout, boxes, planes, window)
    amplifiers = {
        amp.name: _amplifier(amp, boxes[amp.name], planes[amp.hdu], detector.amplifier(amp.name))
        for amp in layout.amplifiers
    }
    return RawFrame(instrument, detector, exposure, amplifiers, window)


def _times(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _boxes(amp: AmplifierLayout) -> dict[str, Box]:
    sections = {region: amp.section(region) for region in ("data", *SIDE_REGIONS)}
    return {region: section.box for region, section in sections.items() if section is not None}


def _amplifier(amp: AmplifierLayout, boxes: Mapping[str, Box], plane: Pixels, amplifier: Amplifier) -> RawAmplifier:
    flip_x, flip_y = "R" in amp.readout, "U" in amp.readout
    data = boxes["data"]
    views = {region: plane[box.slices][:: -1 if flip_y else 1, :: -1 if flip_x else 1] for region, box in boxes.items()}
    origins = {
        region: (
            data.y1 - box.y1 if flip_y else box.y0 - data.y0,
            data.x1 - box.x1 if flip_x else box.x0 - data.x0,
        )
        for region, box in boxes.items()
    }
    return RawAmplifier(amplifier, origins=origins, **views)


def _check_sections(
    path: str,
    layout: DetectorLayout,
    boxes: Mapping[str, Mapping[str, Box]],
    planes: Mapping[Hdu, Pixels],
    window: Box | None,
) -> None:
    for amp in layout.amplifiers:
        height, width = planes[amp.hdu].shape
        if window is None and layout.frame is not None and layout.frame != (width, height):
            raise IncompatibleError(
                f"{path}: HDU {amp.hdu!r} is {width}x{height} pixels; "
                f"the geometry is written for {_times(layout.frame)}",
                hint="another binning, window or camera? `cpp instrument check` prints the geometry",
            )
        for region, box in boxes[amp.name].items():
            if not Box(0, 0, width, height).contains(box):
                raise RawFileError(
                    f"{path}: HDU {amp.hdu!r} is {width}x{height} pixels; {region} of amplifier {amp.name} "
                    f"needs {box.to_section()}",
                    hint="another binning, window or camera? `cpp instrument check` prints the geometry",
                )


def _read_planes(path: Path, layout: DetectorLayout) -> dict[Hdu, Pixels]:
    wanted = dict.fromkeys(amp.hdu for amp in layout.amplifiers)
    with open_raw(path) as hdus:
        return {hdu: read_plane(path, hdus, hdu) for hdu in wanted}


class DecodingError(Exception):
    """The library could not turn the bytes of an HDU into pixels."""


@contextmanager
def open_raw(path: Path) -> Iterator[fits.HDUList]:
    """Open a raw file for `read_plane`; what the library raises on a broken one becomes `RawFileError`."""
    # A truncated file makes astropy warn first and fail later, in several ways; the user needs one message.
    try:
        with (
            warnings.catch_warnings(action="ignore", category=AstropyUserWarning),
            # An absolute path is never taken for a URL: a file may be called `http:x.fits`.
            fits.open(path.absolute(), memmap=True, do_not_scale_image_data=True) as hdus,
        ):
            yield hdus
    except FileNotFoundError as error:
        raise RawFileError(f"{path}: there is no such file", hint="was it moved after `cpp ingest`?") from error
    except MemoryError as error:
        raise RawFileError(f"{path}: its pixels need more memory than there is", hint="is it a raw file?") from error
    except (OSError, ValueError, TypeError, LookupError, ArithmeticError, VerifyError, DecodingError) as error:
        raise RawFileError(
            f"{path}: cannot be read as FITS: {error}", hint="is it truncated? compare its size with the original"
        ) from error


def read_plane(path: Path, hdus: fits.HDUList, hdu: Hdu) -> Pixels:
    """Pixels of one HDU of an opened file (without scaling), scaled as its header says, ``[y, x]``, in native order.

    Raises
    ------
    RawFileError
        There is no such HDU, or it holds no image with two axes.
    """
    try:
        found = hdus[hdu]
    except (KeyError, IndexError) as error:
        names = ", ".join(f"{i} {one.name}".strip() for i, one in enumerate(hdus))
        raise RawFileError(
            f"{path}: there is no HDU {hdu!r}; it has {names}", hint="is the file truncated, or of another camera?"
        ) from error
    header = found.header
    zero, scale, blank = float(header.get("BZERO", 0)), float(header.get("BSCALE", 1)), header.get("BLANK")
    data = _decoded(found) if isinstance(found, _IMAGES) else None
    if data is None or data.ndim != 2:
        what = "no pixels" if data is None else f"{data.ndim} axes"
        raise RawFileError(
            f"{path}: HDU {hdu!r} has {what}, an image with 2 axes was expected",
            hint="set `hdu` of the amplifier; fpack moves a primary image to HDU 1",
        )
    return _native(data, zero, scale, blank)


def _decoded(hdu: fits.PrimaryHDU | fits.ImageHDU | fits.CompImageHDU) -> Pixels | None:
    try:
        pixels: Pixels | None = hdu.data
    except MemoryError:
        raise
    except Exception as error:  # decompressors raise classes of their own, which the library keeps private
        raise DecodingError(error) from error
    return pixels


def _native(data: Pixels, zero: float, scale: float, blank: int | None) -> Pixels:
    """Pixels in native byte order with BZERO applied: unsigned integers stay integers, one copy is made."""
    native: Pixels = data.byteswap().view(data.dtype.newbyteorder("=")) if not data.dtype.isnative else np.array(data)
    if native.dtype.kind == "f":
        with np.errstate(over="ignore"):  # 1e40 becomes infinite, and is masked like any other such pixel
            return (native * scale + zero).astype(np.float32) if (zero, scale) != (0, 1) else native.astype(np.float32)
    half_range = 2.0 ** (8 * native.dtype.itemsize - 1)
    if blank is None and scale == 1 and zero == 0 and native.dtype.itemsize < 8:
        return native
    if blank is None and scale == 1 and zero == half_range and native.dtype in (np.int16, np.int32):
        # Adding half the range to a two's complement number is the same as turning its sign bit.
        unsigned = native.view(native.dtype.str.replace("i", "u"))
        unsigned ^= unsigned.dtype.type(half_range)
        return unsigned
    with np.errstate(over="ignore"):
        scaled = (native * scale + zero).astype(np.float32)
    if blank is not None:
        scaled[native == blank] = np.nan
    return scaled
