"""Calibration products: immutable, typed values that know their unit, errors and per-amplifier status.

A plugin builds one in ``solve`` (usually a subclass of one of the four shapes below); the framework adds the
`Header`, stores it and reads it back.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from cpp_framework.errors import ContractError
from cpp_framework.model.exposure import Exposure
from cpp_framework.model.header import Header
from cpp_framework.model.identity import canonical_json
from cpp_framework.model.quantity import Measured

if TYPE_CHECKING:
    from astropy.nddata import CCDData
    from astropy.table import Table


RESERVED_TABLES = ("REJECTED", "AMPLIFIERS", "INPUTS", "METADATA")
"""Names of the tables the framework writes itself."""


class AmplifierStatus(StrEnum):
    """State of one amplifier in a product."""

    OK = "ok"
    DEAD = "dead"
    PARTIAL = "partial"
    FAILED = "failed"


class AmplifierResult(BaseModel):
    """Status of one amplifier, the reason if it is not ok, and its values with errors and units."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    status: AmplifierStatus = AmplifierStatus.OK
    reason: str = ""
    values: Mapping[str, Measured] = Field(default_factory=dict)


@dataclass(frozen=True, eq=False, kw_only=True)
class Product:
    """Base of all products.

    Parameters
    ----------
    unit : str
        Unit of the main payload (``adu``, ``electron``, ``electron/s`` … ; empty if dimensionless).
    amplifiers : mapping of str to AmplifierResult
        Per-amplifier status and values.
    metrics : mapping of str to Measured
        Numbers about the whole product.
    refused : mapping of str to str
        Exposure id, or ``exposure/amplifier``, → why `solve` left it out. The framework copies it to the inputs.
    tables : mapping of str to astropy.table.Table
        Named tables with column units.
    cards : mapping of str to str
        Short texts about the whole product by FITS keyword, such as how a flat is normalised.
    """

    format_name: ClassVar[str] = "product"
    format_version: ClassVar[tuple[int, int]] = (1, 0)
    minimum_reader: ClassVar[tuple[int, int]] = (1, 0)
    plane_names: ClassVar[Mapping[str, str]] = {}
    """Payload array attribute → EXTNAME. Names are addresses for ever."""

    unit: str = ""
    amplifiers: Mapping[str, AmplifierResult] = field(default_factory=dict)
    metrics: Mapping[str, Measured] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    cards: Mapping[str, str] = field(default_factory=dict)
    header: Header | None = None

    def __post_init__(self) -> None:
        for array in self._arrays().values():
            array.flags.writeable = False
        self._check_fields()
        for keyword in self.cards:
            if not re.fullmatch(r"[A-Z][A-Z0-9_]{0,7}", keyword):
                raise ContractError(f"card {keyword!r}: a FITS keyword has up to 8 upper-case letters, digits and '_'")
        for name, table in self.tables.items():
            if name in RESERVED_TABLES:
                raise ContractError(f"table name {name!r}: the framework writes a table of this name itself")
            if not re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
                raise ContractError(f"table name {name!r}: FITS wants upper-case letters, digits and '_'")
            for column in table.columns.values():
                if column.dtype.kind == "U" and not all(str(value).isascii() for value in column):
                    raise ContractError(f"table {name}, column {column.name}: FITS holds ASCII text only")

    def _check_fields(self) -> None:
        """A field that is neither a plane nor one of the framework's shapes would be lost in the file."""
        stored = {field.name for shape in _SHAPES for field in dataclasses.fields(shape)} | set(self.plane_names)
        lost = [field.name for field in dataclasses.fields(self) if field.name not in stored]
        if lost:
            raise ContractError(
                f"{type(self).__name__} has fields that no file keeps: {', '.join(lost)}; "
                "name arrays in plane_names, put the rest in metrics, tables or per-amplifier values"
            )

    def planes(self) -> dict[str, NDArray[Any]]:
        """Payload arrays by EXTNAME."""
        return {name: getattr(self, attribute) for attribute, name in self.plane_names.items()}

    def _arrays(self) -> dict[str, NDArray[Any]]:
        """The planes and whatever other array the file keeps, by EXTNAME: what the digest sees."""
        return self.planes()

    def provided(self, quantity: str) -> dict[str, Measured]:
        """Per-amplifier values of one quantity (``gain`` …), of the amplifiers that are ok and have it."""
        good = (AmplifierStatus.OK, AmplifierStatus.PARTIAL)
        return {
            name: amp.values[quantity]
            for name, amp in self.amplifiers.items()
            if quantity in amp.values and amp.status in good
        }

    def with_header(self, header: Header) -> Self:
        """Return the same product with its header, the header's content digest filled in."""
        return dataclasses.replace(self, header=header.model_copy(update={"digest": self.content_digest()}))

    def content_digest(self) -> str:
        """SHA-256 of arrays, tables and structure: never of dates, identifiers or hosts."""
        digest = hashlib.sha256(canonical_json(self._structure()))
        arrays = dict(sorted(self._arrays().items()))
        with ThreadPoolExecutor(min(len(arrays), os.cpu_count() or 1) or 1) as pool:
            for name, array_digest in zip(arrays, pool.map(_array_digest, arrays.values()), strict=True):
                digest.update(f"{name}{array_digest}".encode())
        for name, table in sorted(self.tables.items()):
            for column in table.columns.values():
                values = np.ascontiguousarray(column)
                digest.update(f"{name}.{column.name}[{column.unit or ''}]{values.shape}".encode())
                digest.update(_canonical_column(values))
        return digest.hexdigest()

    def _structure(self) -> dict[str, Any]:
        cards = {"cards": dict(self.cards)} if self.cards else {}
        return {
            **cards,
            "format": [self.format_name, *self.format_version],
            "unit": self.unit,
            "amplifiers": {name: amp.model_dump(mode="json") for name, amp in self.amplifiers.items()},
            "metrics": {name: metric.model_dump(mode="json") for name, metric in self.metrics.items()},
            "refused": dict(self.refused),
        }

    def _repr_html_(self) -> str:
        from cpp_framework.model.describe import product_html

        return product_html(self)


