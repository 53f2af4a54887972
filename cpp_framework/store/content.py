"""Whether a product file holds what it says: asked where no index can tell, of bundles and of indexes made anew."""

from __future__ import annotations

import warnings
from enum import StrEnum
from pathlib import Path
from typing import Any

from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

from cpp_framework.declare import load
from cpp_framework.errors import ContractError, FormatVersionError, NotFoundError, PluginError, StoreError
from cpp_framework.model import fits as product_fits
from cpp_framework.model.header import Header
from cpp_framework.model.product import Product
from cpp_framework.plugins import Plugins

_RESTORE = "restore it from a copy, or produce it again"
_BEGINNING = b"SIMPLE  ="


class Proof(StrEnum):
    """How the content of a product file was checked."""

    DIGEST = "content digest"
    SUMS = "FITS checksums"


def check_product(path: Path, plugins: Plugins) -> tuple[Header, Proof]:
    """Check a product file: its FITS checksums and, where its type is installed, its content digest.

    Returns
    -------
    Header
        What the file says of itself.
    Proof
        `Proof.SUMS` where the type, or its reader for this version of the file, is not installed.

    Raises
    ------
    StoreError
        The file cannot be read, is damaged, or holds another content than its header says.
    """
    try:
        _check_sums(path)
        header, _ = product_fits.read_header(path)
        product_class = _class_of(header.type, plugins)
        if product_class is None:
            return header, Proof.SUMS
        try:
            digest = product_fits.read(path, product_class).content_digest()
        except FormatVersionError:
            return header, Proof.SUMS
    except (ContractError, MemoryError, RecursionError) as error:
        raise StoreError(f"{path}: not a readable product file: {error}", hint=_RESTORE) from error
    if digest != header.digest:
        raise StoreError(
            f"{path}: its content has the digest {digest[:12]}, its header says {header.digest[:12]}", hint=_RESTORE
        )
    return header, Proof.DIGEST


def _class_of(type_name: str, plugins: Plugins) -> type[Product] | None:
    """The product class of a type; None where the plugin that declares it is absent or broken."""
    try:
        found: Any = load(plugins.type(type_name).product, wanted_by=type_name)
    except (NotFoundError, PluginError):
        return None
    product_class: type[Product] = found
    return product_class


def _check_sums(path: Path) -> None:
    """Check DATASUM and CHECKSUM of every HDU; every product file has them."""
    try:
        with path.open("rb") as stream, warnings.catch_warnings():
            warnings.simplefilter("error", AstropyUserWarning)  # astropy only warns of a truncated file
            if stream.read(len(_BEGINNING)) != _BEGINNING:  # astropy would unpack a compressed file
                raise OSError("it is no FITS file")
            stream.seek(0)
            with fits.open(stream, memmap=False) as hdus:
                wrong = [i for i, hdu in enumerate(hdus) if (hdu.verify_datasum(), hdu.verify_checksum()) != (1, 1)]
    except (OSError, LookupError, ValueError, TypeError, AstropyUserWarning) as error:
        raise StoreError(f"{path}: not a readable product file: {error}", hint=_RESTORE) from error
    if wrong:
        raise StoreError(f"{path}: the checksums of HDU {wrong[0]} do not fit its bytes", hint=_RESTORE)
