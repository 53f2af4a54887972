"""Windowed exposures: where an amplifier's regions lie in a raw file that holds only part of the detector.

A camera that reads a window leaves out the rows and columns of data outside it and writes the rest side by side,
pre- and overscans included. So a pixel of the whole frame moves by the number of left-out columns (rows) before it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from cpp_framework.camera.instrument import SIDE_REGIONS, AmplifierLayout, DetectorLayout
from cpp_framework.errors import IncompatibleError
from cpp_framework.model.detector import Amplifier, Detector
from cpp_framework.model.exposure import Exposure
from cpp_framework.model.geometry import Box, Section


def window_of(exposure: Exposure, layout: DetectorLayout) -> Box | None:
    """Return the part of the assembled image that was read; None for all of it.

    Raises
    ------
    IncompatibleError
        The window leaves the detector, or does not reach one of its amplifiers.
    """
    if not exposure.window:
        return None
    window = Section.parse(exposure.window, what=f"window of exposure {exposure.id}").box
    whole = Box(0, 0, *layout.size)
    if window == whole:
        return None
    if not whole.contains(window):
        raise IncompatibleError(
            f"exposure {exposure.id}: window {exposure.window} leaves detector {layout.name} {whole.to_section()}"
        )
    missed = [amp.name for amp in layout.amplifiers if not amp.target.box.overlaps(window)]
    if missed:
        raise IncompatibleError(
            f"exposure {exposure.id}: window {exposure.window} does not reach amplifier {', '.join(missed)}",
            hint="only windows that cut every amplifier are supported; write an instrument file for this window",
        )
    return window


def crop_detector(detector: Detector, window: Box) -> Detector:
    """Return the detector as a camera of the window's size: amplifier boxes cut and counted from its corner."""

    def cropped(amp: Amplifier) -> Amplifier:
        part = amp.box.intersection(window)
        box = Box(part.x0 - window.x0, part.y0 - window.y0, part.x1 - window.x0, part.y1 - window.y0)
        return dataclasses.replace(amp, box=box)

    amplifiers = tuple(cropped(amp) for amp in detector.amplifiers if amp.box.overlaps(window))
    return dataclasses.replace(detector, width=window.width, height=window.height, amplifiers=amplifiers)


def windowed_boxes(
    layout: DetectorLayout, window: Box, shapes: Mapping[int | str, tuple[int, ...]], path: str
) -> dict[str, dict[str, Box]]:
    """Boxes of all regions of all amplifiers inside the HDUs of a windowed raw file.

    Raises
    ------
    IncompatibleError
        An HDU does not have the size that the window leaves.
    """
    boxes: dict[str, dict[str, Box]] = {}
    for hdu, shape in shapes.items():
        amplifiers = [amp for amp in layout.amplifiers if amp.hdu == hdu]
        left_out_x: set[int] = set()
        left_out_y: set[int] = set()
        for amp in amplifiers:
            data, kept = _data(amp), _kept(amp, window)
            left_out_x |= set(range(data.x0, data.x1)) - set(range(kept.x0, kept.x1))
            left_out_y |= set(range(data.y0, data.y1)) - set(range(kept.y0, kept.y1))
        for amp in amplifiers:
            boxes[amp.name] = {
                region: _moved(section.box, left_out_x, left_out_y)
                for region in ("data", *SIDE_REGIONS)
                if (section := amp.section(region)) is not None
            }
        regions = [box for amp in amplifiers for box in boxes[amp.name].values()]
        expected = max(box.x1 for box in regions), max(box.y1 for box in regions)
        if layout.frame is not None:
            expected = layout.frame[0] - len(left_out_x), layout.frame[1] - len(left_out_y)
        if (shape[1], shape[0]) != expected:
            raise IncompatibleError(
                f"{path}: HDU {hdu!r} is {shape[1]}x{shape[0]} pixels; window {window.to_section()} leaves "
                f"{expected[0]}x{expected[1]} of the geometry",
                hint="write an instrument file for this window",
            )
    return boxes


def _data(amp: AmplifierLayout) -> Box:
    return Section.parse(amp.data).box


def _kept(amp: AmplifierLayout, window: Box) -> Box:
    """Part of the data section, in the HDU of a whole frame, that the window keeps."""
    data, target = _data(amp), amp.target
    part = target.box.intersection(window)
    x = target.box.x1 - part.x1 if target.reversed_x else part.x0 - target.box.x0
    y = target.box.y1 - part.y1 if target.reversed_y else part.y0 - target.box.y0
    return Box(data.x0 + x, data.y0 + y, data.x0 + x + part.width, data.y0 + y + part.height)


def _moved(box: Box, left_out_x: set[int], left_out_y: set[int]) -> Box:
    def shift(at: int, left_out: set[int]) -> int:
        return at - sum(one < at for one in left_out)

    return Box(
        shift(box.x0, left_out_x), shift(box.y0, left_out_y), shift(box.x1, left_out_x), shift(box.y1, left_out_y)
    )
