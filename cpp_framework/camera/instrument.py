"""A camera as a validated YAML file: geometry, electronics, header map, limits. Sections are FITS sections."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from cpp_framework.errors import InstrumentError, NotFoundError
from cpp_framework.model.detector import Amplifier, Detector
from cpp_framework.model.geometry import Section

Corner = Literal["LL", "LR", "UL", "UR"]
Index = Annotated[int, Field(ge=0)]
Length = Annotated[int, Field(ge=1)]
MOST_DETECTORS = 999_999
"""Largest id of a detector."""
SIDE_REGIONS = ("serial_prescan", "serial_overscan", "parallel_prescan", "parallel_overscan")


def _clean(text: str) -> str:
    if not text.isprintable():
        raise ValueError("holds control codes or other characters that cannot be shown")
    return text


def _name(text: str) -> str:
    if not re.fullmatch(r"\w[\w .+-]*", text):
        raise ValueError("a name has letters, digits and ' ', '.', '+', '-', '_', and begins with a letter or digit")
    return text


Text = Annotated[str, AfterValidator(_clean)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class AmplifierLayout(_Strict):
    """One amplifier: where its pixels lie in the raw file and in the assembled image, and its electronics."""

    name: Text = Field(min_length=1, max_length=32)
    hdu: Index | Text = Field(default=0, description="index or EXTNAME of the HDU with its pixels")
    data: str = Field(description="light-sensitive section inside the HDU")
    detector: str = Field(description="section of the assembled image they fill; reversed where the HDU is flipped")
    serial_prescan: str = ""
    serial_overscan: str = ""
    parallel_prescan: str = ""
    parallel_overscan: str = ""
    readout: Corner = Field(default="LL", description="corner of the HDU's data section whose pixel is read first")
    gain: float | None = Field(default=None, gt=0, description="nominal, electron/adu")
    read_noise: float | None = Field(default=None, ge=0, description="nominal, electron")
    adc_maximum: float | None = Field(default=None, gt=0, description="raw counts at which the ADC saturates")
    full_well: float | None = Field(default=None, gt=0, description="ADU above bias")

    @model_validator(mode="after")
    def _sections_fit(self) -> Self:
        data = _parsed(self.data, f"amplifier {self.name}: data")
        target = _parsed(self.detector, f"amplifier {self.name}: detector")
        if data.box.shape != target.box.shape:
            raise ValueError(
                f"amplifier {self.name}: data {self.data} and detector {self.detector} differ in size "
                f"({data.box.width}x{data.box.height} against {target.box.width}x{target.box.height})"
            )
        for name in SIDE_REGIONS:
            if text := getattr(self, name):
                side = _parsed(text, f"amplifier {self.name}: {name}")
                if side.box.overlaps(data.box):
                    raise ValueError(f"amplifier {self.name}: {name} {text} overlaps data {self.data}")
        return self

    @cached_property
    def target(self) -> Section:
        """Section of the assembled image."""
        return Section.parse(self.detector)

    def section(self, region: str) -> Section | None:
        """Section of a region (``data``, ``serial_overscan`` …) inside the HDU; None if the camera has none."""
        text = getattr(self, region)
        return Section.parse(text) if text else None


class OverscanRule(_Strict):
    """How one direction of overscan is used. Skipped lines are counted from the data (leading) and the far end.

    A ``spline`` is a smooth function of the row: less noise than a level of each row's own, but a level that jumps from
    row to row, or drifts within ``knots`` rows, stays in the data.
    """

    method: Literal["median_per_line", "mean_per_line", "spline", "median", "mean", "none"] = "median_per_line"
    skip_leading: int = Field(default=3, ge=0)
    skip_trailing: int = Field(default=0, ge=0)
    knots: int | None = Field(default=None, ge=4, description="lines from one knot of a spline to the next")

    @model_validator(mode="after")
    def _knots_are_of_splines(self) -> Self:
        if (self.method == "spline") != (self.knots is not None):
            raise ValueError("method spline, and only it, needs knots: the lines from one knot to the next, like 30")
        return self

    @model_serializer(mode="wrap")
    def _without_what_does_not_apply(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Rules of the other methods keep the recipe digests they have had.
        return {name: value for name, value in serialize(self).items() if value is not None}


class OverscanRules(_Strict):
    """Serial overscan is taken per row or as a smooth function of it; parallel overscan per column or as one number."""

    serial: OverscanRule = OverscanRule()
    parallel: OverscanRule = OverscanRule(method="none")

    @model_validator(mode="after")
    def _columns_are_not_smooth(self) -> Self:
        if self.parallel.method == "spline":
            raise ValueError("method spline is for serial overscan: columns have levels of their own")
        return self


class DetectorLayout(_Strict):
    """One detector: identity, assembled size ``[columns, rows]`` and amplifiers in readout order."""

    id: int = Field(ge=0, le=MOST_DETECTORS)
    name: Text = Field(max_length=32)
    serial: Text = Field(default="", max_length=80)
    size: tuple[Length, Length]
    frame: tuple[Length, Length] | None = Field(
        default=None, description="[columns, rows] of every HDU with pixels; raw files of another size are refused"
    )
    amplifiers: tuple[AmplifierLayout, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _amplifiers_tile(self) -> Self:
        names = [amp.name for amp in self.amplifiers]
        if len(set(names)) != len(names):
            raise ValueError(f"detector {self.name}: amplifier names repeat: {names}")
        width, height = self.size
        for i, amp in enumerate(self.amplifiers):
            box = amp.target.box
            if box.x1 > width or box.y1 > height:
                raise ValueError(f"amplifier {amp.name}: {amp.detector} leaves the detector of {width}x{height}")
            for other in self.amplifiers[:i]:
                if box.overlaps(other.target.box):
                    raise ValueError(f"amplifiers {other.name} and {amp.name} overlap in the assembled image")
        return self


class LimitSpec(_Strict):
    """Limits of one check: ``[low, high]`` with null for an open side, in ``unit`` if it is not the check's own."""

    fail: tuple[float | None, float | None] | None = None
    warn: tuple[float | None, float | None] | None = None
    unit: Literal["", "adu", "electron"] = ""

    @model_validator(mode="after")
    def _sides_in_order(self) -> Self:
        for low, high in filter(None, (self.fail, self.warn)):
            if low is not None and high is not None and low > high:
                raise ValueError(f"limits are [low, high]; {low:g} is above {high:g}")
        return self


