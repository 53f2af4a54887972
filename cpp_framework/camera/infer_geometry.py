"""From headers to detectors and amplifiers: which HDU holds what, and where it lies in the assembled image."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from cpp_framework.camera.guess import AmplifierGuess, DetectorGuess
from cpp_framework.camera.hdu import HduHeader
from cpp_framework.camera.infer_counts import eso_amplifiers, eso_outputs, is_lick, lick_amplifiers
from cpp_framework.camera.infer_electronics import add_electronics
from cpp_framework.camera.infer_sections import sectioned_amplifier, suffixes
from cpp_framework.camera.pixels import FramePixels
from cpp_framework.camera.rules import look_up
from cpp_framework.errors import RawFileError
from cpp_framework.model.geometry import Box, Section

CCD_KEYS = ("CCDNUM", "CCDNAME", "CCDID", "DETECTOR", "ESO DET CHIP1 ID", "ESO DET CHIP1 NAME")
"""Keywords that tell the CCDs of a mosaic apart, when they differ between HDUs."""
NAME_KEYS = ("DETECTOR", "DETNAME", "CCDNAME", "DETID", "ESO DET CHIP1 NAME")
SERIAL_KEYS = ("LSST_NUM", "CCD_SERN", "DETSER", "CHIPID", "DSENSOR", "ESO DET CHIP1 ID")


def image_headers(headers: Sequence[HduHeader]) -> list[HduHeader]:
    """Headers of the HDUs that hold an image.

    Raises
    ------
    RawFileError
        There is none.
    """
    images = [header for header in headers if header.size is not None]
    if not images:
        raise RawFileError(
            f"{headers[0].path}: none of its {len(headers)} HDUs holds an image with two axes",
            hint="name a raw frame as the camera wrote it",
        )
    return images


def guess_detectors(headers: Sequence[HduHeader], binning: tuple[int, int], pixels: FramePixels) -> list[DetectorGuess]:
    """Propose the detectors in a raw file.

    Parameters
    ----------
    headers : sequence of HduHeader
        All headers of one example file.
    binning : tuple of int
        Binning of that file (x, y): DETSEC and CCDSEC count unbinned pixels.
    pixels : FramePixels
        Looked at where the headers do not say where two amplifiers meet, and for amplifiers without pixels.
    """
    images = image_headers(headers)
    key = _telling_key(images)
    groups: dict[str, list[HduHeader]] = {}
    for header in images:
        groups.setdefault(str(header.get(key)) if key else "", []).append(header)
    detectors = []
    for name, members in groups.items():
        amplifiers = [amp for header in members for amp in _amplifiers(header, headers[0], pixels)]
        lookup = [members[0], headers[0]]
        detector = DetectorGuess(
            name=name or str(_first(lookup, NAME_KEYS) or ""),
            serial=str(_first(lookup, SERIAL_KEYS) or ""),
            amplifiers=amplifiers,
        )
        _name_apart(amplifiers)
        _place(detector, binning)
        for amp in amplifiers:
            add_electronics(amp, [amp.header, headers[0]])
        _note_constant(detector, pixels)
        detectors.append(detector)
    return detectors


def _telling_key(images: list[HduHeader]) -> str:
    for key in CCD_KEYS:
        if len({header.get(key) for header in images} - {None}) > 1:
            return key
    return ""


def _first(headers: Sequence[HduHeader], keywords: Sequence[str]) -> object | None:
    return next((value for keyword in keywords if (value := look_up(keyword, headers)) is not None), None)


def _amplifiers(header: HduHeader, primary: HduHeader, pixels: FramePixels) -> list[AmplifierGuess]:
    assert header.size is not None
    columns, rows = header.size
    lettered = suffixes(header)
    if len(lettered) > 1:
        return _facing_outwards([sectioned_amplifier(header, columns, rows, suffix) for suffix in lettered])
    for describing in (header, primary):
        if eso_outputs(describing):
            return eso_amplifiers(header, describing) or [sectioned_amplifier(header, columns, rows)]
    if is_lick(header):
        return lick_amplifiers(header, columns, rows, pixels)
    return [sectioned_amplifier(header, columns, rows)]


def _facing_outwards(amplifiers: list[AmplifierGuess]) -> list[AmplifierGuess]:
    """Amplifiers of one frame are read at its outer corners, unless AMPSEC says otherwise."""
    centre_x = sum(amp.data.x0 + amp.data.x1 for amp in amplifiers) / len(amplifiers)
    centre_y = sum(amp.data.y0 + amp.data.y1 for amp in amplifiers) / len(amplifiers)
    for amp in amplifiers:
        if not any(amp.header.get(f"{key}{amp.suffix}") for key in ("AMPSEC", "ASEC")):
            right, upper = amp.data.x0 + amp.data.x1 > centre_x, amp.data.y0 + amp.data.y1 > centre_y
            amp.readout = ("U" if upper else "L") + ("R" if right else "L")
            amp.notes.append("readout is assumed: the outer corner")
    return amplifiers


def _name_apart(amplifiers: list[AmplifierGuess]) -> None:
    names = [amp.name[:32] for amp in amplifiers]
    if len(set(names)) < len(names) or "" in names:
        names = [amp.header.name[:32] for amp in amplifiers]
    if len(set(names)) < len(names) or "" in names:
        names = [f"A{i}" for i in range(1, len(amplifiers) + 1)]
    for amp, name in zip(amplifiers, names, strict=True):
        amp.name = name


def _place(detector: DetectorGuess, binning: tuple[int, int]) -> None:
    """Give each amplifier its section of the assembled image, counted from the corner of what was read."""
    amplifiers = detector.amplifiers
    targets = [_binned(amp.place, binning) if amp.place else None for amp in amplifiers]
    placed = [target for target in targets if target is not None]
    if len(placed) == len(amplifiers) and _fits(amplifiers, placed):
        x0, y0 = min(one.box.x0 for one in placed), min(one.box.y0 for one in placed)
        if (x0, y0) != (0, 0):
            detector.notes.append(f"counted from pixel [{x0 + 1},{y0 + 1}] of DETSEC/CCDSEC")
        for amp, target in zip(amplifiers, placed, strict=True):
            amp.target = Section(_moved(target.box, -x0, -y0), target.reversed_x, target.reversed_y)
    else:
        if placed:
            detector.notes.append("DETSEC/CCDSEC contradict the data sections or each other and are not used")
        _lay_out(detector)
    boxes = [amp.target.box for amp in amplifiers if amp.target]
    detector.size = (max(box.x1 for box in boxes), max(box.y1 for box in boxes))
    if sum(box.width * box.height for box in boxes) < detector.size[0] * detector.size[1]:
        detector.notes.append("the amplifiers do not fill the assembled image: gaps stay empty")


def _binned(section: Section, binning: tuple[int, int]) -> Section:
    box = section.box
    cut = Box(box.x0 // binning[0], box.y0 // binning[1], box.x1 // binning[0], box.y1 // binning[1])
    return Section(cut, section.reversed_x, section.reversed_y)


def _fits(amplifiers: list[AmplifierGuess], targets: list[Section]) -> bool:
    sizes = all(amp.data.shape == target.box.shape for amp, target in zip(amplifiers, targets, strict=True))
    apart = not any(one.box.overlaps(two.box) for i, one in enumerate(targets) for two in targets[:i])
    return sizes and apart


def _moved(box: Box, dx: int, dy: int) -> Box:
    return Box(box.x0 + dx, box.y0 + dy, box.x1 + dx, box.y1 + dy)


def _lay_out(detector: DetectorGuess) -> None:
    """Place without DETSEC: amplifiers of one HDU as they lie there without overscans, HDUs side by side."""
    offset = 0
    hdus = list({amp.header.index: amp.header for amp in detector.amplifiers}.values())
    for header in hdus:
        members = [amp for amp in detector.amplifiers if amp.header is header]
        boxes = _closed_up([amp.data for amp in members])
        for amp, box in zip(members, boxes, strict=True):
            amp.target = Section(_moved(box, offset, 0))
        offset += max(box.x1 for box in boxes)
    if len(hdus) > 1:
        detector.notes.append("no DETSEC: the HDUs are laid side by side; correct every detector section by hand")


def _closed_up(boxes: list[Box]) -> list[Box]:
    """Boxes of one frame without the gaps between them; side by side if they overlap."""
    columns = sorted({(box.x0, box.x1) for box in boxes})
    rows = sorted({(box.y0, box.y1) for box in boxes})
    found = []
    for box in boxes:
        x = sum(end - start for start, end in columns if end <= box.x0)
        y = sum(end - start for start, end in rows if end <= box.y0)
        found.append(Box(x, y, x + box.width, y + box.height))
    if not any(one.overlaps(two) for i, one in enumerate(found) for two in found[:i]):
        return found
    starts = accumulate((box.width for box in boxes[:-1]), initial=0)
    return [Box(x, 0, x + box.width, box.height) for x, box in zip(starts, boxes, strict=True)]


def _note_constant(detector: DetectorGuess, pixels: FramePixels) -> None:
    constant = pixels.constant(detector.amplifiers)
    for amp in detector.amplifiers:
        if amp.name in constant:
            amp.notes.append(f"all pixels are the same in {pixels.paths[0].name}: no data")
    if constant:
        detector.notes.append(
            f"{len(constant)} of {len(detector.amplifiers)} amplifiers have no data: delete them here, or set "
            f"dead_amplifiers_allowed: {len(constant)} if they are dead"
        )
