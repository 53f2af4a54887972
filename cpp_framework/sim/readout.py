"""How one amplifier is read: its pixels with all pre- and overscans in order of time, and their places in the raw.

An amplifier array is ``[row, column]`` in readout orientation: ``[0, 0]`` is digitised first, a row is one serial
sweep. Prescans come before the data and overscans after it, wherever the raw file keeps them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from cpp_framework.camera.instrument import SIDE_REGIONS, AmplifierLayout, DetectorLayout, Instrument
from cpp_framework.errors import InstrumentError
from cpp_framework.model.detector import Amplifier, Detector
from cpp_framework.model.geometry import Box

ROW_REGIONS = ("parallel_prescan", "data", "parallel_overscan")
COLUMN_REGIONS = ("serial_prescan", "data", "serial_overscan")


@dataclass(frozen=True)
class Run:
    """Consecutive lines of the amplifier array (from ``start``) that are consecutive lines of the HDU."""

    start: int
    low: int
    high: int
    reverse: bool

    @property
    def in_array(self) -> slice:
        """Where the lines are in the amplifier array."""
        return slice(self.start, self.start + self.high - self.low)

    @property
    def in_hdu(self) -> slice:
        """Where the same lines are in the HDU, in the same order."""
        if not self.reverse:
            return slice(self.low, self.high)
        return slice(self.high - 1, self.low - 1 if self.low else None, -1)


@dataclass(frozen=True)
class AmplifierReadout:
    """One amplifier's readout. ``bank`` names the amplifiers that share their electronics' noise."""

    layout: AmplifierLayout
    amplifier: Amplifier

    @property
    def name(self) -> str:
        """Name of the amplifier."""
        return self.layout.name

    @property
    def bank(self) -> str:
        """Readout bank: all amplifiers whose rows move to the same edge of the detector."""
        return "upper" if self.amplifier.flip_y else "lower"

    @cached_property
    def rows(self) -> tuple[Run, ...]:
        """Rows in order of time."""
        return self._runs(ROW_REGIONS, vertical=True)

    @cached_property
    def columns(self) -> tuple[Run, ...]:
        """Columns in order of time."""
        return self._runs(COLUMN_REGIONS, vertical=False)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the amplifier array."""
        return (self.rows[-1].in_array.stop, self.columns[-1].in_array.stop)

    @cached_property
    def data(self) -> tuple[slice, slice]:
        """Light-sensitive part of the amplifier array."""
        box = self.layout.target.box
        row0 = self._lines("parallel_prescan", vertical=True)
        column0 = self._lines("serial_prescan", vertical=False)
        return (slice(row0, row0 + box.height), slice(column0, column0 + box.width))

    def place(self, array: NDArray[Any], hdu: NDArray[Any]) -> None:
        """Write an amplifier array to its places in the pixels of an HDU."""
        for row in self.rows:
            for column in self.columns:
                hdu[row.in_hdu, column.in_hdu] = array[row.in_array, column.in_array]

    def extent(self) -> tuple[int, int]:
        """Rows and columns an HDU must have at least to hold this amplifier."""
        return (max(run.high for run in self.rows), max(run.high for run in self.columns))

    def _runs(self, regions: tuple[str, ...], *, vertical: bool) -> tuple[Run, ...]:
        reverse = ("U" if vertical else "R") in self.layout.readout
        runs: list[Run] = []
        start = 0
        for region in regions:
            if (section := self.layout.section(region)) is not None:
                low, high = _span(section.box, vertical)
                runs.append(Run(start, low, high, reverse))
                start += high - low
        self._check_other_sections(runs, vertical)
        return tuple(runs)

    def _check_other_sections(self, runs: list[Run], vertical: bool) -> None:
        """Refuse a serial section with rows (parallel: columns) whose time of reading the layout does not tell."""
        known = {line for run in runs for line in range(run.low, run.high)}
        for region in SIDE_REGIONS:
            section = self.layout.section(region)
            if section is None or set(range(*_span(section.box, vertical))) <= known:
                continue
            lines, direction = ("rows", "parallel") if vertical else ("columns", "serial")
            raise InstrumentError(
                f"amplifier {self.name}: {region} {getattr(self.layout, region)} has {lines} that are neither in data "
                f"nor in a {direction} pre- or overscan, so the simulator cannot tell when they are read",
                hint=f"shorten the section, or declare these {lines} as {direction}_overscan",
            )

    def _lines(self, region: str, *, vertical: bool) -> int:
        section = self.layout.section(region)
        if section is None:
            return 0
        low, high = _span(section.box, vertical)
        return high - low


@dataclass(frozen=True)
class DetectorReadout:
    """One detector with the readout of each of its amplifiers, in readout order."""

    instrument: Instrument
    layout: DetectorLayout
    detector: Detector
    amplifiers: tuple[AmplifierReadout, ...]

    @classmethod
    def of(cls, instrument: Instrument, detector_id: int) -> DetectorReadout:
        """Work out the readout of one detector. Raises `NotFoundError` or `InstrumentError`."""
        layout, detector = instrument.layout(detector_id), instrument.detector(detector_id)
        pairs = zip(layout.amplifiers, detector.amplifiers, strict=True)
        return cls(instrument, layout, detector, tuple(AmplifierReadout(amp, seen) for amp, seen in pairs))


def _span(box: Box, vertical: bool) -> tuple[int, int]:
    return (box.y0, box.y1) if vertical else (box.x0, box.x1)
