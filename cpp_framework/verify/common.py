"""Checks the core makes on every product, whatever its type."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cpp_framework.model.check import Check, Level, Limit
from cpp_framework.model.mask import Mask
from cpp_framework.model.product import AmplifierStatus, ImageProduct, Product

COMMON = ("A2", "A3")
"""A2 binding: the bytes verified are the product the registry names. A3 finite: nothing unmasked is NaN."""


def common_checks(product: Product, registered_digest: str) -> Iterator[Check]:
    """A2 (binding) and A3 (finite) of one product."""
    assert product.header is not None
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


def _not_finite(product: Product) -> int:
    if isinstance(product, ImageProduct):
        usable = (product.mask & np.uint32(Mask.NO_DATA)) == 0
        bad = ~np.isfinite(product.image) | ~np.isfinite(product.error)
        return int(np.count_nonzero(bad & usable))
    good = [amp for amp in product.amplifiers.values() if amp.status == AmplifierStatus.OK]
    return sum(not np.isfinite(one.value) for amp in good for one in amp.values.values())
