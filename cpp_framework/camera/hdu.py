"""The headers of a raw file, one per HDU, read without its pixels, and whether the file holds what they promise."""

from __future__ import annotations

import gzip
import math
import stat
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, TypeGuard, cast

from astropy.io import fits
from astropy.io.fits.card import Undefined
from astropy.io.fits.verify import VerifyError

from cpp_framework.camera.structure import data_length
from cpp_framework.errors import RawFileError

Value = str | int | float | bool

_GZIP = b"\x1f\x8b"
_BEST_GZIP = 1100
"""No gzip file is smaller than what it holds by more than this factor (1032, and its own header)."""
_BLOCK = 2880
_LONGEST_HEADER = 5000 * _BLOCK
"""Bytes; a header that has no END until then (180,000 cards) is damaged, or made to fill the memory."""
_MOST_HDUS = 4096


@dataclass(frozen=True)
class HduHeader:
    """The header of one HDU. ``not_ascii`` are keywords of cards with bytes FITS does not allow."""

    path: Path
    index: int
    cards: fits.Header
    not_ascii: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """EXTNAME, or empty."""
        return str(self.get("EXTNAME") or "")

    @cached_property
    def size(self) -> tuple[int, int] | None:
        """``(columns, rows)`` of the image in this HDU, also if tile-compressed; None if it holds no 2-D image.

        Raises as `get`.
        """
        compressed = self.get("ZIMAGE") is True
        if not compressed and self.index and self.get("XTENSION") != "IMAGE":
            return None
        prefix = "Z" if compressed else ""
        if self.get(f"{prefix}NAXIS") != 2:
            return None
        columns, rows = self.get(f"{prefix}NAXIS1"), self.get(f"{prefix}NAXIS2")
        return (columns, rows) if _positive(columns) and _positive(rows) else None

    def get(self, keyword: str) -> Value | None:
        """Value of a card (the first, if it is there twice), text without outer blanks; None if absent or blank.

        Raises
        ------
        RawFileError
            The card cannot be read as FITS, holds characters that are not ASCII, or a number too large to be one.
        """
        if keyword.upper() in self.not_ascii:
            raise RawFileError(
                f"{self.path}: card {keyword} in HDU {self.index} has characters that are not ASCII",
                hint="mend the card, or take the value from another keyword in the instrument file",
            )
        try:
            value = self.cards.get(keyword)
        except VerifyError as error:
            raise RawFileError(
                f"{self.path}: card {keyword} in HDU {self.index} is not a FITS card",
                hint="mend the card, or take the value from another keyword in the instrument file",
            ) from error
        if isinstance(value, str):
            value = value.strip()
        if isinstance(value, float) and not math.isfinite(value):
            raise RawFileError(
                f"{self.path}: card {keyword} in HDU {self.index} holds a number that is too large",
                hint="mend the card, or take the value from another keyword in the instrument file",
            )
        if value is None or value == "" or isinstance(value, Undefined | complex):
            return None
        return cast(Value, value)


