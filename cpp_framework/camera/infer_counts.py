"""Amplifiers of one HDU from counts instead of sections: Lick's COVER and AMPSROW, ESO's OUT1 NX, PRSCX, OVSCX."""

from __future__ import annotations

from cpp_framework.camera.guess import AmplifierGuess, section_of
from cpp_framework.camera.hdu import HduHeader
from cpp_framework.camera.pixels import FramePixels
from cpp_framework.model.geometry import Box


def count(header: HduHeader, keyword: str) -> int:
    """Value of a keyword that counts something; 0 if it is absent or not a number."""
    value = header.get(keyword)
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0


def is_lick(header: HduHeader) -> bool:
    """Whether overscan columns are counted per amplifier (COVER), several share the rows, and data are left."""
    assert header.size is not None
    amplifiers, cover, top = (count(header, keyword) for keyword in ("AMPSROW", "COVER", "ROVER"))
    return cover > 0 and amplifiers > 1 and header.size[0] >= amplifiers * (cover + 1) and 0 <= top < header.size[1]


def lick_amplifiers(header: HduHeader, columns: int, rows: int, pixels: FramePixels) -> list[AmplifierGuess]:
    """Amplifiers side by side in one HDU: all data first, then one overscan of COVER columns per amplifier.

    The columns where one amplifier ends and the next begins are nowhere in the header (and move with the window);
    for two amplifiers they are found from the step of the bias level.
    """
    amplifiers, cover = count(header, "AMPSROW"), count(header, "COVER")
    section = section_of(header, "DATASEC")
    data_end = columns - amplifiers * cover
    if section is not None and amplifiers <= section.box.x1 < data_end:
        data_end = section.box.x1
    top = rows - count(header, "ROVER")
    data = Box(0, 0, data_end, top)
    overscans = [Box(data_end + i * cover, 0, data_end + (i + 1) * cover, top) for i in range(amplifiers)]
    edges = [round(data_end * i / amplifiers) for i in range(amplifiers + 1)]
    note = "where the amplifiers meet is a guess (equal parts): correct data and detector by hand"
    if amplifiers == 2 and (split := pixels.find_split(header.index, data, overscans[0], overscans[1])) is not None:
        edges[1] = split
        note = f"columns {split} and {split + 1} meet where the bias level steps in {pixels.quietest.name}: check it"
    guesses = []
    for i, overscan in enumerate(overscans):
        box = Box(edges[i], 0, edges[i + 1], top)
        sides = {"serial_overscan": overscan}
        if top < rows:
            sides["parallel_overscan"] = Box(box.x0, top, box.x1, rows)
        # A serial register with an output at each end is read outwards from where the halves meet.
        readout = "LR" if i >= amplifiers / 2 else "LL"
        guesses.append(AmplifierGuess(header, name=chr(ord("A") + i), data=box, sides=sides, readout=readout))
    guesses[0].notes.append(note)
    if count(header, "AMPSCOL") > 1:
        guesses[0].notes.append(f"AMPSCOL={count(header, 'AMPSCOL')}: split the rows between amplifiers by hand")
    return guesses


def eso_outputs(header: HduHeader) -> list[int]:
    """Numbers of the ESO read-out ports described in an HDU."""
    return [i for i in range(1, 17) if count(header, f"ESO DET OUT{i} NX") > 0]


def eso_amplifiers(header: HduHeader, describing: HduHeader) -> list[AmplifierGuess]:
    """Amplifiers from ``ESO DET OUTn``: corner (X, Y), valid pixels (NX, NY), pre- and overscan counts per direction.

    Ports at the left (lower) side of the chip are written prescan, data, overscan; those at the right (upper) side
    mirrored, so that the overscans of two ports meet in the middle of the frame. The cards may be in the primary
    header (``describing``); ports whose data would leave the frame are left out.
    """
    assert header.size is not None
    columns, rows = header.size
    ports = eso_outputs(describing)
    middle = {axis: _middle(describing, ports, axis) for axis in "XY"}
    guesses = []
    for port in ports:
        base = f"ESO DET OUT{port}"
        right, upper = (count(describing, f"{base} {axis}") > middle[axis] for axis in "XY")
        x = _stretch(describing, base, "X", columns, mirrored=right)
        y = _stretch(describing, base, "Y", rows, mirrored=upper)
        sides = {
            "serial_prescan": _box(x[0], y[1]),
            "serial_overscan": _box(x[2], y[1]),
            "parallel_prescan": _box(x[1], y[0]),
            "parallel_overscan": _box(x[1], y[2]),
        }
        guess = AmplifierGuess(
            header,
            name=str(describing.get(f"{base} NAME") or describing.get(f"{base} ID") or f"OUT{port}"),
            data=_box(x[1], y[1]),
            suffix=str(port),
            sides={region: box for region, box in sides.items() if not box.empty},
            readout=("U" if upper else "L") + ("R" if right else "L"),
            notes=["regions come from counts (ESO DET OUTn PRSCX, NX, OVSCX …): compare with the pixels"],
        )
        if not guess.data.empty and Box(0, 0, columns, rows).contains(guess.data):
            guesses.append(guess)
    return guesses


Range = tuple[int, int]


def _middle(header: HduHeader, ports: list[int], axis: str) -> float:
    """Where the chip's left (lower) half ends; without its size, between the corners of the ports."""
    corners = [count(header, f"ESO DET OUT{port} {axis}") for port in ports]
    size = count(header, f"ESO DET CHIP1 N{axis}")
    return size / 2 if size else (max(corners) if len(set(corners)) == 1 else (max(corners) + min(corners)) / 2)


def _stretch(header: HduHeader, base: str, axis: str, length: int, *, mirrored: bool) -> tuple[Range, Range, Range]:
    """Pixel ranges of prescan, data and overscan along one axis."""
    before, valid, after = (count(header, f"{base} {key}{axis}") for key in ("PRSC", "N", "OVSC"))
    if not mirrored:
        return (0, before), (before, before + valid), (before + valid, before + valid + after)
    start = length - before
    return (start, length), (start - valid, start), (start - valid - after, start - valid)


def _box(x: Range, y: Range) -> Box:
    return Box(x[0], y[0], x[1], y[1])