def _array_digest(array: NDArray[Any]) -> str:
    canonical = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    digest = hashlib.sha256(f"{canonical.dtype.str}{canonical.shape}".encode())
    digest.update(canonical.data)
    return digest.hexdigest()


def _canonical_column(values: NDArray[Any]) -> bytes:
    if values.dtype.kind in "US":
        return canonical_json([str(value) for value in values.astype(str).ravel()])
    return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()


@dataclass(frozen=True, eq=False, kw_only=True)
class ImageProduct(Product):
    """An image of one detector with its error, mask and used count, all ``[y, x]`` of the assembled detector.

    ``stacked`` are the exposure ids of the stack, in order. A sample of exposure k was taken to be
    ``scales[k] · image (+ intercept) + offsets[k, amplifier]``, and the image is the mean with ``weights[k]``: for a
    bias scales and weights are 1, a dark scales with the dark time, a flat with the level of the exposure.

    Parameters
    ----------
    rejected : int32 array of rows
        Runs of samples the stack left out: exposure (index into ``stacked``), y, x0, length. The file keeps them as the
        table ``REJECTED``.
    scales, weights : float64 array ``[exposure]``
        One per stacked exposure; empty where all are 1.
    offsets : float64 array ``[exposure, amplifier]``
        What was taken off each exposure, in the unit of the samples; empty where nothing was.
    """

    format_name: ClassVar[str] = "image"
    plane_names: ClassVar[Mapping[str, str]] = {"image": "DATA", "error": "ERR", "mask": "DQ", "used": "NUSED"}

    image: NDArray[np.float32]
    error: NDArray[np.float32]
    mask: NDArray[np.uint32]
    used: NDArray[np.uint16]
    rejected: NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 4), np.int32))
    stacked: tuple[str, ...] = ()
    scales: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    weights: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    offsets: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))

    def __post_init__(self) -> None:
        wanted = {"image": np.float32, "error": np.float32, "mask": np.uint32, "used": np.uint16}
        for name, dtype in wanted.items():
            plane = getattr(self, name)
            if plane.dtype != dtype or plane.shape != self.image.shape or plane.ndim != 2:
                raise ContractError(
                    f"{type(self).__name__}.{name} is {plane.dtype} {plane.shape}; "
                    f"it must be {np.dtype(dtype).name} of the image's shape {self.image.shape}"
                )
        if self.rejected.dtype != np.int32 or self.rejected.shape[1:] != (4,):
            raise ContractError("ImageProduct.rejected must be int32 rows of (exposure, y, x0, length)")
        self._check_stack()
        super().__post_init__()

    def _check_stack(self) -> None:
        count = len(self.stacked)
        shapes = {"scales": (count,), "weights": (count,), "offsets": (count, len(self.amplifiers))}
        for name, shape in shapes.items():
            numbers = getattr(self, name)
            if numbers.size and (numbers.dtype != np.float64 or numbers.shape != shape):
                raise ContractError(
                    f"{type(self).__name__}.{name} is {numbers.dtype} {numbers.shape}; it must be float64 {shape}"
                )
            if not np.all(np.isfinite(numbers)):
                raise ContractError(f"{type(self).__name__}.{name} holds numbers that are not finite")

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {**self.planes(), "REJECTED": self.rejected}

    def _structure(self) -> dict[str, Any]:
        structure = {**super()._structure(), "stacked": list(self.stacked)}
        stack = {name: getattr(self, name).tolist() for name in STACK_NUMBERS if getattr(self, name).size}
        return {**structure, "stack": stack} if stack else structure

    def rejected_mask(self, exposure: str) -> NDArray[np.bool_]:
        """Boolean ``[y, x]``: samples of one stacked exposure that were left out."""
        found = np.zeros(self.image.shape, bool)
        runs = self.rejected[self.rejected[:, 0] == self.stacked.index(exposure)]
        rows, columns = run_pixels(runs)
        found[rows, columns] = True
        return found

    def to_ccddata(self) -> CCDData:
        """The image as astropy knows it: unit, `StdDevUncertainty`, mask (True where unusable), cards as meta.

        It is a copy: the product itself never changes.
        """
        from astropy.nddata import CCDData, StdDevUncertainty
        from astropy.units import Unit

        from cpp_framework.model.fits import to_hdus
        from cpp_framework.model.mask import UNUSABLE

        return CCDData(
            self.image,
            unit=Unit(self.unit),
            uncertainty=StdDevUncertainty(self.error, unit=Unit(self.unit)),
            mask=(self.mask & np.uint32(UNUSABLE)) != 0,
            meta=to_hdus(self)[0].header if self.header is not None else None,
            copy=True,
        )

    def scale_of(self, exposure: Exposure) -> float:
        """Scale of an exposure; NaN where the image alone does not tell it."""
        if not self.scales.size:
            return 1.0
        return float(self.scales[self.stacked.index(exposure.id)]) if exposure.id in self.stacked else math.nan

    def intercept(self) -> NDArray[np.float32] | None:
        """What every exposure has whatever its scale ``[y, x]``; None where that was not fitted."""
        return None

    def factor(self, exposure: Exposure) -> NDArray[np.float32] | None:  # noqa: ARG002  (for classes that have one)
        """Smooth factor ``[y, x]`` on the scale of one exposure; None for 1."""
        return None


