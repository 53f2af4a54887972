"""Rubin's forms of defects as tables: boxes, regions, and the cards both carry.

Facts: `ip_isr` writes one table per file, four int64 columns for boxes, ``X Y SHAPE R ROTANG COMPONENT`` for regions
(centres counted from 1), with the cards OBSTYPE, schema, version, identity, CALIBCLS, creation, and counts.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Table
from numpy.typing import NDArray

from cpp_defects.file_errors import DefectFileError, quoted
from cpp_defects.product import Defects

Corners = NDArray[np.int64]

BOX_COLUMNS = ("x0", "y0", "width", "height")
REGION_COLUMNS = ("X", "Y", "SHAPE", "R", "ROTANG", "COMPONENT")
CLASS = "lsst.ip.isr.defects.Defects"
UNSET = ("INSTRUME", "RAFTNAME", "SLOTNAME", "DETECTOR", "DET_NAME", "DET_SER", "FILTER", "CALIB_ID", "SEQFILE",
         "SEQNAME", "SEQCKSUM")  # fmt: skip
"""Keys of identity, in their order. A box table leaves those without a value out, a region table has them empty."""

_COUNTS = "LSST CALIB DEFECTS"
_BOX_HINT = "they are whole numbers of pixels up to 1e9, width and height at least 1"
_LARGEST = 1e9
_WHOLE = 1e-9
"""How far a number that should be whole may be from it."""


@dataclass(frozen=True)
class Identity:
    """Whose defects they are, and when they were made (``YYYY-MM-DDThh:mm:ss``, UTC). ``counts`` are QA cards."""

    instrument: str
    detector: int
    detector_name: str = ""
    serial: str = ""
    created: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, product: Defects, serial: str = "") -> Identity:
        """Identity of a product with a header."""
        header = product.header
        assert header is not None
        counts = {f"{_COUNTS} N_BAD_COLUMNS": 0}
        for name, amp in product.amplifiers.items():
            for quantity, card in (("n_hot", "N_HOT"), ("n_cold", "N_COLD")):
                if quantity in amp.values:
                    counts[f"{_COUNTS} {name} {card}"] = int(amp.values[quantity].value)
            if "n_bad_columns" in amp.values:
                counts[f"{_COUNTS} N_BAD_COLUMNS"] += int(amp.values["n_bad_columns"].value)
        return cls(header.instrument, header.detector, header.detector_name, serial, header.created, counts)


def cards(identity: Identity, *, unset: bool) -> dict[str, str | int | float | None]:
    """Return the cards in Rubin's order; ``unset`` keeps keys of identity without a value, as None."""
    raft, slot = _raft_and_slot(identity.detector_name)
    known: dict[str, str | int | None] = {
        "INSTRUME": identity.instrument,
        "RAFTNAME": raft,
        "SLOTNAME": slot,
        "DETECTOR": identity.detector,
        "DET_NAME": identity.detector_name,
        "DET_SER": identity.serial,
    }
    who = {key: None if known.get(key) in ("", None) else known[key] for key in UNSET}
    date, _, time = identity.created.partition("T")
    when = {"CALIBDATE": identity.created, "CALIB_CREATION_DATE": date, "CALIB_CREATION_TIME": time}
    return {
        "OBSTYPE": "defects",
        "defects_SCHEMA": "",
        "defects_VERSION": 2.0,
        **{key: value for key, value in who.items() if unset or value is not None},
        "CALIBCLS": CLASS,
        **{key: value for key, value in when.items() if value},
        **identity.counts,
    }


def _raft_and_slot(name: str) -> tuple[str, str]:
    """The parts of a detector name such as ``R22_S11``; empty for others."""
    match = re.fullmatch(r"(R\w\w)_(S\w\w)", name)
    return (match[1], match[2]) if match else ("", "")


def box_table(corners: Corners) -> Table:
    """Boxes as a table of int64 ``x0 y0 width height``, pixels from 0."""
    return Table({name: np.ascontiguousarray(column) for name, column in zip(BOX_COLUMNS, corners.T, strict=True)})


def region_table(corners: Corners) -> Table:
    """Boxes as a table of regions: centres from 1, single pixels as POINT."""
    x0, y0, width, height = corners.T
    table = Table()
    table["X"] = x0 + (width + 1) / 2
    table["Y"] = y0 + (height + 1) / 2
    table["SHAPE"] = np.where((width == 1) & (height == 1), "POINT", "BOX")
    table["R"] = np.stack([width, height], axis=1).astype(np.float64)
    table["ROTANG"] = np.zeros(len(corners))
    table["COMPONENT"] = np.arange(len(corners), dtype=np.int64)
    return table


def to_hdus(table: Table, values: Mapping[str, str | int | float | None]) -> fits.HDUList:
    """A table with its cards as Rubin lays it out: an empty primary HDU, and the table without a name."""
    hdu = fits.BinTableHDU(table)
    for key, value in values.items():
        keyword = key if len(key) <= 8 and key.isupper() else f"HIERARCH {key}"
        hdu.header[keyword] = fits.card.Undefined() if value is None else value
    return fits.HDUList([fits.PrimaryHDU(), hdu])


def ecsv_text(corners: Corners, identity: Identity) -> str:
    """Boxes as ECSV, as `ip_isr` writes it."""
    return _ecsv(box_table(corners), cards(identity, unset=False))


