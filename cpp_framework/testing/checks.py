"""Rules about verify: each declared check has an example that passes and one that fails, and they do what they say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cpp_framework.declare import load
from cpp_framework.model import Check, CheckExample, Status
from cpp_framework.testing.base import SuiteBase, require

_BAD = (Status.WARN, Status.FAIL, Status.NOT_FINITE)


class CheckRules(SuiteBase):
    """A check is worth nothing until it has been seen to pass and to fail."""

    def test_each_check_has_examples(self) -> None:
        """The declared examples cover the declared checks, and no others."""
        names = {spec.name for spec in self.declaration.checks}
        found = self._examples()
        for name in sorted(names):
            require(
                name in found, f"check {name} has no example: add it to {self.declaration.examples or 'examples'!r}"
            )
            for kind in ("passing", "failing"):
                require(callable(getattr(found[name], kind, None)), f"check {name} has no {kind} example")
        strangers = sorted(set(found) - names)
        require(not strangers, f"there are examples of {', '.join(strangers)}, which the declaration does not promise")

    def test_passing_examples_pass(self) -> None:
        """In its passing example a check is made and is PASS everywhere."""
        for name, example in self._examples().items():
            made = self._made(name, example.passing)
            require(made, f"the passing example of check {name} does not make it: verify() yields no {name}")
            bad = [check for check in made if check.status != Status.PASS]
            require(not bad, f"the passing example of check {name} does not pass: {_describe(bad)}")

    def test_failing_examples_fail(self) -> None:
        """In its failing example a check is FAIL, NOT_FINITE or, if it can only warn, WARN."""
        for name, example in self._examples().items():
            made = self._made(name, example.failing)
            bad = [check for check in made if check.status in _BAD]
            require(bad, f"the failing example of check {name} does not fail: {_describe(made) or 'it is not made'}")

    def test_verify_makes_only_declared_checks(self) -> None:
        """Every check `verify` yields is declared, has a unit and is of an amplifier the detector has."""
        declared = {spec.name for spec in self.declaration.checks}
        for name, example in self._examples().items():
            product, ctx = example.passing()
            amplifiers = {amp.name for amp in ctx.detector.amplifiers} | {""}
            for check in self._verify(product, ctx):
                require(
                    check.name in declared,
                    f"verify() yields check {check.name}, which the declaration does not promise",
                )
                require(
                    check.amplifier in amplifiers,
                    f"check {check.name} is of amplifier {check.amplifier!r}, which the detector does not have",
                )
                require(check.unit or check.skipped or check.dead, f"check {check.name} has a value without a unit")
            require(name in declared, f"there is an example of {name}, which is not declared")

    def test_verify_leaves_the_product_unchanged(self) -> None:
        """`verify` does not write into the product."""
        for example in self._examples().values():
            product, ctx = example.passing()
            before = product.content_digest()
            self._verify(product, ctx)
            require(product.content_digest() == before, f"{self.name('verify')} changed the product it was given")

    def _examples(self) -> Mapping[str, CheckExample]:
        declaration = self.declaration
        require(
            declaration.examples, f"type {declaration.name!r} declares no examples: each check needs one of each kind"
        )
        examples: Mapping[str, CheckExample] = load(declaration.examples, wanted_by=declaration.name)
        return examples

    def _made(self, name: str, example: Callable[[], tuple[Any, Any]]) -> list[Check]:
        return [check for check in self._verify(*example()) if check.name == name]

    def _verify(self, product: Any, ctx: Any) -> list[Check]:
        verify = load(self.declaration.verify, wanted_by=self.declaration.name)
        return list(verify(product, ctx))


def _describe(checks: list[Check]) -> str:
    return "; ".join(f"{one.status} at {one.where}, value {one.value:.4g} {one.unit}".strip() for one in checks[:3])
