"""`cpp apply`: calibrated images from raw exposures."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cpp_framework.cli import options
from cpp_framework.cli.output import print_json, print_table, say
from cpp_framework.declare import Stage
from cpp_framework.errors import ConfigError, ConflictError, CppError, InputsMissingError

if TYPE_CHECKING:
    from cpp_framework.apply.request import Applied, ApplyPlan, ApplyRequest, Choice, Target

RawsArgument = Annotated[
    list[str],
    typer.Argument(help="Raw files, folders to search, exposure ids; - reads a list from standard input, one a line."),
]
OutputOption = Annotated[Path, typer.Option("--output", "-o", help="Folder for the calibrated files; made if absent.")]
WithoutOption = Annotated[
    list[str] | None,
    typer.Option("--without", help="Do not apply this type; 'gain' leaves the image in ADU (repeatable)."),
]
RequireOption = Annotated[
    list[str] | None, typer.Option("--require", help="Refuse exposures that have none of this type (repeatable).")
]
UpToOption = Annotated[str, typer.Option("--up-to", help="Last stage to apply: bias, gain, dark, flat …")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", "-n", help="Only say what would be applied to what, and why.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace calibrated files that are there.")]
JobsOption = Annotated[int, typer.Option("--jobs", "-j", min=0, help="Exposures at a time; 0 for one per processor.")]
ExecutorOption = Annotated[str, typer.Option("--executor", help="serial, processes, or one a plugin offers.")]


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def apply(
        raws: RawsArgument,
        output: OutputOption,
        instrument: Annotated[str, typer.Option("--instrument", help="That took files not ingested.")] = "",
        use: options.UseOption = None,
        without: WithoutOption = None,
        require: RequireOption = None,
        allow_uncertified: options.UncertifiedOption = False,
        collection: options.CollectionOption = "",
        at: options.AtOption = "",
        up_to: UpToOption = "",
        dry_run: DryRunOption = False,
        force: ForceOption = False,
        jobs: JobsOption = 0,
        executor: ExecutorOption = "",
        repo: options.RepoOption = None,
        as_json: options.JsonOption = False,
    ) -> None:
        """Apply calibrations to raw exposures: one FITS file each with image, variance and mask.

        Products are those certified for the begin of each exposure; what is applied, and what is not and why, is shown,
        and written into each file. Files need not be ingested. An exposure that fails is named and the others go on.

        Exits with 0 when all is written, 3 when something required is missing, 5 when files are there already (they are
        left as they are, see --force), 6 when some exposures failed.

        Examples: `cpp apply night1/ -o calibrated`, `cpp apply sci_*.fits -o out --require flat --at 2026-11-20`.
        """
        from cpp_framework.apply.request import ApplyRequest
        from cpp_framework.model.timespan import parse_instant

        request = ApplyRequest(
            instrument=instrument,
            use=options.parse_use(use),
            without=tuple(without or ()),
            require=tuple(require or ()),
            allow_uncertified=allow_uncertified,
            collection=collection,
            at=parse_instant(at) if at else None,
            up_to=_stage(up_to),
        )
        _run(raws, output, request, dry_run, force, jobs, executor, repo, as_json)


def _run(
    raws: Sequence[str],
    output: Path,
    request: ApplyRequest,
    dry_run: bool,
    force: bool,
    jobs: int,
    executor: str,
    repo: Path | None,
    as_json: bool,
) -> None:
    repository = options.open_repository(repo, write=False)
    plan = repository.plan_apply(_named(raws), output, request)
    if dry_run:
        results: list[Applied] = []
    else:
        with _progress() as progress:
            results = repository.apply(
                plan, jobs=jobs, executor=executor, force=force, command=_command(), progress=progress
            )
    if as_json:
        print_json(
            files=[_as_json(target, result) for target, result in _pairs(plan, results)],
            refused=[{"what": one.what, **_problem(one.error)} for one in plan.refused],
        )
    else:
        _print(plan, results)
    raise typer.Exit(_exit_code(plan, results))


def _named(raws: Sequence[str]) -> list[str]:
    """What the user named, ``-`` replaced by the lines of standard input."""
    named: list[str] = []
    for text in raws:
        named += [line.strip() for line in sys.stdin if line.strip()] if text == "-" else [text]
    return named


def _stage(text: str) -> Stage:
    from cpp_framework.config.suggest import did_you_mean

    if not text:
        return Stage.INTERPOLATION
    name = text.strip().upper().replace("-", "_").replace(" ", "_")
    if name not in Stage.__members__:
        names = [stage.name.lower() for stage in Stage]
        raise ConfigError(f"--up-to {text!r} is not a stage", hint=did_you_mean(text, names))
    return Stage[name]


def _command() -> str:
    # Words need not be text for the operating system; what is kept in a file must be.
    return shlex.join(["cpp", *sys.argv[1:]]).encode("utf-8", "backslashreplace").decode()


def _pairs(plan: ApplyPlan, results: Sequence[Applied]) -> list[tuple[Target, Applied | None]]:
    known: list[Applied | None] = [*results] if results else [None] * len(plan.targets)
    return list(zip(plan.targets, known, strict=True))


def _exit_code(plan: ApplyPlan, results: Sequence[Applied]) -> int:
    errors = [one.error for one in plan.refused]
    errors += [one.error for one in results or plan.targets if one.error is not None]
    if not plan.targets:
        return InputsMissingError.exit_code
    for kind in (InputsMissingError, ConflictError):
        if errors and all(isinstance(error, kind) for error in errors):
            return kind.exit_code
    return 6 if errors else 0


def _print(plan: ApplyPlan, results: Sequence[Applied]) -> None:
    rows = _choices(plan.targets)
    if rows:
        columns = ("type", "stage", "product", "exposures", "why")
        print_table("", columns, rows, whole=("type", "product"))
    pairs = _pairs(plan, results)
    files = [
        (target.exposure.id, target.exposure.detector, _state(target, result), str(target.output))
        for target, result in pairs
    ]
    if files:
        print_table("", ("exposure", "detector", "state", "file"), files, whole=("exposure", "state"))
    for target, _ in pairs:
        if target.note:
            say(f"note: {target.name}: {target.note}")
    problems = [(target.name, error) for target, result in pairs if (error := (result or target).error)]
    for name, error in [*problems, *((one.what, one.error) for one in plan.refused)]:
        say(f"not written: {name}: {error}")
        if error.hint:
            say(f"   hint: {error.hint}")


def _choices(targets: Sequence[Target]) -> list[tuple[Any, ...]]:
    """Each choice that was made, and for how many exposures."""
    counts: Counter[tuple[str, str, str, str]] = Counter()
    for target in targets:
        for choice in target.choices:
            counts[choice.type, _stages(choice), _product(choice), choice.why] += 1
    return [(name, stages, product, count, why) for (name, stages, product, why), count in counts.items()]


def _stages(choice: Choice) -> str:
    return ", ".join(stage.name.lower().replace("_", " ") for stage in choice.stages)


def _product(choice: Choice) -> str:
    return "none" if choice.need is None else choice.need.record.id[-8:]


def _state(target: Target, result: Applied | None) -> str:
    if result is not None:
        return result.state
    return "refused" if target.error else "there already" if target.output.exists() else "to do"


def _as_json(target: Target, result: Applied | None) -> dict[str, Any]:
    error = (result or target).error
    return {
        "exposure": target.exposure.id,
        "detector": target.exposure.detector,
        "instrument": target.exposure.instrument,
        "raw": target.exposure.path,
        "file": str(target.output),
        "state": _state(target, result),
        "unit": result.unit if result else "",
        "steps": list(result.steps) if result else [],
        "seconds": round(result.seconds, 3) if result else 0.0,
        "note": target.note,
        "calibrations": [
            {
                "type": choice.type,
                "stages": [stage.name for stage in choice.stages],
                "product": choice.need.record.id if choice.need else "",
                "digest": choice.need.record.digest if choice.need else "",
                "why": choice.why,
            }
            for choice in target.choices
        ],
        **_problem(error),
    }


def _problem(error: CppError | None) -> dict[str, str]:
    return {"reason": str(error) if error else "", "hint": error.hint if error else ""}


@contextmanager
def _progress() -> Iterator[Callable[[int, int, str], None]]:
    """Progress on stderr: a bar on a terminal, plain lines in a log."""
    if not sys.stderr.isatty():
        yield lambda done, total, what: say(f"{done}/{total} {what}")
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("applying", total=None)
        yield lambda done, total, what: bar.update(task, completed=done, total=total, description=what)