def curated_text(corners: Corners, identity: Identity) -> str:
    """Boxes as ECSV of the curated kind: columns with a unit, and fewer keys."""
    table = box_table(corners)
    for name in BOX_COLUMNS:
        table[name].unit = "pix"
    who = f"detector={identity.detector} detectorName={identity.detector_name} calibDate={identity.created} filter=None"
    return _ecsv(
        table,
        {
            "OBSTYPE": "defects",
            "INSTRUME": identity.instrument,
            "DETECTOR": identity.detector,
            "CALIBDATE": identity.created,
            "CALIB_ID": who,
            "DEFECTS_SCHEMA": "Simple",
            "DEFECTS_SCHEMA_VERSION": 1,
        },
    )


def _ecsv(table: Table, meta: Mapping[str, str | int | float | None]) -> str:
    table.meta = dict(meta)
    text = io.StringIO()
    table.write(text, format="ascii.ecsv")
    return text.getvalue()


def boxes_from(table: Table, place: str) -> Corners:
    """Boxes of a box or region table, int64 ``(n, 4)``.

    Raises
    ------
    DefectFileError
        Columns are missing, or a row is no box of whole pixels; the message names the first such row.
    """
    if set(BOX_COLUMNS) <= set(table.colnames):
        numbers = np.stack([_numbers(table[name], name, place) for name in BOX_COLUMNS], axis=-1)
    elif set(REGION_COLUMNS[:4]) <= set(table.colnames):
        numbers = _boxes_of_regions(table, place)
    else:
        raise DefectFileError(
            f"{place}: columns {quoted(', '.join(table.colnames))} are no boxes",
            hint=f"columns are {', '.join(BOX_COLUMNS)} or {', '.join(REGION_COLUMNS)}",
        )
    return checked(numbers.reshape(-1, 4), place)


def checked(numbers: NDArray[np.float64], place: str, lines: Sequence[int] | None = None) -> Corners:
    """The same boxes as whole numbers. Raises `DefectFileError` for the first that is no box of whole pixels.

    ``lines`` are the lines of the file the boxes are from, for messages; without them rows are counted from 0.
    """
    numbers = _small(numbers)
    whole = np.abs(numbers - np.round(numbers)) < _WHOLE
    wrong = ~whole.all(axis=1) | (np.nan_to_num(numbers[:, 2:]) < 1).any(axis=1)
    if wrong.any():
        row = int(np.argmax(wrong))
        shown = " ".join(f"{number:g}" for number in numbers[row])
        raise DefectFileError(f"{place}, {row_name(row, lines)}: no box: x0 y0 width height = {shown}", hint=_BOX_HINT)
    return np.round(numbers).astype(np.int64)


def row_name(row: int, lines: Sequence[int] | None) -> str:
    """How messages call a row: by its line of the file where there are lines."""
    return f"row {row}" if lines is None else f"line {lines[row]}"


def _small(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """The numbers that can be pixels; NaN for others."""
    return np.where(np.abs(numbers) <= _LARGEST, numbers, np.nan)


def _numbers(column: object, name: str, place: str, dimensions: int = 1) -> NDArray[np.float64]:
    """Numbers of a column, NaN where masked or too large; ``dimensions`` counts the rows as one."""
    values: np.ma.MaskedArray[Any, Any] = np.ma.asarray(column)
    if values.dtype.kind not in "iuf":
        raise DefectFileError(
            f"{place}: column {name} holds no numbers of pixels but {values.dtype.name}", hint=_BOX_HINT
        )
    if values.ndim != dimensions:
        raise DefectFileError(
            f"{place}: column {name} holds numbers of shape {values.shape[1:]} per row",
            hint="R has two per row (width and height), all others one",
        )
    return _small(np.asarray(np.ma.filled(values.astype(np.float64), np.nan), np.float64))


def _boxes_of_regions(table: Table, place: str) -> NDArray[np.float64]:
    """Boxes of regions: BOX and POINT, and ROTBOX turned by multiples of 90 degrees."""
    shapes = np.array([str(shape).strip().upper() for shape in table["SHAPE"]], dtype="U16")
    unknown = ~np.isin(shapes, ("BOX", "POINT", "ROTBOX"))
    if unknown.any():
        row = int(np.argmax(unknown))
        raise DefectFileError(
            f"{place}, row {row}: shape {quoted(shapes[row])} is no box", hint="boxes are BOX, POINT and ROTBOX"
        )
    size = _numbers(table["R"], "R", place, dimensions=2)
    if size.shape[1] < 2:
        raise DefectFileError(f"{place}: column R holds one number per region", hint="a box has width and height")
    size = size[:, :2].copy()
    size[shapes == "POINT"] = 1
    angle = _numbers(table["ROTANG"], "ROTANG", place) if "ROTANG" in table.colnames else np.zeros(len(shapes))
    turns = np.where(shapes == "ROTBOX", angle, 0) / 90
    if (oblique := ~(np.abs(turns - np.round(turns)) < _WHOLE)).any():
        row = int(np.argmax(oblique))
        raise DefectFileError(
            f"{place}, row {row}: turned by {angle[row]:g} degrees, no box of whole pixels",
            hint="boxes are turned by multiples of 90 degrees",
        )
    on_side = np.round(turns) % 2 == 1
    size[on_side] = size[on_side][:, ::-1]
    centres = np.stack([_numbers(table[name], name, place) for name in ("X", "Y")], axis=-1)
    return np.concatenate([centres - (size + 1) / 2, size], axis=1)
