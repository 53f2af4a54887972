"""Products as FITS: one generic layout for every product class, readable by any FITS tool.

======================  ===========================================================================
HDU                     content
======================  ===========================================================================
primary                 no data; cards that say what the product is, how it was made and from what
DATA, ERR, DQ, NUSED …  one image HDU per payload array (`Product.plane_names`), BUNIT where it has a unit
REJECTED                images only: one row per run of samples the stack rejected (`ImageProduct.rejected`)
AMPLIFIERS              one row per amplifier: name, status, reason; value, error, unit of each quantity; gain used
other tables            as the product names them
INPUTS                  one row per exposure considered: used or refused, with the reason and digest
METADATA                one JSON document: header, format, metrics (what `from_hdus` reads)
======================  ===========================================================================
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Table
from astropy.units import Unit
from astropy.utils.exceptions import AstropyUserWarning

from cpp_framework._version import __version__
from cpp_framework.errors import ContractError, FormatVersionError, IncompatibleError, StoreError
from cpp_framework.model.header import Header
from cpp_framework.model.identity import parse_json
from cpp_framework.model.mask import MEANINGS, Mask
from cpp_framework.model.product import RESERVED_TABLES, AmplifierResult, ImageProduct, Product
from cpp_framework.model.quantity import Measured
from cpp_framework.model.timespan import to_iso

_REJECTED_COLUMNS = {
    "INDEX": ("", "stacked exposure, from 0: its id is the card EXPnnnnn"),
    "Y": ("pixel", "row of the assembled image, from 0"),
    "X0": ("pixel", "first column of the run, from 0"),
    "LENGTH": ("pixel", "columns in the run"),
}
"""Columns of the table REJECTED, in the order of `ImageProduct.rejected`: unit and meaning."""

_MOST_CARDS = 999
"""Exposures of one sort with a card of their own in the primary header; the table INPUTS has them all."""


def to_hdus(product: Product) -> fits.HDUList:
    """Write a product that has its header as a list of HDUs."""
    assert product.header is not None, "the framework gives every product its header before writing it"
    hdus = [fits.PrimaryHDU(header=_cards(product, product.header))]
    for name, plane in product.planes().items():
        hdu = fits.ImageHDU(plane, name=name)
        if (unit := _plane_unit(product, name)) is not None:
            hdu.header["BUNIT"] = unit
        if name == "DQ":
            hdu.header.update(mask_cards())
        hdus.append(hdu)
    if isinstance(product, ImageProduct):
        hdus.append(_rejected_table(product))
    hdus.append(_amplifier_table(product, product.header))
    hdus += [_table_hdu(table, name) for name, table in product.tables.items()]
    hdus.append(fits.BinTableHDU(_input_table(product.header), name="INPUTS"))
    hdus.append(_metadata(product))
    return fits.HDUList(hdus)


def write(product: Product, path: Path) -> None:
    """Write a product to ``path`` with DATASUM and CHECKSUM."""
    to_hdus(product).writeto(path, checksum=True)


def read(path: Path, product_class: type[Product]) -> Product:
    """Read a product file as the class its type declares.

    Raises
    ------
    StoreError
        The file is not one of ours or is damaged.
    FormatVersionError
        It needs a newer reader.
    """
    with _opened(path) as hdus:
        return from_hdus(hdus, product_class)


def read_header(path: Path) -> tuple[Header, dict[str, Any]]:
    """Return the header of a product file and its format record, without reading the planes. Raises as `read`."""
    with _opened(path) as hdus:
        record = _record(hdus)
    return Header.model_validate(record["header"]), record


def read_cards(path: Path) -> fits.Header:
    """Cards of the primary header of a product file. Raises as `read`."""
    with _opened(path) as hdus:
        cards: fits.Header = hdus[0].header
    return cards


@contextmanager
def _opened(path: Path) -> Iterator[fits.HDUList]:
    """Open a product file; whatever damage shows while it is open becomes a `StoreError` that names it."""
    try:
        if path.exists() and not path.is_file():  # a pipe would wait for ever
            raise OSError("it is not a file")
        with path.open("rb") as stream, warnings.catch_warnings():
            # astropy only warns of a truncated file.
            warnings.simplefilter("error", AstropyUserWarning)
            with fits.open(stream, memmap=False) as hdus:
                yield hdus
    except (OSError, LookupError, ValueError, TypeError, AstropyUserWarning, ContractError) as error:
        raise StoreError(
            f"{path}: not a readable product file: {error}", hint="restore it from a copy, or produce it again"
        ) from error


def from_hdus(hdus: fits.HDUList, product_class: type[Product]) -> Product:
    """Rebuild the product from its HDUs."""
    record = _record(hdus)
    _check_format(record, product_class)
    fields: dict[str, Any] = {
        attribute: _native(hdus[name].data) for attribute, name in product_class.plane_names.items()
    }
    if issubclass(product_class, ImageProduct):
        fields["stacked"] = tuple(record["stacked"])
        fields |= {name: np.array(numbers, float) for name, numbers in record.get("stack", {}).items()}
        rows = hdus["REJECTED"].data
        fields["rejected"] = np.column_stack([rows[name] for name in _REJECTED_COLUMNS]).astype(np.int32)
    found = [hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU) and hdu.name not in RESERVED_TABLES]
    tables = {hdu.name: Table.read(hdu, unit_parse_strict="silent") for hdu in found}
    for table in tables.values():
        table.meta.clear()
    return product_class(
        unit=record["unit"],
        amplifiers={name: AmplifierResult.model_validate(amp) for name, amp in record["amplifiers"].items()},
        metrics={name: Measured.model_validate(one) for name, one in record["metrics"].items()},
        refused=record["refused"],
        tables=tables,
        cards=record.get("cards", {}),
        header=Header.model_validate(record["header"]),
        **fields,
    )


def _record(hdus: fits.HDUList) -> dict[str, Any]:
    lines = hdus["METADATA"].data["JSON"]
    record = parse_json("".join(str(line) for line in lines))
    if not isinstance(record, dict):
        raise ValueError("METADATA holds no document")
    for part in ("format", "header", "amplifiers", "metrics", "refused"):
        if not isinstance(record[part], dict):
            raise ValueError(f"METADATA: {part} is no mapping")
    if not isinstance(record["unit"], str):
        raise ValueError("METADATA: unit is no text")
    return record


def _check_format(record: dict[str, Any], product_class: type[Product]) -> None:
    name, reader = record["format"]["name"], tuple(record["format"]["minimum_reader"])
    if name != product_class.format_name:
        raise IncompatibleError(
            f"the file holds format {name!r}, {product_class.__name__} reads {product_class.format_name!r}",
            hint="the file was changed after it was written: `cpp store verify` compares digests",
        )
    if reader > product_class.format_version:
        wanted, have = ".".join(map(str, reader)), ".".join(map(str, product_class.format_version))
        raise FormatVersionError(
            f"the file needs a reader of format {name} {wanted}; this version reads {have}",
            hint="upgrade cpp-framework and the plugin",
        )


def mask_cards() -> fits.Header:
    """Cards DQBITnn: name and meaning of every mask plane."""
    return fits.Header([(f"DQBIT{int(bit).bit_length() - 1:02d}", bit.name, MEANINGS[bit]) for bit in Mask])


def _native(data: np.ndarray | None) -> np.ndarray | None:
    if data is None:
        return None
    return np.ascontiguousarray(data, dtype=data.dtype.newbyteorder("="))


def _plane_unit(product: Product, name: str) -> str | None:
    if name in ("DATA", "ERR"):
        return product.unit
    return "count" if name == "NUSED" else None


def _rejected_table(product: ImageProduct) -> fits.BinTableHDU:
    """The runs of rejected samples, with the ids of the stacked exposures in the header."""
    columns = [
        fits.Column(name=name, format="J", unit=unit or None, array=values)
        for (name, (unit, _)), values in zip(_REJECTED_COLUMNS.items(), product.rejected.T, strict=True)
    ]
    hdu = fits.BinTableHDU.from_columns(columns, name="REJECTED")
    for i, (_, meaning) in enumerate(_REJECTED_COLUMNS.values(), start=1):
        hdu.header[f"TCOMM{i}"] = meaning
    hdu.header["COMMENT"] = "Each row: LENGTH samples of one exposure that the stack rejected."
    hdu.header["COMMENT"] = "Y and X0 count from 0; FITS pixel coordinates are one larger."
    for i, exposure in enumerate(product.stacked):
        put_card(hdu.header, f"EXP{i:05d}", exposure)
    return hdu


def _cards(product: Product, header: Header) -> fits.Header:
    cards = fits.Header()
    put_card(cards, "OBSTYPE", header.type, "calibration type")
    put_card(cards, "IMAGETYP", f"master {header.type}", header.title[:40])
    put_card(cards, "INSTRUME", header.instrument)
    put_card(cards, "DETECTOR", header.detector, "detector number")
    put_card(cards, "DETNAME", header.detector_name)
    _put_key(cards, header)
    put_card(cards, "BUNIT", product.unit)
    _put_times(cards, header)
    put_card(cards, "CPPID", header.id)
    if header.label:
        put_card(cards, "CPPLABEL", header.label, "label of this pass")
    put_card(cards, "CPPREV", header.revision, "revision of the calibration type")
    put_card(cards, "CPPRUN", header.run)
    put_card(cards, "CPPDIGST", header.digest)
    put_card(cards, "CPPRECIP", header.recipe)
    put_card(cards, "CPPVERS", __version__, "version of cpp-framework")
    for keyword, text in product.cards.items():
        put_card(cards, keyword, text)
    if header.gain_source:
        put_card(cards, "GAINSRC", header.gain_source, "where the gains come from")
    _put_inputs(cards, header)
    for need in header.needs:
        cards.add_history(_printable(f"used {need.type} {need.id} ({need.why})"))
    return cards


def _put_key(cards: fits.Header, header: Header) -> None:
    """What the product is made per: FILTER, BINNING …"""
    for field, value in header.key.items():
        if field == "detector" or value is None:
            continue
        if isinstance(value, list | tuple):
            value = " ".join(map(str, value))
        put_card(cards, field.upper()[:8], value if isinstance(value, str | int | float) else str(value))
        if field == "binning":
            for card, factor in zip(("XBINNING", "YBINNING"), header.key[field], strict=True):
                put_card(cards, card, int(factor), "pixels of the detector in one of the image")


def _put_times(cards: fits.Header, header: Header) -> None:
    put_card(cards, "TIMESYS", "UTC")
    instants = {"BEG": header.begin, "END": header.end, "OBS": header.begin}
    for suffix, instant in instants.items():
        if instant is not None:
            put_card(cards, f"DATE-{suffix}", to_iso(instant))
            put_card(cards, f"MJD-{suffix}", _mjd(instant))
    if header.used:
        mean = sum(record.exposure_time for record in header.used) / len(header.used)
        put_card(cards, "EXPTIME", mean, "[s] mean of the exposures used")
    put_card(cards, "DATE", header.created, "when this file was made (UTC)")


def _put_inputs(cards: fits.Header, header: Header) -> None:
    put_card(cards, "NCOMBINE", len(header.used), "exposures used")
    for i, record in enumerate(header.used[:_MOST_CARDS]):
        put_card(cards, f"CPPIN{i:03d}", record.exposure)
    refused = [record for record in header.inputs if not record.used]
    for i, record in enumerate(refused[:_MOST_CARDS]):
        put_card(cards, f"CPPRF{i:03d}", record.exposure)


def put_card(cards: fits.Header, keyword: str, value: str | float, comment: str = "") -> None:
    """Add a card; the comment only where it fits beside the value, for astropy would warn and cut it."""
    if isinstance(value, str):
        value = _printable(value)
        # The value takes at least 20 columns, and its quotes are doubled.
        width = max(20, len(value.replace("'", "''")) + 2)
        if len("KEYWORD = ") + width + len(" / ") + len(comment) > fits.Card.length:
            comment = ""
    cards[keyword] = (value, _printable(comment))


def _printable(text: str) -> str:
    """The text as a FITS header can hold it: printable ASCII."""
    return re.sub(r"[^ -~]", "?", text)


def _mjd(tai_ns: int) -> float:
    """Modified Julian date in UTC."""
    from astropy.time import Time

    with warnings.catch_warnings():
        # Leap seconds of years to come are unknown: simulated nights lie there.
        warnings.filterwarnings("ignore", message=".*dubious year.*")
        return float(Time(to_iso(tai_ns), scale="utc").mjd)


def _amplifier_table(product: Product, header: Header) -> fits.BinTableHDU:
    table = Table()
    table["NAME"] = text_column(list(product.amplifiers))
    table["STATUS"] = text_column([amp.status.value for amp in product.amplifiers.values()])
    table["REASON"] = text_column([amp.reason for amp in product.amplifiers.values()])
    quantities = dict.fromkeys(name for amp in product.amplifiers.values() for name in amp.values)
    for name in quantities:
        found = [amp.values.get(name) for amp in product.amplifiers.values()]
        unit = next(one.unit for one in found if one is not None)
        table[name.upper()] = [np.nan if one is None else one.value for one in found]
        errors = [np.nan if one is None or one.error is None else one.error for one in found]
        table[f"{name.upper()}_ERR"] = errors
        for column in (name.upper(), f"{name.upper()}_ERR"):
            table[column].unit = _fits_unit(unit)
    if header.gains:
        table["GAIN_USED"] = np.array([header.gains.get(name, np.nan) for name in product.amplifiers], float)
    hdu = fits.BinTableHDU(table, name="AMPLIFIERS")
    if header.gains:
        # FITS has no unit `electron`, so readers would warn of one in TUNITn.
        hdu.header[f"TCOMM{len(table.columns)}"] = "gain applied to the exposures, electron/adu"
    return hdu


def _fits_unit(unit: str) -> Unit | None:
    """The unit, if FITS knows it: words such as ``exposures`` stay in the JSON only."""
    try:
        return Unit(unit, format="fits") if unit not in ("", "1") else None
    except ValueError:
        return None


def _table_hdu(table: Table, name: str) -> fits.BinTableHDU:
    """A table with its units as text: FITS knows no electron, and astropy would drop it."""
    bare = table.copy(copy_data=False)
    for column in bare.columns.values():
        column.unit = None
    hdu = fits.BinTableHDU(bare, name=name)
    for column, original in zip(hdu.columns, table.columns.values(), strict=True):
        column.unit = str(original.unit) if original.unit is not None else None
    return hdu


def _input_table(header: Header) -> Table:
    records = header.inputs
    table = Table()
    for column in ("exposure", "selection", "file", "digest", "reason"):
        table[column.upper()] = text_column([getattr(record, column) for record in records])
    table["NUMBER"] = np.array([record.number for record in records], np.int64)
    table["USED"] = np.array([record.used for record in records], bool)
    table["EXPTIME"] = np.array([record.exposure_time for record in records], float)
    table["EXPTIME"].unit = "s"
    return table


def text_column(values: Sequence[str]) -> np.ndarray:
    """Texts as a column of a FITS table; what is not ASCII becomes ``?``."""
    # An empty list has no string type of its own, and FITS text is ASCII.
    if not values:
        return np.zeros(0, "U1")
    return np.array([value.encode("ascii", "replace").decode() for value in values])


def _metadata(product: Product) -> fits.BinTableHDU:
    assert product.header is not None
    record = {
        **product._structure(),
        "format": {
            "name": product.format_name,
            "version": list(product.format_version),
            "minimum_reader": list(product.minimum_reader),
        },
        "header": product.header.model_dump(mode="json"),
    }
    text = json.dumps(record)
    size = 1024
    # FITS drops trailing blanks, so a chunk must not end in one.
    chunks: list[str] = []
    while text:
        cut = size
        while cut < len(text) and text[cut - 1] == " ":
            cut -= 1
        chunks.append(text[:cut])
        text = text[cut:]
    column = fits.Column(name="JSON", format=f"{size}A", array=np.array(chunks, dtype=f"S{size}"))
    return fits.BinTableHDU.from_columns([column], name="METADATA")
