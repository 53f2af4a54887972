"""Checks the core makes on every product, whatever its type."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from cpp_framework.config.suggest import shortened
from cpp_framework.model.check import Check, Level, Limit
from cpp_framework.model.exposure import FIELDS, Exposure
from cpp_framework.model.header import Header
from cpp_framework.model.mask import Mask
from cpp_framework.model.product import AmplifierStatus, ImageProduct, Product
from cpp_framework.model.timespan import to_iso
from cpp_framework.store.keys import plain_key, readable

COMMON = ("A1", "A2", "A3")
"""A1 provenance: the header says of its exposures what they are. A2 binding: the bytes verified are the product the
registry names. A3 finite: nothing unmasked is NaN."""

SOLUTION = "A6"
"""Of image products besides: the stored image solves its exposures."""


def common_checks(product: Product, registered_digest: str, exposures: Sequence[Exposure]) -> Iterator[Check]:
    """A1 (provenance), A2 (binding) and A3 (finite) of a product; ``exposures`` are those it was made from."""
    assert product.header is not None
    contradictions = list(_contradictions(product.header, exposures))
    yield Check(
        name="A1",
        level=Level.DETECTOR,
        detector=product.header.detector,
        value=len(contradictions),
        unit="contradictions",
        fail=Limit(high=0),
        reason="; ".join(contradictions) or "filter, binning, mode and dates must be those of the exposures",
    )
    digests = {product.content_digest(), product.header.digest, registered_digest}
    yield Check(
        name="A2",
        level=Level.DETECTOR,
        detector=product.header.detector,
        value=len(digests) - 1,
        unit="other digests",
        fail=Limit(high=0),
        reason="content, header and index must carry one digest",
    )
    yield Check(
        name="A3",
        level=Level.DETECTOR,
        detector=product.header.detector,
        value=_not_finite(product),
        unit="values",
        fail=Limit(high=0),
        reason="non-finite values outside masked pixels and failed amplifiers",
    )


def solution_check(detector: int, not_solved: NDArray[np.bool_] | None) -> Check:
    """A6: the stored image is the fit of the exposures it names, pixel by pixel, whatever their noise.

    Parameters
    ----------
    not_solved : bool array ``[y, x]`` or None
        Pixels where it is not (`HeldOut.not_solved`); None if not all exposures were read.
    """
    where = {"name": SOLUTION, "level": Level.DETECTOR, "detector": detector}
    if not_solved is None:
        return Check(skipped="the checks of this type did not read all exposures of the stack", **where)
    rows, columns = np.any(not_solved, axis=1), np.any(not_solved, axis=0)
    place = f" in {columns.sum()} columns and {rows.sum()} rows" if rows.any() else ""
    return Check(
        value=int(not_solved.sum()),
        unit="pixel",
        fail=Limit(high=0),
        reason=f"pixels that are not the fit of the exposures{place}",
        **where,
    )


def _contradictions(header: Header, exposures: Sequence[Exposure]) -> Iterator[str]:
    """Where the header of a product and the exposures it used disagree, in words."""
    names = {record.exposure for record in header.used}
    used = [one for one in exposures if one.id in names]
    for field, value in plain_key(header.key).items():
        if field not in FIELDS:
            yield f"the product is made per {shortened(field)}, which exposures do not have"
            continue
        for one in used:
            found = plain_key({field: one.value(field)})[field]
            if found != value:
                yield f"{field} is {readable(value)!r} in the product and {readable(found)!r} in exposure {one.id}"
                break
    begins = [one.begin for one in used if one.begin is not None]
    if begins and header.begin != min(begins):
        said = "no date" if header.begin is None else to_iso(header.begin)
        yield f"its exposures began at {to_iso(min(begins))}, the product says {said}"


def _not_finite(product: Product) -> int:
    if isinstance(product, ImageProduct):
        usable = (product.mask & np.uint32(Mask.NO_DATA)) == 0
        bad = ~np.isfinite(product.image) | ~np.isfinite(product.error)
        return int(np.count_nonzero(bad & usable))
    good = [amp for amp in product.amplifiers.values() if amp.status == AmplifierStatus.OK]
    return sum(not np.isfinite(one.value) for amp in good for one in amp.values.values())
