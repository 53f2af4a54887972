"""`cpp produce`: make the products a request asks for."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cpp_framework.cli import options
from cpp_framework.cli.output import print_json, print_table, say

if TYPE_CHECKING:
    from cpp_framework.run.results import UnitResult

JobsOption = Annotated[int, typer.Option("--jobs", "-j", min=0, help="Tasks at a time; 0 for one per processor.")]
MemoryOption = Annotated[str, typer.Option("--memory", help="Limit for all processes together, for instance 1.5GB.")]
ExecutorOption = Annotated[str, typer.Option("--executor", help="serial, processes, or one a plugin offers.")]


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def produce(
        calibration_type: options.TypeOption,
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
        jobs: JobsOption = 0,
        memory: MemoryOption = "",
        executor: ExecutorOption = "",
        repo: options.RepoOption = None,
        as_json: options.JsonOption = False,
    ) -> None:
        """Make calibration products; what is already made from the same recipe is up to date and skipped.

        What another process is making at the same time is waited for. Ctrl-C once (or SIGTERM) finishes what runs and
        publishes what is complete; twice ends at once. The same command goes on where it ended.

        Exits with 0 when all is made or up to date, 3 when inputs are missing, 6 when some units failed, 130 when
        interrupted.
        """
        from cpp_framework.run.interrupt import Interrupt

        request = options.make_request(
            calibration_type,
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
        )
        repository = options.open_repository(repo)
        planned = repository.plan(request)
        with _progress(bool(planned.to_do)) as step, Interrupt() as interrupted:
            results = repository.produce(
                planned,
                jobs=jobs,
                memory=memory,
                executor=executor,
                command=_command(),
                progress=step,
                interrupted=interrupted,
            )
        if as_json:
            print_json(units=[_as_json(result) for result in results])
        else:
            _print(results, options.repo_words(repo))
        if interrupted():
            say("interrupted; nothing published is lost, the same command goes on")
            raise typer.Exit(130)
        raise typer.Exit(_exit_code(results))


def _command() -> str:
    # Words need not be text for the operating system; what is kept in a product must be.
    return shlex.join(["cpp", *sys.argv[1:]]).encode("utf-8", "backslashreplace").decode()


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


@contextmanager
def _progress(wanted: bool) -> Iterator[Callable[[Any], None]]:
    """Progress on stderr: a bar on a terminal, plain lines in a log."""
    if not wanted:
        yield lambda _: None
        return
    if not sys.stderr.isatty():
        yield lambda step: say(step.task if step.notice else f"{step.done}/{step.total} {step.task}")
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("starting", total=None)

        def show(step: Any) -> None:
            if step.notice:
                bar.console.print(step.task, markup=False, highlight=False)
            else:
                bar.update(task, completed=step.done, total=step.total, description=step.task)

        yield show