def read_headers(path: Path) -> list[HduHeader]:
    """Read all headers of a FITS file (plain or gzip; tile-compressed images are seen as images).

    Pixels are not read. Of a gzip file only as much is decompressed as is needed to reach the last header.

    Raises
    ------
    RawFileError
        The file cannot be opened, is not FITS, or ends before its last HDU does.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would wait for ever
            raise RawFileError(f"{path}: not a file", hint="name raw files, or folders of them")
        with path.open("rb") as file:
            packed = file.read(2) == _GZIP
            file.seek(0)
            if packed:
                with gzip.open(file) as unpacked:
                    return _walk(path, cast(BinaryIO, unpacked), _unpacked_size(file), exact=False)
            return _walk(path, file, path.stat().st_size, exact=True)
    except EOFError as error:
        raise _truncated(path, "the compressed data stop early") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise RawFileError(f"{path}: damaged gzip file: {error}", hint="copy the file again") from error
    except OSError as error:
        raise RawFileError(
            f"{path}: cannot be read: {error.strerror or error}", hint="check the path and its permissions"
        ) from error


def find_hdu(headers: Sequence[HduHeader], hdu: int | str) -> HduHeader | None:
    """Return an HDU by index or EXTNAME, None if the file has no such HDU.

    fpack moves a primary image to extension 1 and says so with ZSIMPLE; index 0 then means that extension.
    """
    if isinstance(hdu, str):
        return next((header for header in headers if header.name.upper() == hdu.upper()), None)
    if len(headers) > hdu + 1 and headers[0].size is None and headers[1].cards.get("ZSIMPLE") is True:
        hdu += 1
    return headers[hdu] if hdu < len(headers) else None


def _walk(path: Path, file: BinaryIO, size: int, *, exact: bool) -> list[HduHeader]:
    """Read header after header. ``exact`` says whether ``size`` is the number of bytes or only a claim."""
    if file.read(6) != b"SIMPLE":
        raise RawFileError(f"{path}: not a FITS file (it does not begin with SIMPLE)", hint="leave it out")
    file.seek(0)
    headers: list[HduHeader] = []
    most = size if exact else path.stat().st_size * _BEST_GZIP
    while (header := _next_header(path, file, len(headers))) is not None:
        headers.append(header)
        length = _data_length(header)
        data_end = file.tell() + length
        padded_end = file.tell() + -(-length // _BLOCK) * _BLOCK
        if data_end > most:
            raise _truncated(path, f"HDU {header.index} ends at byte {data_end}, the file has {size}")
        if size in (data_end, padded_end):
            break
        if not exact and length:
            file.seek(data_end - 1)
            if not file.read(1):
                raise _truncated(path, f"HDU {header.index} ends at byte {data_end} of the unpacked file")
        if len(headers) == _MOST_HDUS:
            raise RawFileError(f"{path}: it has more than {_MOST_HDUS} HDUs", hint="is it a raw file? leave it out")
        file.seek(padded_end)
    return headers


def _data_length(header: HduHeader) -> int:
    """Bytes of data after a header, as its cards say."""
    try:
        return data_length(header.cards, header.index)
    except ValueError as error:
        raise RawFileError(
            f"{header.path}: the size of HDU {header.index} is not in its header: {error}",
            hint="mend that card of that HDU, or leave the file out",
        ) from error


def _positive(length: Value | None) -> TypeGuard[int]:
    return isinstance(length, int) and length > 0


def _next_header(path: Path, file: BinaryIO, index: int) -> HduHeader | None:
    start = file.tell()
    if index and file.read(8) != b"XTENSION":
        return None  # FITS allows other records after the last HDU
    file.seek(start)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            cards = fits.Header.fromfile(_HeaderBytes(file))
        except gzip.BadGzipFile:
            raise
        except (OSError, ValueError, EOFError) as error:
            raise _truncated(path, f"the header of HDU {index} has no END") from error
    if not caught:
        return HduHeader(path, index, cards)
    # astropy replaces bytes that are not ASCII and warns; the names of those cards are kept for `get` to refuse.
    end = file.tell()
    file.seek(start)
    return HduHeader(path, index, cards, _not_ascii(file.read(end - start)))


class _HeaderBytes:
    """A file as astropy reads a header from it, at an end after as many bytes as a header can have."""

    mode = "rb"

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = _LONGEST_HEADER

    def read(self, size: int) -> bytes:
        content = self._file.read(min(size, self._left))
        self._left -= len(content)
        return content


def _not_ascii(block: bytes) -> frozenset[str]:
    images = [block[i : i + 80] for i in range(0, len(block), 80)]
    bad = [image for image in images if not image.isascii()]
    return frozenset(_keyword(image) for image in bad)


def _keyword(image: bytes) -> str:
    text = image.partition(b"=")[0].decode("ascii", "replace").strip().upper()
    return text.removeprefix("HIERARCH ").strip()


def _unpacked_size(file: BinaryIO) -> int:
    """Size a gzip file claims to unpack to (modulo 4 GiB), from its last four bytes."""
    file.seek(-4, 2)
    claimed = int.from_bytes(file.read(4), "little")
    file.seek(0)
    return claimed


def _truncated(path: Path, why: str) -> RawFileError:
    return RawFileError(f"{path}: truncated: {why}", hint="copy the file again from where it was taken")
