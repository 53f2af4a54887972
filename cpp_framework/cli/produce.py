"""`cpp produce`: make the products a request asks for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cpp_framework.cli import campaigns, options
from cpp_framework.cli.making import (
    INTERRUPTED,
    ExecutorOption,
    JobsOption,
    Making,
    MemoryOption,
    progress,
)
from cpp_framework.cli.output import print_json, print_table, say
from cpp_framework.errors import ConfigError

if TYPE_CHECKING:
    from cpp_framework.api import Repository
    from cpp_framework.plan import Request
    from cpp_framework.run.results import UnitResult

FoldersArgument = Annotated[
    list[Path] | None,
    typer.Argument(help="Folders of raw frames, for which nothing was set up.", show_default=False),
]
TypesOption = Annotated[
    list[str] | None,
    typer.Option("--type", "-t", help="Calibration type (repeatable); `cpp plugins` lists them.", show_default=False),
]
DepsOption = Annotated[bool, typer.Option("--with-deps", help="Make what is needed and missing first.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", "-n", help="Show the plan and write nothing.")]


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def produce(
        folders: FoldersArgument = None,
        types: TypesOption = None,
        with_deps: DepsOption = False,
        dry_run: DryRunOption = False,
        label: options.LabelOption = "",
        instrument: options.InstrumentOption = "",
        night: options.NightOption = "",
        band: options.FilterOption = "",
        selected: options.SelectOption = None,
        exclude: options.ExcludeOption = None,
        settings: options.SetOption = None,
        config: options.ConfigOption = None,
        use: options.UseOption = None,
        allow_uncertified: options.UncertifiedOption = False,
        collection: options.CollectionOption = "",
        at: options.AtOption = "",
        without: options.WithoutOption = None,
        jobs: JobsOption = 0,
        memory: MemoryOption = "",
        executor: ExecutorOption = "",
        repo: options.RepoOption = None,
        as_json: options.JsonOption = False,
    ) -> None:
        """Make calibration products; what is already made from the same recipe is up to date and skipped.

        With FOLDERS nothing needs to be set up: the camera is inferred from the frames, a repository is made in ./cpp
        (if there is none), and all that the types need is made in order and verified. With --with-deps, or several
        types, what is needed is made first too; options that select exposures hold for the type asked for only.

        What another process is making at the same time is waited for. Ctrl-C once (or SIGTERM) finishes what runs and
        publishes what is complete; twice ends at once. The same command goes on where it ended.

        Examples: `cpp produce --type bias`, `cpp produce --type flat --filter r --with-deps`,
        `cpp produce night1/ --type bias --type dark --type flat`.

        Exits with 0 when all is made or up to date, 3 when inputs are missing, 4 when a verification failed (FOLDERS
        only), 5 when ./cpp is there and no repository, 6 when some units failed or frames were refused, 130 when
        interrupted.
        """
        chosen = list(dict.fromkeys(types or ()))
        if len(chosen) != 1 and (label or band or selected or settings or config or without):
            raise ConfigError(
                "--label, --filter, --select, --set, --config and --without are for one type",
                hint="give one --type, or write a campaign file: cpp run",
            )
        requests = [
            options.make_request(
                one,
                label,
                instrument,
                night,
                band,
                selected,
                exclude,
                settings,
                config,
                use,
                allow_uncertified,
                collection,
                at,
                without,
            )
            for one in chosen
        ]
        how = Making(jobs, memory, executor, as_json, options.repo_words(repo))
        if folders:
            raise typer.Exit(campaigns.run_folders(folders, requests, repo, instrument, how, dry_run=dry_run))
        if not requests:
            raise ConfigError("no --type is given", hint="cpp plugins lists the types; or name a folder of raw frames")
        repository = options.open_repository(repo)
        if with_deps or dry_run or len(requests) > 1:
            raise typer.Exit(campaigns.run_requests(repository, requests, how, with_deps=with_deps, dry_run=dry_run))
        raise typer.Exit(_produce(repository, requests[0], how))


def _produce(repository: Repository, request: Request, how: Making) -> int:
    """Make one type, and return the exit code."""
    from cpp_framework.run.interrupt import Interrupt

    planned = repository.plan(request)
    with progress(bool(planned.to_do)) as step, Interrupt() as interrupted:
        results = repository.produce(planned, **how.options, progress=step, interrupted=interrupted)
    if how.as_json:
        print_json(units=[_as_json(result) for result in results])
    else:
        _print(results, how.where)
    if interrupted():
        say(INTERRUPTED)
        return 130
    return _exit_code(results)


def _exit_code(results: list[UnitResult]) -> int:
    states = {result.state for result in results}
    if "failed" in states:
        return 6
    return 3 if "blocked" in states else 0


def _print(results: list[UnitResult], where: str) -> None:
    rows = [
        (result.unit.name, result.state, result.product, result.unit.n_exposures, round(result.seconds, 2))
        for result in results
    ]
    print_table("", ("unit", "state", "product", "exposures", "seconds"), rows, whole=("state", "product"))
    for result in results:
        for note in result.unit.notes if result.state == "made" else ():
            say(f"note: {result.unit.name}: {note}")
        if result.reason:
            say(f"{result.state}: {result.unit.name}: {result.reason}")
            if result.hint:
                say(f"hint: {result.hint}")
    made = [result for result in results if result.state == "made"]
    if made:
        say(f"next: cpp verify {made[0].product}{where}")


def _as_json(result: UnitResult) -> dict[str, Any]:
    return {
        "type": result.unit.type,
        "instrument": result.unit.instrument,
        "detector": result.unit.detector,
        "key": dict(result.unit.key),
        "state": result.state,
        "product": result.product,
        "recipe": result.unit.recipe,
        "reason": result.reason,
        "hint": result.hint,
        "seconds": round(result.seconds, 3),
    }