class Instrument(_Strict):
    """A camera. ``header`` is interpreted by `cpp_framework.camera.header`."""

    format: Literal[1] = 1
    name: Annotated[str, AfterValidator(_name)] = Field(min_length=1, max_length=32)
    description: Text = ""
    detectors: tuple[DetectorLayout, ...] = Field(min_length=1)
    header: Mapping[str, Any] = Field(default_factory=dict)
    overscan: OverscanRules = OverscanRules()
    binning: tuple[Length, Length] = Field(default=(1, 1), description="binning the geometry is written for (x, y)")
    tolerances: Mapping[str, float] = Field(
        default_factory=dict,
        description="exposure field → largest difference inside one stack (temperature: 2.0)",
    )
    limits: Mapping[str, Mapping[str, LimitSpec]] = Field(
        default_factory=dict, description="calibration type → check → limits"
    )
    dead_amplifiers_allowed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _detector_ids_differ(self) -> Self:
        ids = [detector.id for detector in self.detectors]
        if len(set(ids)) != len(ids):
            raise ValueError(f"detector ids repeat: {ids}")
        return self

    def layout(self, detector: int) -> DetectorLayout:
        """Return the layout of one detector, or raise `NotFoundError` listing those there are."""
        for layout in self.detectors:
            if layout.id == detector:
                return layout
        known = ", ".join(str(layout.id) for layout in self.detectors)
        raise NotFoundError(
            f"instrument {self.name} has no detector {detector}; it has {known}",
            hint=f"detectors are listed in the instrument file {self.name}.yaml",
        )

    def detector(self, detector: int) -> Detector:
        """Return what plugins see of one detector."""
        layout = self.layout(detector)
        return Detector(
            instrument=self.name,
            id=layout.id,
            name=layout.name,
            serial=layout.serial,
            width=layout.size[0],
            height=layout.size[1],
            amplifiers=tuple(self._amplifier(amp) for amp in layout.amplifiers),
        )

    def _amplifier(self, amp: AmplifierLayout) -> Amplifier:
        target = amp.target
        return Amplifier(
            name=amp.name,
            box=target.box,
            # The HDU is read from its `readout` corner; a reversed target section mirrors it once more.
            flip_x=("R" in amp.readout) != target.reversed_x,
            flip_y=("U" in amp.readout) != target.reversed_y,
            gain=amp.gain,
            read_noise=amp.read_noise,
            adc_maximum=amp.adc_maximum,
            full_well=amp.full_well,
            serial_overscan=_usable(amp, "serial_overscan", self.overscan.serial),
            parallel_overscan=_usable(amp, "parallel_overscan", self.overscan.parallel),
        )

    def geometry(self) -> dict[str, Any]:
        """Geometry, nominal electronics and overscan rules: what enters a recipe (limits and header map do not)."""
        keep = {"name", "detectors", "overscan", "binning"}
        return self.model_dump(mode="json", include=keep)


def _parsed(text: str, what: str) -> Section:
    try:
        return Section.parse(text, what=what)
    except InstrumentError as error:
        # A ValueError lets pydantic collect it with the file's other problems, each with its line.
        raise ValueError(f"{error}; {error.hint}") from error


def _usable(amp: AmplifierLayout, region: str, rule: OverscanRule) -> int:
    section = amp.section(region)
    if section is None or rule.method == "none":
        return 0
    lines = section.box.width if region == "serial_overscan" else section.box.height
    return max(0, lines - rule.skip_leading - rule.skip_trailing)
