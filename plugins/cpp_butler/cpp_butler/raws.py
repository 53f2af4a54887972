"""Raw files in ``<instrument>/raw/all``, with the ids every Butler would give them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from uuid import UUID

from lsst.daf.butler import (
    Butler,
    DataCoordinate,
    DatasetIdGenEnum,
    DatasetRef,
    DatasetType,
    DimensionUniverse,
    FileDataset,
)

from cpp_butler.addresses import RAW_DIMENSIONS, RAW_STORAGE_CLASS, RAW_TYPE, raw_run
from cpp_butler.formatters import RawFits
from cpp_framework.errors import ConfigError
from cpp_framework.model.exposure import Exposure
from cpp_framework.store import StoredExposure
from cpp_framework.store.files import publish, safe_name

WAYS = ("link", "copy", "direct")
"""How raw files come into the repository: by hard (else symbolic) links, as copies, or by staying where they are."""

_AT_ONCE = 500
"""Files per transaction: large enough to be fast, small enough for progress."""

RawKey = tuple[str, str, int]
"""Instrument, exposure id, detector."""


def check_way(how: str) -> None:
    """Raise `ConfigError` unless ``how`` is one of `WAYS`."""
    if how not in WAYS:
        raise ConfigError(f"raw files cannot be taken over by {how!r}", hint=f"one of {', '.join(WAYS)}")


def raw_type(universe: DimensionUniverse) -> DatasetType:
    """The dataset type of raw files."""
    return DatasetType(RAW_TYPE, RAW_DIMENSIONS, RAW_STORAGE_CLASS, universe=universe)


def raw_ref(exposure: Exposure, dataset_type: DatasetType) -> DatasetRef:
    """The dataset of one exposure of one detector. Its id follows from run and data id, as in Rubin's own ingest."""
    data_id = DataCoordinate.standardize(
        instrument=exposure.instrument,
        detector=exposure.detector,
        exposure=exposure.number,
        dimensions=dataset_type.dimensions,
    )
    return DatasetRef(
        dataset_type,
        data_id,
        run=raw_run(exposure.instrument),
        id_generation_mode=DatasetIdGenEnum.DATAID_TYPE_RUN,
    )


def problem_of(stored: StoredExposure) -> str:
    """Why a raw file cannot be taken over; empty if it can."""
    try:
        found = Path(stored.exposure.path).stat()
    except OSError as error:
        return f"its file {stored.exposure.path} cannot be read: {error.strerror}"
    if (found.st_size, found.st_mtime_ns) != (stored.size, stored.mtime_ns):
        return f"its file {stored.exposure.path} changed since it was ingested"
    return ""


def known_raws(butler: Butler, instrument: str) -> set[UUID]:
    """Ids of the raw files of a camera that are there. The dataset type is registered if it is not."""
    butler.registry.registerDatasetType(raw_type(butler.dimensions))
    run = raw_run(instrument)
    found = butler.query_datasets(RAW_TYPE, collections=run, find_first=False, limit=None, explain=False)
    return {ref.id for ref in found}


def ingest_raws(
    butler: Butler,
    files: Mapping[str, Sequence[tuple[Exposure, DatasetRef]]],
    how: str,
    folder: Path,
    advance: Callable[[int], None],
) -> None:
    """Bring raw files over (path → its exposures, one per detector), some hundred at a time, each time all or none.

    Parameters
    ----------
    how : str
        One of `WAYS`.
    folder : Path
        Folder inside the repository for files being written.
    """
    items = list(files.items())
    for start in range(0, len(items), _AT_ONCE):
        chunk = items[start : start + _AT_ONCE]
        datasets = [
            FileDataset(
                path=_bring(Path(path), *found[0], how, folder), refs=[ref for _, ref in found], formatter=RawFits
            )
            for path, found in chunk
        ]
        butler.ingest(*datasets, transfer="direct" if how == "direct" else None)
        advance(sum(len(found) for _, found in chunk))


def _bring(source: Path, exposure: Exposure, ref: DatasetRef, how: str, folder: Path) -> str:
    """Put a raw file where Butler shall find it, and return that place as Butler wants it."""
    if how == "direct":
        return source.as_uri()
    # Butler's own names would do, but they are made of ids and filters whose odd characters it drops: two exposures
    # might get one name, and the second would replace the first.
    place = f"{safe_name(exposure.instrument)}/raw/all/raw/{exposure.day_obs}/{ref.id}_{safe_name(source.name)}"
    target = folder.parent / place
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)  # no dataset has this id, so a killed export left it
    if how == "copy":
        staged = folder / f"{ref.id}.fits"
        shutil.copyfile(source, staged)
        publish(staged, target)
    else:
        _link(source, target)
    return place


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # another disk, or one without hard links
        target.symlink_to(source)
