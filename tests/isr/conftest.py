"""Small cameras, raw files and products for the tests of reading and instrument-signature removal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from cpp_framework.camera.instrument import Instrument
from cpp_framework.camera.raw import RawFrame, read_raw
from cpp_framework.declare import Corrector, Reach, Stage
from cpp_framework.isr.chain import Step
from cpp_framework.model import Exposure, Header, ImageProduct, Product


@pytest.fixture(scope="session")
def camera() -> Callable[..., Instrument]:
    """Build an instrument of one detector from its amplifiers."""

    def build(size: tuple[int, int], amplifiers: list[dict[str, Any]], **fields: Any) -> Instrument:
        detector = {"id": 0, "name": "D0", "size": size, "amplifiers": amplifiers}
        return Instrument.model_validate({"name": "testcam", "detectors": [detector], **fields})

    return build


@pytest.fixture(scope="session")
def exposure_of() -> Callable[..., Exposure]:
    """Build an exposure of an instrument's detector 0."""

    def build(instrument: Instrument, **fields: Any) -> Exposure:
        known = {"id": "e1", "number": 1, "kind": "bias", "exposure_time": 0.0, "dark_time": 0.0}
        known |= {"instrument": instrument.name, "detector": 0, "binning": instrument.binning}
        return Exposure.model_validate(known | fields)

    return build


@pytest.fixture
def raw_of(tmp_path: Path, exposure_of: Callable[..., Exposure]) -> Callable[..., RawFrame]:
    """Write planes as HDUs of a FITS file (``{0: array}`` as the primary HDU) and read it back as a raw frame."""

    def build(
        instrument: Instrument, planes: Mapping[int, np.ndarray], name: str = "raw.fits", **fields: Any
    ) -> RawFrame:
        hdus = [fits.PrimaryHDU(planes.get(0))]
        hdus += [fits.ImageHDU(planes[i], name=f"SEG{i}") for i in range(1, max(planes) + 1)]
        path = tmp_path / name
        fits.HDUList(hdus).writeto(path, overwrite=True)
        return read_raw(path, instrument, exposure_of(instrument, **fields))

    return build


@pytest.fixture
def header_of() -> Callable[..., Header]:
    """Build a header of a product of the test camera."""

    def build(**fields: Any) -> Header:
        known = {"id": "0199", "type": "bias", "revision": 1, "instrument": "testcam", "detector": 0, "recipe": "r"}
        return Header.model_validate(known | fields)

    return build


@pytest.fixture
def image_product(header_of: Callable[..., Header]) -> Callable[..., ImageProduct]:
    """Build an image product of ten exposures with error 0.5."""

    def build(image: np.ndarray, unit: str = "adu", **header: Any) -> ImageProduct:
        product = ImageProduct(
            image=image.astype(np.float32),
            error=np.full(image.shape, 0.5, np.float32),
            mask=np.zeros(image.shape, np.uint32),
            used=np.full(image.shape, 10, np.uint16),
            unit=unit,
        )
        return product.with_header(header_of(**header))

    return build


@pytest.fixture
def subtraction(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Step]:
    """Build a step that subtracts a product, as a plugin would declare it."""

    def subtract(image: Any, product: ImageProduct, config: Any) -> None:
        image.data -= product.image
        image.mask |= product.mask
        if image.variance is not None:
            image.variance += product.error**2

    module = ModuleType("test_correctors")
    module.subtract = subtract  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "test_correctors", module)

    def build(product: Product, stage: Stage = Stage.BIAS, reach: Reach = Reach.PIXEL) -> Step:
        return Step("bias", Corrector("test_correctors:subtract", stage, reach), product)

    return build
