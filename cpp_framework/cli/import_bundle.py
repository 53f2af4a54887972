"""`cpp import`: bring the products of a bundle into a repository."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cpp_framework.cli import options
from cpp_framework.cli.export import print_report
from cpp_framework.cli.output import say


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command("import")
    def import_bundle(
        bundle: Annotated[Path, typer.Argument(help="Folder that `cpp export` made.")],
        supersede: Annotated[
            bool, typer.Option("--supersede", help="Let it take the place of what is valid here for the same time.")
        ] = False,
        repo: options.RepoOption = None,
        as_json: options.JsonOption = False,
    ) -> None:
        """Bring the products of a bundle in, with their identifiers, verdicts and validity.

        Every file is checked before anything is changed. Repeating it changes nothing.

        Example: `cpp import /media/stick/latiss`.
        """
        report = options.open_repository(repo).import_bundle(bundle, supersede=supersede)
        print_report(report, as_json)
        if not (report.verdicts or report.lines or any(outcome == "added" for _, outcome in report.products)):
            say("all of it was here already; nothing has changed")
