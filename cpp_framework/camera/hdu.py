"""The headers of a raw file, one per HDU, read without its pixels, and whether the file holds what they promise."""

from __future__ import annotations

import gzip
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

from cpp_framework.errors import RawFileError

Value = str | int | float | bool

_GZIP = b"\x1f\x8b"
_BLOCK = 2880
_BITPIX = (8, 16, 32, 64, -32, -64)


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
        if not compressed and self.get("XTENSION") not in (None, "IMAGE"):
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
            The card cannot be read as FITS, or holds characters that are not ASCII.
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
    if path.exists() and not path.is_file():  # a pipe would wait for ever
        raise RawFileError(f"{path}: not a file", hint="name raw files, or folders of them")
    try:
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
    while (header := _next_header(path, file, len(headers))) is not None:
        headers.append(header)
        length = _data_length(header)
        data_end = file.tell() + length
        padded_end = file.tell() + -(-length // _BLOCK) * _BLOCK
        if exact and data_end > size:
            raise _truncated(path, f"HDU {header.index} ends at byte {data_end}, the file has {size}")
        if size in (data_end, padded_end):
            break
        if not exact and length:
            file.seek(data_end - 1)
            if not file.read(1):
                raise _truncated(path, f"HDU {header.index} ends at byte {data_end} of the unpacked file")
        file.seek(padded_end)
    return headers


def _data_length(header: HduHeader) -> int:
    """Bytes of data after a header, as its cards say."""
    try:
        length = header.cards.data_size
        if not isinstance(length, int) or length < 0 or header.cards.get("BITPIX") not in _BITPIX:
            raise ValueError("BITPIX, NAXIS, PCOUNT or GCOUNT makes no sense")
    except (KeyError, TypeError, ValueError, AttributeError, VerifyError) as error:
        raise RawFileError(
            f"{header.path}: the size of HDU {header.index} is not in its header: {error.args[0]}",
            hint="mend BITPIX, NAXIS, NAXIS1 … of that HDU, or leave the file out",
        ) from error
    return length


def _positive(length: Value | None) -> TypeGuard[int]:
    return isinstance(length, int) and length > 0


def _next_header(path: Path, file: BinaryIO, index: int) -> HduHeader | None:
    start = file.tell()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            cards = fits.Header.fromfile(file)
        except gzip.BadGzipFile:
            raise
        except (OSError, ValueError, EOFError) as error:
            file.seek(start)
            if index and file.read(8) != b"XTENSION":
                return None  # FITS allows other records after the last HDU
            raise _truncated(path, f"the header of HDU {index} has no END") from error
    if not caught:
        return HduHeader(path, index, cards)
    # astropy replaces bytes that are not ASCII and warns; the names of those cards are kept for `get` to refuse.
    end = file.tell()
    file.seek(start)
    return HduHeader(path, index, cards, _not_ascii(file.read(end - start)))


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
