"""Synthetic raw files: frames as other observatories write them, made from a few header cards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

Cards = Mapping[str, Any]
Hdu = tuple[Cards, NDArray[Any] | None]


@pytest.fixture
def write_fits(tmp_path: Path) -> Callable[..., Path]:
    """Write a FITS file from ``(cards, pixels)`` per HDU, the first being the primary; `table` appends a table HDU."""

    def write(name: str, hdus: Sequence[Hdu], *, table: bool = False) -> Path:
        found: list[Any] = []
        for i, (cards, pixels) in enumerate(hdus):
            hdu = fits.PrimaryHDU(pixels) if i == 0 else fits.ImageHDU(pixels)
            for keyword, value in cards.items():
                hdu.header[keyword] = value
            found.append(hdu)
        if table:
            found.append(fits.BinTableHDU.from_columns([fits.Column("T", "E", array=np.arange(3.0))], name="TEMPS"))
        path = tmp_path / name
        fits.HDUList(found).writeto(path, overwrite=True)
        return path

    return write


@pytest.fixture
def noise() -> Callable[..., NDArray[np.uint16]]:
    """Frame of integers about a level with a read noise, seeded."""

    def make(shape: tuple[int, int], level: float = 1000.0, sigma: float = 5.0, seed: int = 1) -> NDArray[np.uint16]:
        return np.random.default_rng(seed).normal(level, sigma, shape).round().astype(np.uint16)

    return make
