"""Readers and writers that Butler finds by their address: ``cpp_butler.formatters.*`` (see `addresses`).

A plain ``Butler(path)`` imports this module when it first reads a dataset of ours, and never before. Importing it lets
the classes of this package stand in for Rubin's where those are not installed; where they are, Rubin's are used, which
read the same files.
"""

from __future__ import annotations

from typing import Any

from lsst.daf.butler import DatasetProvenance, DatasetRef, FormatterV2, Location
from lsst.resources import ResourcePath

from cpp_butler.addresses import RAW_STORAGE_CLASS
from cpp_butler.exposure import Exposure
from cpp_butler.raw_exposure import RawExposure
from cpp_butler.stand_in import stand_in
from cpp_framework.errors import IncompatibleError

stand_in({"ExposureF": Exposure, RAW_STORAGE_CLASS: RawExposure})


class ExposureFits(FormatterV2):  # type: ignore[misc]  # lsst is untyped
    """Images in the layout of `cpp_butler.exposure_file`, as `Exposure` or, where it is installed, as Rubin's class."""

    default_extension = ".fits"
    unsupported_parameters = None
    can_read_from_local_file = True

    def read_from_local_file(self, path: str, component: str | None = None, expected_size: int = -1) -> Any:  # noqa: ARG002
        """Read the whole exposure."""
        _refuse_component(self, component)
        exposure_class: Any = self.file_descriptor.storageClass.pytype
        return exposure_class.readFits(path)

    def write_local_file(self, in_memory_dataset: Any, uri: ResourcePath) -> None:
        """Write an exposure."""
        in_memory_dataset.writeFits(uri.ospath)

    def add_provenance(self, in_memory_dataset: Any, /, *, provenance: DatasetProvenance | None = None) -> Any:
        """Put into the metadata what the exposure is and what it was made from."""
        in_memory_dataset.metadata.update(provenance_cards(provenance or DatasetProvenance(), self.dataset_ref))
        return in_memory_dataset


class RawFits(FormatterV2):  # type: ignore[misc]
    """Raw files as the camera wrote them, as `RawExposure`. They are ingested, never written."""

    default_extension = ".fits"
    unsupported_parameters = None
    can_read_from_local_file = True

    @classmethod
    def validate_extension(cls, location: Location) -> None:
        """Accept every name: cameras call their files as they like, and FITS is told by its content."""

    def read_from_local_file(self, path: str, component: str | None = None, expected_size: int = -1) -> Any:  # noqa: ARG002
        """Read the whole file."""
        _refuse_component(self, component)
        if not issubclass(RawExposure, self.file_descriptor.storageClass.pytype):
            raise IncompatibleError(
                f"{path}: here {RAW_STORAGE_CLASS} is Rubin's own class, which cpp cannot make of a raw file",
                hint="read the file with the camera's own reader; butler.getURI tells where it is",
            )
        return RawExposure.readFits(path)


def provenance_cards(provenance: DatasetProvenance, ref: DatasetRef) -> dict[str, str | int | float | bool]:
    """What a dataset is and what it was made from, as the cards Rubin's own files have: all inputs, however many.

    `lsst.daf.butler.DatasetProvenance.from_flat_dict` reads them.
    """
    return dict(provenance.to_flat_dict(ref, prefix="LSST BUTLER", sep=" ", simple_types=True))


def _refuse_component(formatter: FormatterV2, component: str | None) -> None:
    if component is not None:
        raise IncompatibleError(
            f"{formatter.name()} reads whole datasets only, not the component {component!r} of {formatter.dataset_ref}",
            hint="butler.get the dataset and take what you need of it",
        )
