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
from cpp_framework.errors import ConfigError, ConflictError, CppError, InputsMissingError, NotFoundError

if TYPE_CHECKING:
    from cpp_framework.apply.request import Applied, ApplyPlan, ApplyRequest, Choice, Target

RawsArgument = Annotated[
    list[str],
    typer.Argument(help="Raw files, folders to search, exposure ids; - reads a list from standard input, one a line."),
]
OutputOption = Annotated[str, typer.Option("--output", "-o", help="Folder for the calibrated files; made if absent.")]
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

        if not output or not all(raws):
            raise ConfigError(
                f"{'a raw exposure' if output else '--output'} is an empty text", hint="write . for this folder"
            )
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
        _run(raws, Path(output), request, dry_run, force, jobs, executor, repo, as_json)


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
            files=[_as_json(target, result, force) for target, result in _pairs(plan, results)],
            refused=[{"what": one.what, **_problem(one.error)} for one in plan.refused],
            notes=list(plan.notes),
        )
    else:
        _print(plan, results, force)
    raise typer.Exit(_exit_code(plan, results))


def _named(raws: Sequence[str]) -> list[str]:
    """What the user named, ``-`` replaced by the lines of standard input."""
    named: list[str] = []
    for text in raws:
        named += _listed() if text == "-" else [text]
    return list(dict.fromkeys(named))


def _listed() -> list[str]:
    """Lines of standard input that are not empty."""
    try:
        text = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"line {line} of the list on standard input is not UTF-8", hint="rename the file") from error
    listed = [line.strip() for line in text.splitlines() if line.strip()]
    if not listed:
        raise ConfigError("the list on standard input names no raw exposure", hint="one path or id a line")
    return listed


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
        unknown = bool(errors) and all(isinstance(error, NotFoundError) for error in errors)
        return NotFoundError.exit_code if unknown else InputsMissingError.exit_code
    for kind in (InputsMissingError, ConflictError):
        if errors and all(isinstance(error, kind) for error in errors):
            return kind.exit_code
    return 6 if errors else 0


def _print(plan: ApplyPlan, results: Sequence[Applied], force: bool) -> None:
    pairs = _pairs(plan, results)
    # What an older file holds is not what would be applied now, so nothing is said of it.
    concerned = [target for target, result in pairs if _state(target, result, force) != _THERE]
    rows = _choices(concerned)
    if rows:
        columns = ("type", "stage", "product", "exposures", "why")
        print_table("", columns, rows, whole=("type", "product"))
    files = [
        (target.exposure.id, target.exposure.detector, _state(target, result, force), str(target.output))
        for target, result in pairs
    ]
    if files:
        print_table("", ("exposure", "detector", "state", "file"), files, whole=("exposure", "state"))
    _tell_missing(concerned)
    for note in plan.notes:
        say(f"note: {note}")
    for target, _ in pairs:
        if target.note:
            say(f"note: {target.name}: {target.note}")
    problems = [(target.name, error) for target, result in pairs if (error := (result or target).error)]
    for name, error in [*problems, *((one.what, one.error) for one in plan.refused)]:
        say(f"not written: {name}: {error}")
        if error.hint:
            say(f"   hint: {error.hint}")


def _tell_missing(targets: Sequence[Target]) -> None:
    """Say which exposures are without which calibrations: a file that is called calibrated may lack some."""
    lacking: dict[tuple[str, ...], list[str]] = {}
    for target in targets:
        if not target.error:
            missing = tuple(choice.type for choice in target.choices if choice.need is None)
            if missing:
                lacking.setdefault(missing, []).append(target.exposure.id)
    for missing, exposures in lacking.items():
        some = ", ".join(exposures[:3]) + (f" and {len(exposures) - 3} more" if len(exposures) > 3 else "")
        say(f"warning: without {', '.join(missing)}: {some}")
    if lacking:
        say("hint: cpp certify what shall be used, or --allow-uncertified, or --use TYPE=ID; --require refuses them")


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


_THERE = "there already, not written"


def _state(target: Target, result: Applied | None, force: bool) -> str:
    if result is not None:
        return _THERE if result.state == "exists" else result.state
    if target.error:
        return "refused"
    return _THERE if target.output.exists() and not force else "to do"


def _as_json(target: Target, result: Applied | None, force: bool) -> dict[str, Any]:
    error = (result or target).error
    return {
        "exposure": target.exposure.id,
        "detector": target.exposure.detector,
        "instrument": target.exposure.instrument,
        "raw": target.exposure.path,
        "file": str(target.output),
        "state": _state(target, result, force),
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
