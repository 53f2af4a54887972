"""Amplifiers of one HDU from section keywords (DATASEC, BIASSEC …), also lettered for several in one HDU."""

from __future__ import annotations

import re

from cpp_framework.camera.guess import AmplifierGuess, section_of
from cpp_framework.camera.hdu import HduHeader
from cpp_framework.model.geometry import Box

_LETTERED = re.compile(r"^(?:DATASEC|TRIMSEC|TSEC)([A-H]|[1-9][0-9]?)$")
MIN_OVERSCAN = 4
"""A strip beside the data narrower than this is taken as a prescan."""


def suffixes(header: HduHeader) -> list[str]:
    """Suffixes of the section keywords of an HDU with several amplifiers (``DATASECA``, ``TSEC11``)."""
    found = [match.group(1) for keyword in header.cards if (match := _LETTERED.match(keyword))]
    return list(dict.fromkeys(found))


def sectioned_amplifier(header: HduHeader, columns: int, rows: int, suffix: str = "") -> AmplifierGuess:
    """Amplifier described by the section keywords with a suffix; the whole frame where there are none."""
    frame = Box(0, 0, columns, rows)
    notes: list[str] = []
    bias = _inside(header, frame, notes, f"BIASSEC{suffix}", f"BSEC{suffix}")
    data = _data_box(header, frame, bias, suffix, notes)
    sides: dict[str, Box] = {}
    if bias is not None:
        _add_side(sides, "overscan", bias, data, notes)
    prescan = _inside(header, frame, notes, f"PRESEC{suffix}", f"PRESCAN{suffix}")
    if prescan is not None:
        _add_side(sides, "prescan", prescan, data, notes)
    if not suffix:
        _add_leftovers(sides, data, frame, notes)
    return AmplifierGuess(
        header,
        name=str(header.get(f"AMPNAME{suffix}") or header.get(f"AMPID{suffix}") or suffix or header.name),
        data=data,
        suffix=suffix,
        sides=sides,
        place=section_of(header, f"DETSEC{suffix}", f"CCDSEC{suffix}", f"DSEC{suffix}", f"CSEC{suffix}"),
        readout=_readout(header, suffix, data, sides),
        notes=notes,
    )


def _inside(header: HduHeader, frame: Box, notes: list[str], *keywords: str) -> Box | None:
    section = section_of(header, *keywords)
    if section is None:
        return None
    if not frame.contains(section.box):
        notes.append(f"{keywords[0]} {section.to_text()} leaves the frame of {frame.width}x{frame.height}: not used")
        return None
    return section.box


def _data_box(header: HduHeader, frame: Box, bias: Box | None, suffix: str, notes: list[str]) -> Box:
    for keywords in ((f"DATASEC{suffix}",), (f"TRIMSEC{suffix}", f"TSEC{suffix}")):
        box = _inside(header, frame, notes, *keywords)
        if box is not None and (bias is None or not box.overlaps(bias)):
            return box
        if box is not None:
            notes.append(f"{keywords[0]} {box.to_section()} overlaps BIASSEC{suffix}: not used")
    if bias is None:
        return frame
    notes.append("the data section is what BIASSEC leaves: check it")
    right = bias.x0 - frame.x0 >= frame.x1 - bias.x1
    rest = Box(frame.x0, frame.y0, bias.x0, frame.y1) if right else Box(bias.x1, frame.y0, frame.x1, frame.y1)
    return frame if rest.empty else rest


def _add_side(sides: dict[str, Box], what: str, box: Box, data: Box, notes: list[str]) -> None:
    """Name a region serial (beside the data) or parallel (above or below), cut to the data's rows or columns."""
    if box.overlaps(data):
        notes.append(f"the {what} section {box.to_section()} overlaps the data: not used")
        return
    beside = box.x0 >= data.x1 or box.x1 <= data.x0
    rows = (max(box.y0, data.y0), min(box.y1, data.y1))
    columns = (max(box.x0, data.x0), min(box.x1, data.x1))
    cut = Box(box.x0, rows[0], box.x1, rows[1]) if beside else Box(columns[0], box.y0, columns[1], box.y1)
    if not cut.empty:
        sides[f"{'serial' if beside else 'parallel'}_{what}"] = cut


def _add_leftovers(sides: dict[str, Box], data: Box, frame: Box, notes: list[str]) -> None:
    """Name the strips around the data that no keyword explains: the wider of two is the overscan."""
    strips = {
        "serial": (Box(frame.x0, data.y0, data.x0, data.y1), Box(data.x1, data.y0, frame.x1, data.y1)),
        "parallel": (Box(data.x0, frame.y0, data.x1, data.y0), Box(data.x0, data.y1, data.x1, frame.y1)),
    }
    for direction, both in strips.items():
        free = [box for box in both if not box.empty and not any(box.overlaps(side) for side in sides.values())]
        for box in sorted(free, key=lambda one: -one.width * one.height):
            thickness = box.width if direction == "serial" else box.height
            region = f"{direction}_overscan"
            if region in sides or thickness < MIN_OVERSCAN:
                region = f"{direction}_prescan"
            if region not in sides:
                sides[region] = box
                notes.append(f"{region} is assumed: pixels outside the data section, no keyword names them")


def _readout(header: HduHeader, suffix: str, data: Box, sides: dict[str, Box]) -> str:
    """Corner read first: AMPSEC says it by its direction; else the overscans lie at the far side."""
    ampsec = section_of(header, f"AMPSEC{suffix}", f"ASEC{suffix}")
    serial, parallel = sides.get("serial_overscan"), sides.get("parallel_overscan")
    right = ampsec.reversed_x if ampsec is not None else serial is not None and serial.x1 <= data.x0
    upper = ampsec.reversed_y if ampsec is not None else parallel is not None and parallel.y1 <= data.y0
    return ("U" if upper else "L") + ("R" if right else "L")
