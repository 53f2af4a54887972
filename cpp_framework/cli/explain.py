"""`cpp explain`: why this product, why (not) that exposure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cpp_framework.cli import options
from cpp_framework.cli.output import print_json, print_table
from cpp_framework.errors import NotFoundError

if TYPE_CHECKING:
    from cpp_framework.api import Repository
    from cpp_framework.model.check import Verdict
    from cpp_framework.model.header import InputRecord
    from cpp_framework.store import ProductRecord

Row = tuple[str, str]


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def explain(
        what: Annotated[
            str, typer.Argument(help="A product (identifier, digest, prefix, `last`) or an exposure.")
        ] = "last",
        calibration_type: Annotated[str, typer.Option("--type", "-t", help="Only products of this type.")] = "",
        repo: options.RepoOption = None,
        as_json: options.JsonOption = False,
    ) -> None:
        """Explain why a product is as it is (its exposures, each with the reason), or where an exposure was used."""
        repository = options.open_repository(repo, write=False)
        try:
            rows = _product(repository, repository.store.product(what))
        except NotFoundError:
            if what == "last":
                raise
            rows = _exposure(repository, what, calibration_type)
        if as_json:
            print_json(explanation=[{"what": name, "why": why} for name, why in rows])
        else:
            print_table("", ("what", "why"), rows)


def _product(repository: Repository, record: ProductRecord) -> list[Row]:
    product = repository.product(record.id)
    header = product.header
    assert header is not None
    rows = [(f"{record.type} {record.id}", f"made {header.created} UTC by: {header.command or 'a notebook'}")]
    rows += [(f"{need.type} {need.id}", f"applied before: {need.why}") for need in header.needs]
    rows += [(f"exposure {one.exposure}", _reason(one)) for one in header.inputs]
    newer = [
        other.id
        for other in repository.products(type=record.type, instrument=record.instrument, detector=record.detector)
        if other.key == record.key and other.label == record.label and other.id > record.id
    ]
    rows += [("newer product", f"{other} is of the same kind") for other in newer]
    verdicts = repository.verdicts(record.id)
    rows.append(("verdict", _verdict(verdicts[0]) if verdicts else "none: cpp verify has not been run on it"))
    return rows


def _verdict(verdict: Verdict) -> str:
    """Outcome, date, and the worst case of each check that did not pass."""
    worst = {check.name: check for check in reversed(verdict.problems())}
    problems = [
        f"{name} {check.status.value} ({check.value:.4g}, allowed {check.fail or check.warn})"
        for name, check in sorted(worst.items())
    ]
    return f"{verdict.outcome.value}, {verdict.created} UTC" + (f": {'; '.join(problems)}" if problems else "")


def _reason(one: InputRecord) -> str:
    if not one.used:
        return f"refused: {one.reason}"
    return f"used, except {one.reason}" if one.reason else "used"


def _exposure(repository: Repository, what: str, calibration_type: str) -> list[Row]:
    stored = repository.store.exposure(what)[0]
    exposure = stored.exposure
    state = f"flagged bad: {stored.because}" if stored.bad else "good"
    rows = [(f"exposure {exposure.id}", f"{exposure.kind}, {exposure.exposure_time:g} s, {state}, {exposure.path}")]
    wanted = {"type": calibration_type} if calibration_type else {}
    for record in repository.products(instrument=exposure.instrument, detector=exposure.detector, **wanted):
        header = repository.product(record.id).header
        assert header is not None
        found = [one for one in header.inputs if one.exposure == exposure.id]
        rows.append((f"{record.type} {record.id}", _reason(found[0]) if found else _absent(exposure.kind, record.type)))
    if len(rows) == 1:
        rows.append(("products", "none made yet of this instrument and detector"))
    return rows


def _absent(kind: str, type_name: str) -> str:
    return f"not a candidate: it is of kind {kind}, or was not there when the {type_name} was made"
