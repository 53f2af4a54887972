"""`cpp ingest`: register raw files by their headers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cpp_framework.cli import options
from cpp_framework.cli.output import print_json, print_table, say

if TYPE_CHECKING:
    from cpp_framework.api import Repository
    from cpp_framework.plan.ingest import IngestReport


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def ingest(
        paths: Annotated[list[Path], typer.Argument(help="Raw files, and folders to search for *.fits, *.fit, *.fts.")],
        instrument: Annotated[
            str, typer.Option("--instrument", help="Instrument that took them: a name or a YAML file.")
        ] = "",
        repo: options.RepoOption = None,
        as_json: options.JsonOption = False,
    ) -> None:
        """Register the exposures of raw files; only headers are read, and files stay where they are.

        Repeating it changes nothing. A file that cannot go in is named with the reason, and the rest goes in.

        Examples: `cpp ingest night1/`, `cpp ingest bias_*.fits --instrument ourcam.yaml`.
        """
        repository = options.open_repository(repo)
        name = _registered(repository, instrument)
        with _progress() as progress:
            report = repository.ingest(paths, name, progress)
        if as_json:
            _print_json(report)
        else:
            _print(report)
        raise typer.Exit(report.exit_code)


def _registered(repository: Repository, instrument: str) -> str:
    """Name of an instrument of the repository; one it does not have yet is added."""
    if instrument in ("", *repository.store.instruments()):
        return instrument
    return repository.add_instrument(instrument).name


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None] | None]:
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading headers", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _print(report: IngestReport) -> None:
    rows = []
    for (instrument, kind), outcomes in report.counts.items():
        words = ", ".join(f"{count} {outcome.value}" for outcome, count in outcomes.items())
        rows.append((instrument, kind, outcomes.total(), words))
    if rows:
        print_table("", ("instrument", "kind", "exposures", "outcome"), rows)
    for one in report.refused:
        say(f"refused: {one.reason}")
        if one.hint:
            say(f"   hint: {one.hint}")
    if report.refused:
        say(f"{len(report.refused)} refused")


def _print_json(report: IngestReport) -> None:
    print_json(
        ingested=[
            {
                "instrument": one.exposure.instrument,
                "id": one.exposure.id,
                "detector": one.exposure.detector,
                "kind": one.exposure.kind,
                "file": one.exposure.path,
                "outcome": one.outcome.value,
                "reason": one.reason,
            }
            for one in report.ingested
        ],
        refused=[{"file": str(one.path), "reason": one.reason, "hint": one.hint} for one in report.refused],
    )
