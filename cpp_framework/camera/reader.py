"""Raw file to exposures, from the headers alone: what ingest calls for every file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cpp_framework.camera.hdu import HduHeader, find_hdu, read_headers
from cpp_framework.camera.header import HeaderMap, translate
from cpp_framework.camera.instrument import SIDE_REGIONS, AmplifierLayout, DetectorLayout, Instrument
from cpp_framework.camera.rules import Scalar, same
from cpp_framework.errors import RawFileError
from cpp_framework.model.exposure import Exposure

_OTHER_FRAME = "a windowed or binned frame needs its own instrument file (`cpp instrument init`)"


def read_exposures(path: str | Path, instrument: Instrument) -> list[Exposure]:
    """Return the exposures in a raw file, one per detector. Pixels are not read.

    Raises
    ------
    RawFileError
        Not FITS, truncated, from another camera, binned or windowed so that the instrument's geometry does not fit,
        or without a needed keyword. The message names file and reason.
    """
    path = Path(path)
    headers = read_headers(path)
    header_map = HeaderMap.model_validate(instrument.header)
    layouts = _layouts(headers, header_map, instrument, path)
    return [_exposure(headers, layout, header_map, instrument, path) for layout in layouts]


def exposure_headers(headers: Sequence[HduHeader], layout: DetectorLayout) -> list[HduHeader]:
    """Headers to translate for one detector, in order of precedence: its first amplifier's HDU, then the primary."""
    own = find_hdu(headers, layout.amplifiers[0].hdu)
    return [headers[0]] if own is None or own is headers[0] else [own, headers[0]]


def _layouts(
    headers: Sequence[HduHeader], header_map: HeaderMap, instrument: Instrument, path: Path
) -> list[DetectorLayout]:
    """Detectors that the file holds: the one a keyword names, or all of the instrument's."""
    rule = header_map.detector
    if rule is None:
        return list(instrument.detectors)
    for layout in instrument.detectors:
        if _is_detector(rule.find(exposure_headers(headers, layout)), layout):
            return [layout]
    found = rule.find(exposure_headers(headers, instrument.detectors[0]))
    known = ", ".join(f"{layout.id} ({layout.name})" for layout in instrument.detectors)
    raise RawFileError(
        f"{path}: detector {found!r} (from {', '.join(rule.keyword)}) is none of {instrument.name}'s: {known}",
        hint="add it to detectors, or map the value in header.detector.map, in the instrument file",
    )


def _is_detector(value: Scalar | None, layout: DetectorLayout) -> bool:
    return value is not None and any(same(known, value) for known in (layout.id, layout.name, layout.serial))


def _exposure(
    headers: Sequence[HduHeader], layout: DetectorLayout, header_map: HeaderMap, instrument: Instrument, path: Path
) -> Exposure:
    fields: dict[str, Any] = translate(exposure_headers(headers, layout), header_map, path)
    binning = fields.setdefault("binning", instrument.binning)
    if binning != instrument.binning:
        raise RawFileError(
            f"{path}: binned {_times(binning)}, instrument {instrument.name} is written for "
            f"{_times(instrument.binning)}",
            hint=_OTHER_FRAME,
        )
    if not fields["window"]:
        check_fit(headers, layout, path)
    fields["detector"] = layout.id
    return Exposure(instrument=instrument.name, path=str(path), **fields)


def check_fit(headers: Sequence[HduHeader], layout: DetectorLayout, path: Path) -> None:
    """Check that the HDUs of a detector are there, of the size of its ``frame``, and hold all regions.

    Raises
    ------
    RawFileError
        They are not; the message gives both sizes.
    """
    for amp in layout.amplifiers:
        size = _size(headers, amp, path)
        if layout.frame is not None and size != layout.frame:
            raise RawFileError(
                f"{path}: HDU {amp.hdu!r} has {_times(size)} pixels, detector {layout.name} has frames of "
                f"{_times(layout.frame)}",
                hint=_OTHER_FRAME,
            )
        for region in ("data", *SIDE_REGIONS):
            section = amp.section(region)
            if section is not None and (section.box.x1 > size[0] or section.box.y1 > size[1]):
                raise RawFileError(
                    f"{path}: amplifier {amp.name}: {region} {section.to_text()} leaves HDU {amp.hdu!r}, "
                    f"which has {_times(size)} pixels",
                    hint=_OTHER_FRAME,
                )


def _size(headers: Sequence[HduHeader], amp: AmplifierLayout, path: Path) -> tuple[int, int]:
    header = find_hdu(headers, amp.hdu)
    if header is not None and header.size is not None:
        return header.size
    what = "is not there" if header is None else "holds no image"
    raise RawFileError(
        f"{path}: amplifier {amp.name}: HDU {amp.hdu!r} {what}; the file has {len(headers)} HDUs",
        hint="`cpp instrument check` shows what the instrument file expects",
    )


def _times(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
