"""`cpp store`: keep a repository in order: check, clean, upgrade, tag and remove."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from cpp_framework.cli import options
from cpp_framework.cli.ledger import print_ledger, register_ledger
from cpp_framework.cli.output import print_json, print_table, say
from cpp_framework.cli.store_export import register_export
from cpp_framework.errors import ConfigError

if TYPE_CHECKING:
    from cpp_framework.store import LedgerEntry, ProductRecord
    from cpp_framework.store.garbage import GarbageReport

group = typer.Typer(no_args_is_help=True, help="Keep a repository in order: check, clean, upgrade, tag and remove.")
register_export(group)
register_ledger(group)

ProductsArgument = Annotated[
    list[str], typer.Argument(help="Products: identifier or digest, the beginning or end of one, or `last`.")
]
TagArgument = Annotated[str, typer.Argument(help="Name of the tagged collection.")]
NoteOption = Annotated[str, typer.Option("--note", help="Remark kept in the ledger.")]


def register(app: typer.Typer) -> None:
    """Add the group of verbs."""
    app.add_typer(group, name="store")


@group.command()
def verify(
    threads: Annotated[int, typer.Option("--threads", min=1, help="Files read at a time.")] = 4,
    repo: options.RepoOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Read every file of the repository and compare it with the index: there, its size, its SHA-256, its text.

    Exits with 4 if anything is not as it was stored.
    """
    repository = options.open_repository(repo, write=False)
    problems = repository.store.audit(threads)
    if as_json:
        from dataclasses import asdict

        print_json(problems=[asdict(one) for one in problems])
    elif problems:
        rows = [(one.what, one.file, one.expected, one.found) for one in problems]
        print_table("", ("what", "file", "expected", "found"), rows)
    say(f"{len(problems)} problems" if problems else "every file is as it was stored")
    raise typer.Exit(4 if problems else 0)


@group.command()
def gc(
    older: Annotated[str, typer.Option("--older", help="Only files nobody changed for this long: 12h, 1d, 2w.")] = "1d",
    dry_run: Annotated[bool, typer.Option("-n", "--dry-run", help="Only tell what would be removed.")] = False,
    repo: options.RepoOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Remove what crashes left behind; never what a living process writes, nor what the index names.

    These go: half-written files of processes that are gone, published files the index does not know, the rest of
    interrupted removals, empty folders of runs. Whatever cpp did not make stays and is listed.
    """
    seconds = _seconds(older)
    store = options.open_repository(repo, write=not dry_run).store
    report = store.collect_garbage(seconds, dry_run)
    if as_json:
        from dataclasses import asdict

        print_json(**asdict(report), bytes=report.size, dry_run=dry_run)
        return
    if report.garbage:
        print_table("", ("file", "bytes", "why"), [(one.path, one.size, one.reason.value) for one in report.garbage])
    _comment(report, dry_run)


@group.command()
def upgrade(repo: options.RepoOption = None, as_json: options.JsonOption = False) -> None:
    """Bring the index of an older version to the present format, keeping a copy of the old one beside it."""
    from cpp_framework.store.locate import find_repository
    from cpp_framework.store.upgrade import upgrade as upgrade_index

    done = upgrade_index(find_repository(repo))
    if as_json:
        print_json(before=done.before, after=done.after, copy=done.copy)
    elif done.before == done.after:
        print(f"the index has format {done.after} already, the one this version works with")
    else:
        print(f"upgraded the index from format {done.before} to {done.after}")
        if done.copy is not None:
            say(f"the old index is kept as {done.copy}; delete it when all is well: cpp store verify")


@group.command()
def remove(
    products: ProductsArgument,
    because: Annotated[str, typer.Option("--because", help="The reason.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    repo: options.RepoOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Remove products with their files and verdicts, for ever; all that are named, or none.

    Refused for products that are certified, tagged, or were used to make others that stay. The ledger of
    certifications and tags keeps its lines.
    """
    repository = options.open_repository(repo)
    records = [repository.store.product(one) for one in products]
    if not yes and not _confirmed(records):
        say("nothing was removed")
        return
    removed = repository.store.remove_all([one.id for one in records], because)
    if as_json:
        print_json(removed=[one.id for one in removed])
        return
    for one in removed:
        print(f"removed {one.type} {one.short} ({one.path})")


@group.command()
def tag(
    name: TagArgument,
    products: ProductsArgument,
    note: NoteOption = "",
    repo: options.RepoOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Put products into a tagged collection, which is made if it is not there; all of them, or none."""
    _print_entries(options.open_repository(repo).store.tag(name, products, note), as_json)


@group.command()
def untag(
    name: TagArgument,
    products: ProductsArgument,
    note: NoteOption = "",
    repo: options.RepoOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Take products out of a tagged collection; the products stay."""
    _print_entries(options.open_repository(repo).store.untag(name, products, note), as_json)


@group.command()
def collections(repo: options.RepoOption = None, as_json: options.JsonOption = False) -> None:
    """List the collections: runs, chains of runs, tagged and calibration collections."""
    found = options.open_repository(repo, write=False).store.collections()
    if as_json:
        from dataclasses import asdict

        print_json(collections=[asdict(one) for one in found])
        return
    rows = [(one.name, one.kind.value, ", ".join(one.members), one.n_products) for one in found]
    print_table("", ("collection", "kind", "members", "products"), rows)


def _comment(report: GarbageReport, dry_run: bool) -> None:
    """Say how much it was, and what was left alone and why."""
    for path in report.unknown:
        say(f"not ours, left alone: {path}")
    for path in report.lost:
        say(f"not in the index, but verified once: {path}")
    if report.lost:
        say("the index is older than these, so no published file was touched: cpp doctor --rebuild brings them in")
    for path in report.acts:
        say(f"not in the index, kept: {path} (of a killed command, or the index is older)")
    verb = "would be removed" if dry_run else "removed"
    say(f"{len(report.garbage)} {verb}, {report.size} bytes")


def _print_entries(entries: list[LedgerEntry], as_json: bool) -> None:
    if entries or as_json:
        print_ledger(entries, as_json)
    else:
        say("nothing to do: it was so already")


def _seconds(text: str) -> float:
    from cpp_framework.select.filters import parse_span

    try:
        span: timedelta = parse_span(text)
    except OverflowError as error:
        raise ConfigError(f"--older {text} is too long", hint="write it as 12h, 30d or 2w") from error
    return span.total_seconds()


def _confirmed(records: list[ProductRecord]) -> bool:
    """Ask a person; where there is none, --yes must have been given."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ConfigError(f"removing {len(records)} products must be confirmed, and nobody is there", hint="add --yes")
    for one in records:
        say(f"{one.type} {one.short} of {one.instrument} detector {one.detector}, run {one.run}")
    # Typer's own question puts a blank on stdout, which is for results.
    print("Remove for ever? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
