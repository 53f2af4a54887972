"""`cpp export`: write the products of a collection as a bundle, to be carried elsewhere."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cpp_framework.cli import options
from cpp_framework.cli.output import print_json, print_table, say

if TYPE_CHECKING:
    from cpp_framework.store.bundle import BundleReport


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def export(
        collection: Annotated[
            str,
            typer.Argument(help="A run, chain, tag or calibration collection; `cpp store collections` lists them."),
        ],
        bundle: Annotated[Path, typer.Argument(help="Folder to make; it may be there if it is empty.")],
        repo: options.RepoOption = None,
        as_json: options.JsonOption = False,
    ) -> None:
        """Write the products of a collection with their verdicts, validity and instruments into a folder.

        Nothing else is needed to bring them into another repository: `cpp import FOLDER`.

        Example: `cpp export latiss/calib /media/stick/latiss`.
        """
        report = options.open_repository(repo, write=False).export_bundle(collection, bundle)
        print_report(report, as_json)
        say(f"next, where they are wanted: cpp import {shlex.quote(str(bundle))}")


def print_report(report: BundleReport, as_json: bool) -> None:
    """Tell what was exported or imported."""
    if as_json:
        print_json(
            bundle=str(report.folder),
            collection=report.collection,
            kind=report.kind.value,
            products=[_as_json(record, outcome) for record, outcome in report.products],
            verdicts=report.verdicts,
            lines=report.lines,
            checked_by_checksum_only=list(report.by_sums),
        )
        return
    rows = [
        (record.short, record.type, record.instrument, record.detector, record.run, outcome)
        for record, outcome in report.products
    ]
    title = f"{report.kind.value} {report.collection}"
    print_table(title, ("product", "type", "instrument", "detector", "run", "outcome"), rows)
    say(f"{len(report.products)} products, verdicts: {report.verdicts}, lines of the ledger: {report.lines}")
    for type_name in report.by_sums:
        say(f"{type_name}: not installed here, so that its content was checked by FITS checksums only")


def _as_json(record: Any, outcome: str) -> dict[str, Any]:
    return {
        "id": record.id,
        "type": record.type,
        "instrument": record.instrument,
        "detector": record.detector,
        "run": record.run,
        "digest": record.digest,
        "outcome": outcome,
    }
