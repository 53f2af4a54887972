"""Rules about measure, pool and solve: pure, deterministic, and a product that survives the file."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import numpy as np

from cpp_framework.declare import load
from cpp_framework.model import Product
from cpp_framework.model import fits as product_fits
from cpp_framework.testing.base import SuiteBase, image_bytes, require
from cpp_framework.testing.running import with_header
from cpp_framework.testing.watch import watch_side_effects


class FunctionRules(SuiteBase):
    """Law 2, determinism, and the product's round trip through its file."""

    def test_solve_returns_the_declared_product(self) -> None:
        """`solve` returns an instance of the declared product class."""
        wanted = load(self.declaration.product, wanted_by=self.declaration.name)
        product = self.product(self.stack(self.exposures, 1))
        require(
            isinstance(product, wanted),
            f"{self.name('solve')} returned a {type(product).__name__}; the declaration says {wanted.__name__}",
        )

    def test_inputs_are_left_unchanged(self) -> None:
        """Neither `measure` nor `solve` writes into the images or products it is given."""
        stack = self.stack(self.exposures, 2)
        needs = {name: need.content_digest() for name, need in stack.needs.items()}
        before = image_bytes(stack)
        self.product(stack)
        require(
            image_bytes(stack) == before,
            f"{self.name('measure')} or solve() changed the images it was given: work on a copy",
        )
        after = {name: need.content_digest() for name, need in stack.needs.items()}
        require(needs == after, f"{self.name('solve')} changed a product it was given: products are immutable")

    def test_no_file_is_opened(self) -> None:
        """`measure`, `pool` and `solve` open no file, database, socket or process."""
        stack = self.stack(self.exposures, 3)
        self.product(stack)  # the first run imports and compiles; only the second is watched
        with watch_side_effects() as seen:
            self.product(stack)
        require(
            not seen,
            f"the functions of {self.declaration.name!r} {'; '.join(seen[:3])}: a plugin is given arrays and "
            "products and returns products; files, databases and processes are the framework's",
        )

    def test_solve_is_deterministic(self) -> None:
        """Two runs on the same frames give the same content digest."""
        digests = {self.product(self.stack(self.exposures, 4), seed=4).content_digest() for _ in range(2)}
        require(
            len(digests) == 1,
            f"{self.name('solve')} is not deterministic: two runs on the same frames gave different content digests "
            "(draw random numbers from ctx.seed only, and keep the order of sums fixed)",
        )

    def test_product_survives_its_file(self) -> None:
        """A product read back from its file is the same bit for bit."""
        stack = self.stack(self.exposures, 5)
        product = with_header(self.declaration, self.product(stack), stack)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "product.fits"
            product_fits.write(product, path)
            again = product_fits.read(path, type(product))
        for plane, difference in _differences(product, again).items():
            require(not difference, f"{plane} of a {type(product).__name__} does not survive its file: {difference}")

    def test_every_amplifier_has_a_status(self) -> None:
        """The product speaks of every amplifier of the detector, by the detector's names."""
        stack = self.stack(self.exposures, 6)
        found = set(self.product(stack).amplifiers)
        wanted = {amp.name for amp in stack.detector.amplifiers}
        require(
            found == wanted,
            f"the product of {self.declaration.name!r} has a status for amplifiers {sorted(found)}; "
            f"the detector has {sorted(wanted)}",
        )

    def test_values_have_units(self) -> None:
        """Every value and metric that is not an integer count names its unit (law 4); '1' is a pure number."""
        product = self.product(self.stack(self.exposures, 7))
        named = {f"metric {name!r}": one for name, one in product.metrics.items()}
        for amp, result in product.amplifiers.items():
            named |= {f"value {name!r} of amplifier {amp}": one for name, one in result.values.items()}
        for what, measured in named.items():
            require(measured.unit, f"{what} has no unit: every number has one, '1' for a pure number")


def _differences(product: Product, again: Product) -> dict[str, str]:
    """What differs between two products, by part; an empty text where nothing does."""
    found = {}
    for name, plane in product.planes().items():
        other = again.planes()[name]
        same = plane.dtype == other.dtype and plane.shape == other.shape
        same = same and np.ascontiguousarray(plane).tobytes() == np.ascontiguousarray(other).tobytes()
        found[f"plane {name}"] = (
            "" if same else f"{plane.dtype} {plane.shape} became {other.dtype} {other.shape} or other bits"
        )
    for one in dataclasses.fields(product):
        mine, theirs = getattr(product, one.name), getattr(again, one.name)
        if one.name != "tables" and not isinstance(mine, np.ndarray):
            found[f"field {one.name}"] = "" if repr(mine) == repr(theirs) else f"{mine!r} became {theirs!r}"
    before, after = product.content_digest(), again.content_digest()
    found["the content"] = "" if before == after else f"its digest {before[:12]} became {after[:12]}"
    return found
