"""`cpp run`: plan a whole campaign, show it, and make, verify and certify pass after pass."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cpp_framework.cli import campaigns, options
from cpp_framework.cli.making import ExecutorOption, JobsOption, Making, MemoryOption

FileArgument = Annotated[Path, typer.Argument(help="Campaign file (YAML).", show_default=False)]
DryRunOption = Annotated[bool, typer.Option("--dry-run", "-n", help="Show the plan and do nothing.")]


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def run(
        campaign: FileArgument,
        dry_run: DryRunOption = False,
        instrument: options.InstrumentOption = "",
        night: options.NightOption = "",
        selected: options.SelectOption = None,
        exclude: options.ExcludeOption = None,
        allow_uncertified: options.UncertifiedOption = False,
        collection: options.CollectionOption = "",
        at: options.AtOption = "",
        jobs: JobsOption = 0,
        memory: MemoryOption = "",
        executor: ExecutorOption = "",
        repo: options.RepoOption = None,
        as_json: options.JsonOption = False,
    ) -> None:
        """Run a campaign: passes in order, each served by the products of those before it.

        The whole campaign is planned and shown first. What is made from the same recipe is up to date and skipped; a
        unit that fails blocks only what needs it. Ctrl-C once finishes what runs. The same command goes on where it
        ended. Options that select exposures hold for every pass.

        Example: `cpp run examples/campaigns/ci_cpp.yaml -n`.

        Exits with 130 when interrupted, else 6 when some units failed, 3 when inputs are missing, 4 when a verification
        failed, 5 when a product cannot be certified, and 0 otherwise.
        """
        from cpp_framework.campaign import read_campaign

        shared = options.make_request(
            "",
            "",
            instrument,
            night,
            "",
            selected,
            exclude,
            None,
            None,
            None,
            allow_uncertified,
            collection,
            at,
        )
        passes = read_campaign(campaign, shared)
        repository = options.open_repository(repo)
        planned = repository.plan_campaign(passes)
        if dry_run:
            raise typer.Exit(campaigns.show_plan(planned, as_json=as_json))
        how = Making(jobs, memory, executor, as_json, options.repo_words(repo))
        raise typer.Exit(campaigns.run(repository, planned, how))
