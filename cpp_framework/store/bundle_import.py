"""Bringing a bundle into a repository: read and checked as a whole, then taken in at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cpp_framework.plugins import Plugins
from cpp_framework.store.bundle import BundleReport
from cpp_framework.store.bundle_read import Bundle, read_bundle
from cpp_framework.store.content import Proof
from cpp_framework.store.store import Store


def import_bundle(
    store: Store,
    source: Path,
    supersede: bool = False,
    *,
    plugins: Plugins,
    check: Callable[[Bundle], None] = lambda _: None,
) -> BundleReport:
    """Take in a bundle: its products with their ids, runs and verdicts, and what was certified or tagged.

    Certification becomes lines of this repository's own ledger, which tell the bundle and who certified first, when.
    Doing it again changes nothing; an import that was killed is finished by repeating it.

    Parameters
    ----------
    store : Store
        Where to bring it. Neither its exposures nor a network are needed.
    source : Path
        The bundle.
    supersede : bool
        Whether products that are valid here give way where the bundle has others.
    plugins : Plugins
        Where the classes of products are looked up; content of a type that is not installed is checked by FITS
        checksums.
    check : callable
        What layers above the store can judge (instruments); called with the checked bundle before anything is changed.

    Raises
    ------
    NotFoundError, BundleError, FormatVersionError
        As `read_bundle`.
    ConflictError
        As `Store.adopt`.
    """
    bundle = read_bundle(source, plugins)
    check(bundle)
    adopted = store.adopt(bundle, supersede)
    new = {one.record.id for one in adopted.arrivals}
    return BundleReport(
        folder=bundle.folder,
        collection=bundle.manifest.collection,
        kind=bundle.manifest.kind,
        products=tuple((one.record, "added" if one.record.id in new else "already there") for one in bundle.arrivals),
        verdicts=len(adopted.verdicts),
        lines=len(adopted.lines),
        by_sums=tuple(sorted({one.record.type for one in bundle.arrivals if one.proof is Proof.SUMS})),
    )