STACK_NUMBERS = ("scales", "weights", "offsets")
"""Numbers of an `ImageProduct` about its stacked exposures."""


def run_pixels(runs: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the samples in runs of ``(exposure, y, x0, length)``."""
    lengths = runs[:, 3].astype(np.int64)
    before = np.cumsum(lengths) - lengths
    columns = np.repeat(runs[:, 2] - before, lengths) + np.arange(int(lengths.sum()))
    return np.repeat(runs[:, 1].astype(np.int64), lengths), columns


@dataclass(frozen=True, eq=False, kw_only=True)
class TableProduct(Product):
    """A product whose payload is in ``tables`` and per-amplifier values (PTC, linearity, gains)."""

    format_name: ClassVar[str] = "table"


@dataclass(frozen=True, eq=False, kw_only=True)
class RegionProduct(Product):
    """Regions of a detector (defects): ``mask`` is uint32 ``[y, x]``, the table ``REGIONS`` lists boxes."""

    format_name: ClassVar[str] = "region"
    plane_names: ClassVar[Mapping[str, str]] = {"mask": "DQ"}

    mask: NDArray[np.uint32]


@dataclass(frozen=True, eq=False, kw_only=True)
class MatrixProduct(Product):
    """A matrix (crosstalk, brighter-fatter kernel) with its error, any number of axes."""

    format_name: ClassVar[str] = "matrix"
    plane_names: ClassVar[Mapping[str, str]] = {"matrix": "DATA", "error": "ERR"}

    matrix: NDArray[np.float64]
    error: NDArray[np.float64]


_SHAPES: tuple[type[Product], ...] = (ImageProduct, TableProduct, RegionProduct, MatrixProduct)
