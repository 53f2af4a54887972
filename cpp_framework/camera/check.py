"""Try an instrument file on raw frames: do headers translate, do sections fit, do the pixels agree with them?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cpp_framework.camera.instrument import Instrument
from cpp_framework.camera.pixels import finite
from cpp_framework.camera.raw import RawAmplifier, read_raw
from cpp_framework.camera.reader import read_exposures
from cpp_framework.config.suggest import did_you_mean
from cpp_framework.declare import CalibrationType
from cpp_framework.errors import CppError
from cpp_framework.model.exposure import Exposure

SIGNIFICANT = 5.0
"""Levels differ if they do so by this many times the noise of one pixel."""
LIT = 20.0
"""Data this many times the noise above the overscan have light on them."""
WINDOW = 16
"""Columns over which a level is formed when looking for a step: more than a few bad or glowing columns."""

Pixels = NDArray[np.float64]


@dataclass(frozen=True)
class FrameReport:
    """What was found out about one raw file."""

    path: Path
    exposures: tuple[Exposure, ...] = ()
    problem: str = ""
    hint: str = ""
    warnings: tuple[str, ...] = field(default=())


def check_instrument(instrument: Instrument, paths: Iterable[str | Path]) -> list[FrameReport]:
    """Try an instrument on raw frames.

    Returns
    -------
    list of FrameReport
        One per frame: the translated exposures and warnings about the pixels, or the problem that stopped it.
    """
    return [_check_frame(instrument, Path(path)) for path in paths]


def check_limits(instrument: Instrument, types: Mapping[str, CalibrationType]) -> list[str]:
    """Say which of an instrument's limits nobody will use: those of unknown types and of checks a type does not make.

    Parameters
    ----------
    types : mapping of str to CalibrationType
        The types that are installed, by name.
    """
    found = []
    for type_name, limits in instrument.limits.items():
        if type_name not in types:
            found.append(f"limits.{type_name}: no such calibration type is installed; {did_you_mean(type_name, types)}")
            continue
        known = [spec.name for spec in types[type_name].checks]
        found += [
            f"limits.{type_name}.{name}: {type_name} has no such check; {did_you_mean(name, known)}"
            for name in limits
            if name not in known
        ]
    return found


def _check_frame(instrument: Instrument, path: Path) -> FrameReport:
    try:
        exposures = read_exposures(path, instrument)
        warnings = [text for exposure in exposures for text in check_pixels(instrument, path, exposure)]
    except CppError as error:
        return FrameReport(path, problem=str(error), hint=error.hint)
    return FrameReport(path, tuple(exposures), warnings=tuple(warnings))


def check_pixels(instrument: Instrument, path: Path, exposure: Exposure) -> list[str]:
    """Compare the pixels of one exposure with the geometry; return what looks wrong, one sentence each."""
    amplifiers_by_text: dict[str, list[str]] = {}
    for name, amp in read_raw(path, instrument, exposure).amplifiers.items():
        for text in _check_amplifier(amp, exposure.kind):
            amplifiers_by_text.setdefault(text, []).append(name)
    return [f"{', '.join(names)}: {text}" for text, names in amplifiers_by_text.items()]


def _check_amplifier(amp: RawAmplifier, kind: str) -> list[str]:
    data = finite(amp.data)
    if np.ptp(data) == 0:
        return [f"all pixels are {amp.data.flat[0]}: no data"]
    found = []
    if lost := np.count_nonzero(~np.isfinite(amp.data)):
        found.append(f"{lost} pixels are not finite numbers")
    limit = amp.amplifier.adc_maximum
    if limit is not None and data.max() > limit:
        found.append(f"a pixel of {data.max():g} is above adc_maximum {limit:g}")
    columns = np.median(data, axis=0).astype(float)
    if amp.serial_overscan.size:
        found += _check_overscan(columns, finite(amp.serial_overscan).astype(float), kind)
    elif kind not in ("bias", "dark"):
        found += _look_for_overscan(columns)
    if kind in ("bias", "dark"):
        found += _look_for_step(columns, _noise(data.astype(float)))
    return found


def _check_overscan(columns: Pixels, overscan: Pixels, kind: str) -> list[str]:
    found = []
    noise, level = _noise(overscan), float(np.median(overscan))
    signal = float(np.median(columns)) - level
    if kind == "bias" and abs(signal) > SIGNIFICANT * noise:
        found.append(
            f"bias data lie {signal:+.1f} adu from the serial overscan (noise {noise:.1f}): "
            "does it belong to this amplifier?"
        )
    elif signal < -SIGNIFICANT * noise:
        found.append(f"data lie {-signal:.1f} adu below the serial overscan: are the sections exchanged?")
    # The first columns may hold a charge-transfer tail, the last ones a clocking transient.
    lines = np.median(overscan, axis=0)[3:-3]
    if lines.size and (worst := float(np.abs(lines - level).max())) > SIGNIFICANT * noise:
        found.append(
            f"columns of the serial overscan differ by {worst:.1f} adu (noise {noise:.1f}): is there light on it?"
        )
    if signal > LIT * noise and (dark := _edge(columns - level < SIGNIFICANT * noise)):
        found.append(f"{dark} data column(s) at the edge are at the overscan's level: is the data section too wide?")
    return found


def _look_for_overscan(columns: Pixels) -> list[str]:
    """Tell of edge columns that stay dark in a lit frame of a camera said to have no overscan."""
    dark = _edge(columns < 0.5 * np.median(columns))
    return [f"{dark} column(s) at the edge are less than half as bright as the rest: an overscan?"] if dark > 3 else []


def _look_for_step(columns: Pixels, noise: float) -> list[str]:
    """Tell of a step of the bias level inside an amplifier: pixels of two amplifiers in one."""
    if columns.size < 2 * WINDOW:
        return []
    levels = np.median(np.lib.stride_tricks.sliding_window_view(columns, WINDOW), axis=1)
    steps = np.abs(levels[WINDOW:] - levels[:-WINDOW])
    largest = float(steps.max())
    if largest <= SIGNIFICANT * noise:
        return []
    # Medians of windows that straddle the step hardly differ: the step is in the middle of the plateau.
    middle = int(np.median(np.flatnonzero(steps > 0.9 * largest))) + WINDOW
    return [
        f"the level steps by {largest:.1f} adu (noise {noise:.1f}) near column {middle} from the "
        "readout side: two amplifiers, or a glow?"
    ]


def _edge(flags: NDArray[np.bool_]) -> int:
    """Number of True at the ends, the longer of both."""
    if flags.all():
        return int(flags.size)
    return max(int(np.argmin(flags)), int(np.argmin(flags[::-1])))


def _noise(pixels: Pixels) -> float:
    """Read noise from differences of neighbouring rows (robust; levels and fixed patterns of columns cancel) [adu]."""
    differences = np.diff(pixels, axis=0)
    spread = 1.4826 * float(np.median(np.abs(differences - np.median(differences)))) / 2**0.5
    # Integers of a quiet camera can have a median difference of 0; rounding alone is 1/sqrt(12).
    return max(spread, 12**-0.5)
