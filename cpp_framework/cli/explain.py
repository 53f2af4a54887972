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
    from cpp_framework.model.exposure import Exposure
    from cpp_framework.model.header import InputRecord
    from cpp_framework.store import LedgerEntry, ProductRecord

Row = tuple[str, str]


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def explain(
        what: Annotated[
            str,
            typer.Argument(help="A product (identifier, digest, prefix, `last`) or an exposure (identifier, file)."),
        ] = "last",
        calibration_type: Annotated[str, typer.Option("--type", "-t", help="Only products of this type.")] = "",
        collection: options.CollectionOption = "",
        at: options.AtOption = "",
        repo: options.RepoOption = None,
        as_json: options.JsonOption = False,
    ) -> None:
        """Explain why a product is as it is, or for an exposure: which product serves it, why, and why not the others.

        Examples: `cpp explain last`, `cpp explain science_0815.fits --type flat`.
        """
        repository = options.open_repository(repo, write=False)
        try:
            rows = _product(repository, repository.store.product(what))
        except NotFoundError:
            if what == "last":
                raise
            rows = _exposure(repository, what, calibration_type, collection, at)
        if as_json:
            print_json(explanation=[{"what": name, "why": why} for name, why in rows])
        else:
            print_table("", ("what", "why"), rows)


def _product(repository: Repository, record: ProductRecord) -> list[Row]:
    from cpp_framework.plan.why import doubts

    header = repository.store.header(record)
    rows = [(f"{record.type} {record.id}", f"made {header.created} UTC by: {header.command or 'a notebook'}")]
    rows += [(f"{need.type} {need.id}", f"applied before: {need.why}") for need in header.needs]
    rows += [(f"exposure {one.exposure}", _reason(one)) for one in header.inputs]
    rows += [("doubt", text) for text in doubts(repository.store, record)]
    newer = [
        other.id
        for other in repository.products(type=record.type, instrument=record.instrument, detector=record.detector)
        if other.key == record.key and other.label == record.label and other.id > record.id
    ]
    rows += [("newer product", f"{other} is of the same kind") for other in newer]
    verdicts = repository.verdicts(record.id)
    rows.append(("verdict", _verdict(verdicts[0]) if verdicts else "none: cpp verify has not been run on it"))
    return rows + [_ledger_row(entry) for entry in repository.store.ledger(product=record.id)]


def _ledger_row(entry: LedgerEntry) -> Row:
    """A line of the ledger: what was done, for when, by whom and why."""
    from cpp_framework.model.timespan import to_iso
    from cpp_framework.store.ledger import range_text

    timed = entry.action in ("certify", "decertify")
    waived = [f"{name} waived because {because}" for name, because in entry.waived.items()]
    parts = [range_text(entry.begin, entry.end)] if timed else []
    parts += [f"by {entry.who} on {to_iso(entry.made)[:19]}Z", *([entry.note] if entry.note else []), *waived]
    return f"{entry.action} in {entry.collection}", ", ".join(parts)


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


def _exposure(repository: Repository, what: str, type_name: str, collection: str, at: str) -> list[Row]:
    stored = repository.store.exposure(what)[0]
    exposure = stored.exposure
    state = f"flagged bad: {stored.because}" if stored.bad else "good"
    rows = [(f"exposure {exposure.id}", f"{exposure.kind}, {exposure.exposure_time:g} s, {state}, {exposure.path}")]
    rows.append(("date that decides", _date(at, exposure)))
    wanted = {"type": type_name} if type_name else {}
    records = repository.products(instrument=exposure.instrument, detector=exposure.detector, **wanted)
    for one in dict.fromkeys(record.type for record in records):
        rows += _choice(repository, exposure, one, collection, at)
    for record in records:
        found = [one for one in repository.store.header(record).inputs if one.exposure == exposure.id]
        rows.append((f"made from it? {record.type} {record.short}", _reason(found[0]) if found else _absent(exposure)))
    if not records:
        rows.append(("products", "none made yet of this instrument and detector"))
    return rows


def _choice(repository: Repository, exposure: Exposure, type_name: str, collection: str, at: str) -> list[Row]:
    """Which product of a type serves an exposure, and why not the others."""
    from cpp_framework.model.timespan import parse_instant
    from cpp_framework.plan.why import candidates, question_of

    instant = parse_instant(at) if at else exposure.begin
    if instant is None:
        return [(f"{type_name} to use", "the exposure has no date: --at DATE tells for when")]
    found = candidates(repository.store, question_of(type_name, exposure, instant, collection))
    rows = [(f"{'use' if one.used else 'not'} {type_name} {one.record.short}", one.why) for one in found]
    return rows if any(one.used for one in found) else [(f"{type_name} to use", "none is certified for it"), *rows]


def _date(at: str, exposure: Exposure) -> str:
    from cpp_framework.model.timespan import parse_instant
    from cpp_framework.store.ledger import instant_text

    if at and (instant := parse_instant(at)) is not None:
        return f"{instant_text(instant)}, as told by --at"
    return "unknown" if exposure.begin is None else f"{instant_text(exposure.begin)}, when it began"


def _absent(exposure: Exposure) -> str:
    return f"no: it is of kind {exposure.kind}, or was not there then"
