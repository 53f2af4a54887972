"""The names that repositories keep for ever. If a test here fails, mend the code, never the test."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
import yaml
from cpp_butler import addresses
from lsst.daf.butler import FormatterV2, StorageClassFactory


def test_names_are_what_they_always_were() -> None:
    assert addresses.FORMATTERS == {
        "ExposureF": "cpp_butler.formatters.ExposureFits",
        "raw": "cpp_butler.formatters.RawFits",
    }
    assert addresses.RESERVED == {
        "BrighterFatterKernel": "cpp_butler.formatters.CalibFits",
        "Defects": "cpp_butler.formatters.CalibFits",
        "PhotonTransferCurveDataset": "cpp_butler.formatters.CalibFits",
    }
    assert addresses.STORAGE_CLASSES == {"ImageProduct": "ExposureF"}
    assert (addresses.RAW_TYPE, addresses.RAW_STORAGE_CLASS) == ("raw", "Exposure")
    assert addresses.RAW_DIMENSIONS == ("instrument", "detector", "exposure")
    assert addresses.raw_run("LATISS") == "LATISS/raw/all"
    assert addresses.CAMERA_CLASS == "cpp_framework.camera.instrument.Instrument"
    assert addresses.UNKNOWN == "unknown"


def _at(address: str) -> object:
    module, _, name = address.rpartition(".")
    return getattr(import_module(module), name)


@pytest.mark.parametrize("address", sorted(set(addresses.FORMATTERS.values())))
def test_a_formatter_is_where_its_address_says(address: str) -> None:
    assert issubclass(_at(address), FormatterV2)  # type: ignore[arg-type]


def test_the_class_of_a_camera_is_where_its_address_says() -> None:
    assert isinstance(_at(addresses.CAMERA_CLASS), type)


@pytest.mark.parametrize("name", ["ExposureF", "Exposure", *addresses.RESERVED])
def test_storage_classes_are_butlers_own(name: str) -> None:
    assert StorageClassFactory().getStorageClass(name).name == name


def test_a_new_repository_names_the_formatters(exported: Path) -> None:
    config = yaml.safe_load((exported / "butler.yaml").read_text())
    assert config["datastore"]["formatters"] == addresses.FORMATTERS
    assert "storageClasses" not in config
