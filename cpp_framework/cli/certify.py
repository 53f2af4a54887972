"""`cpp certify` and `cpp decertify`: from when to when a product is the one to use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cpp_framework.cli import options
from cpp_framework.cli.ledger import print_ledger
from cpp_framework.cli.output import say
from cpp_framework.errors import ConfigError, InputsMissingError

if TYPE_CHECKING:
    from cpp_framework.api import Repository
    from cpp_framework.store import LedgerEntry

ProductsArgument = Annotated[
    list[str] | None, typer.Argument(help="Products: identifier or digest, the beginning or end of one, or `last`.")
]
KindOption = Annotated[
    str, typer.Option("--type", "-t", help="Instead of products: the newest of this type for every detector and key.")
]
NoteOption = Annotated[str, typer.Option("--note", help="Remark kept in the ledger.")]


def register(app: typer.Typer) -> None:
    """Add both verbs."""

    @app.command()
    def certify(
        products: ProductsArgument = None,
        begin: Annotated[
            str, typer.Option("--begin", help="First instant (UTC date, with or without time, or `open`).")
        ] = "",
        end: Annotated[str, typer.Option("--end", help="First instant it is not valid any more, or `open`.")] = "open",
        calibration_type: KindOption = "",
        label: options.LabelOption = "",
        instrument: options.InstrumentOption = "",
        band: options.FilterOption = "",
        collection: options.CollectionOption = "",
        supersede: Annotated[
            bool, typer.Option("--supersede", help="Products valid now give way for this range.")
        ] = False,
        waive: Annotated[
            list[str] | None, typer.Option("--waive", help="A failed check that shall not count (repeatable).")
        ] = None,
        because: Annotated[str, typer.Option("--because", help="Why it is waived; kept and shown.")] = "",
        note: NoteOption = "",
        repo: options.RepoOption = None,
        as_json: options.JsonOption = False,
    ) -> None:
        """Make verified products valid for a range of time; all that are named, or none.

        The range is half-open: BEGIN belongs to it, END does not. A product needs a verdict PASS or WARN on its present
        content. Exits with 5 if it has none, or if another product is valid in the range (see --supersede).
        """
        if not begin:
            raise ConfigError("from when shall it be valid?", hint="--begin 2026-11-20, or --begin open")
        if waive and not because.strip():
            raise ConfigError("--waive needs a reason", hint='--because "lamp replaced, level will change"')
        repository = options.open_repository(repo)
        chosen = _chosen(repository, products, calibration_type, label, instrument, band)
        entries = repository.certify(
            chosen, begin, end, collection=collection, supersede=supersede,
            waive=dict.fromkeys(waive or [], because), note=note,
        )  # fmt: skip
        _tell(entries, as_json)

    @app.command()
    def decertify(
        products: ProductsArgument = None,
        begin: Annotated[str, typer.Option("--begin", help="Only from this instant on (UTC).")] = "open",
        end: Annotated[str, typer.Option("--end", help="Only before this instant (UTC).")] = "open",
        calibration_type: KindOption = "",
        label: options.LabelOption = "",
        instrument: options.InstrumentOption = "",
        band: options.FilterOption = "",
        collection: options.CollectionOption = "",
        note: NoteOption = "",
        repo: options.RepoOption = None,
        as_json: options.JsonOption = False,
    ) -> None:
        """Take the validity of products away, for a range or altogether; the ledger keeps what was."""
        repository = options.open_repository(repo)
        chosen = _chosen(repository, products, calibration_type, label, instrument, band)
        _tell(repository.decertify(chosen, begin, end, collection=collection, note=note), as_json)


def _chosen(
    repository: Repository, products: list[str] | None, type_name: str, label: str, instrument: str, band: str
) -> list[str]:
    """The products meant: those named, or the newest of a type for every detector and key."""
    if bool(products) == bool(type_name):
        raise ConfigError("name products, or a --type, not both", hint="cpp find --products lists them")
    if products:
        return list(products)
    repository.plugins.type(type_name)
    key = {"filter": band} if band else None
    found = repository.newest(type=type_name, label=label, instrument=instrument or None, key=key)
    if not found:
        raise InputsMissingError(
            f"no such {type_name} in {repository.root}", hint=f"cpp find --products type={type_name}"
        )
    return [record.id for record in found]


def _tell(entries: list[LedgerEntry], as_json: bool) -> None:
    if entries or as_json:
        print_ledger(entries, as_json)
    else:
        say("nothing to do: already so")
