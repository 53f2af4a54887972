"""Writing products into runs of the same name, with the same ids, each whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from uuid import UUID

from lsst.daf.butler import Butler, DatasetProvenance, DatasetRef, DatasetType, FileDataset

from cpp_butler.entries import Entry
from cpp_butler.formatters import ExposureFits, provenance_cards
from cpp_butler.image_product import exposure_hdus
from cpp_butler.raws import RawKey
from cpp_butler.report import Skipped
from cpp_framework.errors import CppError, StoreError
from cpp_framework.model import fits as product_fits
from cpp_framework.model.header import Header
from cpp_framework.model.product import ImageProduct
from cpp_framework.store import Store
from cpp_framework.store.files import publish, safe_name


def known_products(butler: Butler, entries: Iterable[Entry]) -> set[UUID]:
    """Ids of the products that are there. Dataset types that are not there are registered."""
    runs: dict[DatasetType, set[str]] = {}
    for entry in entries:
        runs.setdefault(entry.dataset_type(butler.dimensions), set()).add(entry.record.run)
    there = set(butler.collections.query("*"))
    known: set[UUID] = set()
    for of_type, named in runs.items():
        butler.registry.registerDatasetType(of_type)
        if present := sorted(named & there):
            found = butler.query_datasets(of_type, collections=present, find_first=False, limit=None, explain=False)
            known |= {ref.id for ref in found}
    return known


def ingest_product(
    butler: Butler,
    store: Store,
    entry: Entry,
    raws: Mapping[RawKey, DatasetRef],
    products: Mapping[str, DatasetRef],
    folder: Path,
) -> Skipped | None:
    """Write one product and ingest it; ``raws`` and ``products`` (by id) are the datasets that are there.

    Returns
    -------
    Skipped or None
        With the reason, if the product's own file is gone or damaged.
    """
    try:
        product = _read(store, entry)
    except CppError as error:
        return Skipped(entry.name, str(error))
    ref = entry.ref(butler.dimensions)
    provenance = _provenance(store.header(entry.record), raws, products)
    place = _place(entry)
    staged, final = folder / f"{entry.id}.fits", folder.parent / place
    try:
        exposure_hdus(product, provenance_cards(provenance, ref)).writeto(staged, checksum=True)
        final.unlink(missing_ok=True)  # no dataset has this id, so a killed export left it
        publish(staged, final)
        butler.ingest(FileDataset(path=place, refs=[ref], formatter=ExposureFits), transfer=None)
    finally:
        staged.unlink(missing_ok=True)
    return None


def _place(entry: Entry) -> str:
    """Where a product goes, below the repository: the id in the name, so that nothing is ever overwritten."""
    one = entry.record
    return f"{one.run}/{one.type}/{one.type}_{safe_name(one.instrument)}_det{one.detector:03d}_{one.id}.fits"


def _read(store: Store, entry: Entry) -> ImageProduct:
    product = product_fits.read(store.path(entry.record), ImageProduct)
    assert isinstance(product, ImageProduct)
    if product.content_digest() != entry.record.digest:
        raise StoreError(
            f"{store.path(entry.record)}: its content is not what was stored (digest {entry.record.digest[:12]})"
        )
    return product


def _provenance(
    header: Header, raws: Mapping[RawKey, DatasetRef], products: Mapping[str, DatasetRef]
) -> DatasetProvenance:
    """The raw files used and the products needed, as far as they are in the Butler repository."""
    provenance = DatasetProvenance()
    for one in header.used:
        if (ref := raws.get((header.instrument, one.exposure, header.detector))) is not None:
            provenance.add_input(ref)
    for need in header.needs:
        if (ref := products.get(need.id)) is not None:
            provenance.add_input(ref)
    return provenance
