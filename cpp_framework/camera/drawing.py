"""A small map of the amplifiers in the assembled detector, in characters."""

from __future__ import annotations

from cpp_framework.camera.instrument import DetectorLayout, Instrument

_LINES_PER_ROW = 4


def draw_detector(instrument: Instrument, layout: DetectorLayout) -> str:
    """Draw one detector, row 1 at the bottom: each amplifier with its name and ``*`` in the corner read first."""
    amplifiers = instrument.detector(layout.id).amplifiers
    xs = sorted({edge for amp in amplifiers for edge in (amp.box.x0, amp.box.x1)})
    ys = sorted({edge for amp in amplifiers for edge in (amp.box.y0, amp.box.y1)})
    step = max(len(amp.name) for amp in amplifiers) + 4
    canvas = [[" "] * (step * (len(xs) - 1) + 1) for _ in range(_LINES_PER_ROW * (len(ys) - 1) + 1)]
    for amp in amplifiers:
        left, right = step * xs.index(amp.box.x0), step * xs.index(amp.box.x1)
        # Screen lines count downwards, detector rows upwards.
        top = _LINES_PER_ROW * (len(ys) - 1 - ys.index(amp.box.y1))
        bottom = _LINES_PER_ROW * (len(ys) - 1 - ys.index(amp.box.y0))
        for x in range(left, right + 1):
            for y in (top, bottom):
                canvas[y][x] = "+" if x in (left, right) or canvas[y][x] == "+" else "-"
        for y in range(top + 1, bottom):
            for x in (left, right):
                canvas[y][x] = "+" if canvas[y][x] == "+" else "|"
        middle, start = (top + bottom) // 2, (left + right + 1 - len(amp.name)) // 2
        canvas[middle][start : start + len(amp.name)] = list(amp.name)
        canvas[top + 1 if amp.flip_y else bottom - 1][right - 1 if amp.flip_x else left + 1] = "*"
    return "\n".join("".join(line).rstrip() for line in canvas)
