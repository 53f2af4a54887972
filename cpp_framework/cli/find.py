"""`cpp find`: list exposures or products."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cpp_framework.cli import options
from cpp_framework.cli.output import print_json, print_table, say
from cpp_framework.errors import ConfigError

if TYPE_CHECKING:
    from cpp_framework.api import Repository
    from cpp_framework.store import ProductRecord, StoredExposure, Validity

PRODUCT_FIELDS = ("type", "instrument", "detector", "label", "run")


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def find(
        filters: Annotated[list[str] | None, typer.Argument(help="Conditions FIELD OP VALUE; all must be met.")] = None,
        products: Annotated[
            bool,
            typer.Option(
                "--products",
                help="List products instead of exposures, each with the last eight characters of its identifier; "
                "these are accepted everywhere.",
            ),
        ] = False,
        night: options.NightOption = "",
        last: Annotated[str, typer.Option("--last", help="Only the last 12h, 30d, 2w.")] = "",
        repo: options.RepoOption = None,
        as_json: options.JsonOption = False,
    ) -> None:
        """List the exposures (or products) of the repository.

        Examples: `cpp find kind=bias`, `cpp find "exposure_time>=5" filter=r --last 30d`,
        `cpp find --products type=bias`.
        """
        repository = options.open_repository(repo, write=False)
        if products:
            if night or last:
                raise ConfigError("--night and --last select exposures, not --products", hint="leave them out")
            _products(repository, filters or [], as_json)
        else:
            _exposures(repository, filters or [], night, last, as_json)


def _exposures(repository: Repository, filters: list[str], night: str, last: str, as_json: bool) -> None:
    from cpp_framework.select import last_filter, matches, night_filter

    wanted = ([night_filter(night)] if night else []) + ([last_filter(last)] if last else [])
    found = [one for one in repository.exposures(filters) if all(matches(more, one.exposure) for more in wanted)]
    if as_json:
        print_json(exposures=[_exposure_json(one) for one in found])
        return
    columns = ("exposure", "number", "instrument", "detector", "kind", "time (s)", "filter", "begin (UTC)", "flag")
    print_table("", columns, [_exposure_row(one) for one in found])
    say(f"{len(found)} exposures")


def _exposure_row(stored: StoredExposure) -> tuple[Any, ...]:
    one = stored.exposure
    flag = f"bad: {stored.because}" if stored.bad else ""
    begin = _date(one.begin)
    # Numbers of names are identifiers, not quantities: as text, so that no digit is rounded away.
    return (
        one.id, str(one.number), one.instrument, one.detector, one.kind, one.exposure_time, one.filter, begin, flag
    )  # fmt: skip


def _exposure_json(stored: StoredExposure) -> dict[str, Any]:
    return {**json.loads(stored.exposure.model_dump_json()), "bad": stored.bad, "because": stored.because}


def _products(repository: Repository, filters: list[str], as_json: bool) -> None:
    found = repository.products(**_product_fields(filters))
    outcomes = repository.store.outcomes()
    valid = _validities(repository)
    if as_json:
        print_json(products=[_product_json(repository, one, outcomes, valid) for one in found])
        return
    columns = ("product", "type", "instrument", "detector", "key", "verdict", "valid (UTC)")
    whole = ("product", "type", "verdict", "valid (UTC)")
    print_table("", columns, [_product_row(one, outcomes, valid) for one in found], whole=whole)
    say(f"{len(found)} product{'s' if len(found) != 1 else ''}")


def _product_fields(filters: list[str]) -> dict[str, Any]:
    from cpp_framework.config import did_you_mean

    fields: dict[str, Any] = {}
    for text in filters:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"{text!r} is not FIELD=VALUE", hint=f"fields of products: {', '.join(PRODUCT_FIELDS)}")
        if name not in PRODUCT_FIELDS:
            raise ConfigError(f"products have no field {name!r}", hint=did_you_mean(name, PRODUCT_FIELDS))
        if name == "detector" and not re.fullmatch(r"\d{1,9}", value, re.ASCII):
            raise ConfigError(f"detector is a whole number, not {value!r}", hint="for instance detector=3")
        fields[name] = int(value) if name == "detector" else value
    return fields


def _validities(repository: Repository) -> dict[str, list[Validity]]:
    """Ranges in force by product."""
    found: dict[str, list[Validity]] = {}
    for one in repository.store.validities():
        found.setdefault(one.product, []).append(one)
    return found


def _product_row(
    one: ProductRecord, outcomes: Mapping[str, str], valid: Mapping[str, list[Validity]]
) -> tuple[Any, ...]:
    from cpp_framework.store.keys import readable
    from cpp_framework.store.ledger import range_text

    ranges = "\n".join(range_text(some.begin, some.end) for some in valid.get(one.id, []))
    fields = {name: readable(value) for name, value in one.key.items() if name != "detector"}
    key = " ".join(f"{name}={text}" for name, text in fields.items() if text)
    named = f"{one.type} ({one.label})" if one.label else one.type
    return (one.short, named, one.instrument, one.detector, key, outcomes.get(one.id, "not verified"), ranges)


def _product_json(
    repository: Repository, one: ProductRecord, outcomes: Mapping[str, str], valid: Mapping[str, list[Validity]]
) -> dict[str, Any]:
    from dataclasses import asdict

    ranges = [{"collection": some.collection, "begin": some.begin, "end": some.end} for some in valid.get(one.id, [])]
    verdict = outcomes.get(one.id, "not verified")
    return {**asdict(one), "path": str(Path(repository.store.path(one))), "verdict": verdict, "valid": ranges}


def _date(tai_ns: int | None) -> str:
    from cpp_framework.model.timespan import to_iso

    return "" if tai_ns is None else to_iso(tai_ns)
