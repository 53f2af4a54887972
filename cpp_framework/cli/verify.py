"""`cpp verify`: check stored products on their exposures and give a verdict."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from cpp_framework.cli import options
from cpp_framework.cli.output import print_json, print_table, say
from cpp_framework.errors import InputsMissingError

if TYPE_CHECKING:
    from cpp_framework.api import Repository
    from cpp_framework.model.check import Check, Verdict

MOST_LISTED = 20
"""Checks that did not pass shown without --details."""

IdArgument = Annotated[
    list[str] | None, typer.Argument(help="Products: identifier or digest, the beginning or end of one, or `last`.")
]


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def verify(
        products: IdArgument = None,
        calibration_type: Annotated[
            str, typer.Option("--type", "-t", help="Verify the newest product of this type for every detector and key.")
        ] = "",
        details: Annotated[bool, typer.Option("--details", help="List every check, not only a summary.")] = False,
        repo: options.RepoOption = None,
        as_json: options.JsonOption = False,
    ) -> None:
        """Verify products on residuals of the real exposures; the verdict is stored.

        Exits with 0 on PASS or WARN and with 4 on FAIL or INCOMPLETE.
        """
        from cpp_framework.model.check import Outcome, merge
        from cpp_framework.model.merging import merged_parts

        repository = options.open_repository(repo)
        chosen = list(products or []) or _newest(repository, calibration_type)
        verdicts = repository.verify_all(chosen)
        if as_json:
            print_json(
                outcome=merge(verdicts).value,
                verdicts=[one.model_dump(mode="json") for one in verdicts],
                merged=[asdict(part) for part in merged_parts(verdicts)],
            )
        else:
            for verdict in verdicts:
                print_verdict(verdict, details=details)
            _print_merged(verdicts, details=details)
            _next(verdicts, options.repo_words(repo))
        raise typer.Exit(0 if merge(verdicts) in (Outcome.PASS, Outcome.WARN) else 4)


def _next(verdicts: list[Verdict], where: str) -> None:
    """Tell what follows: certifying what passed."""
    from cpp_framework.model.check import Outcome
    from cpp_framework.store.records import short_of

    good = [short_of(one.product) for one in verdicts if one.outcome in (Outcome.PASS, Outcome.WARN)]
    if good:
        say(f"next: cpp certify {' '.join(good[:4])}{' …' if len(good) > 4 else ''} --begin DATE{where}")


def _print_merged(verdicts: list[Verdict], *, details: bool) -> None:
    """A line per exposure that did not pass, and per detector and run where there are several products."""
    from cpp_framework.model.check import Level, Outcome
    from cpp_framework.model.merging import merged_parts

    shown = [
        part
        for part in merged_parts(verdicts)
        if details or (len(verdicts) > 1 if part.level != Level.EXPOSURE else part.outcome != Outcome.PASS)
    ]
    rows = [
        (part.level, part.name, part.outcome, ", ".join(f"{n} {status}" for status, n in part.counts.items()))
        for part in shown
    ]
    if rows:
        print_table("merged", ("level", "name", "outcome", "checks"), rows, whole=("name", "outcome"))


def _newest(repository: Repository, calibration_type: str) -> list[str]:
    """Ids of the newest product of each instrument, detector, key and label."""
    if calibration_type:
        repository.plugins.type(calibration_type)
    newest = repository.newest(**({"type": calibration_type} if calibration_type else {}))
    if not newest:
        raise InputsMissingError(
            f"no {calibration_type or 'product'} in {repository.root} to verify",
            hint="cpp produce --type TYPE makes one",
        )
    return [record.id for record in newest]


def print_verdict(verdict: Verdict, *, details: bool) -> None:
    """Print the outcome, a line per check with its worst case, and what did not pass, failures first."""
    print(f"{verdict.type} {verdict.product}: {verdict.outcome.value}")
    made = [check for check in verdict.checks if not check.skipped]
    rows = []
    for name in dict.fromkeys(check.name for check in made):
        some = [check for check in made if check.name == name]
        worst = min(some, key=_badness)
        rows.append((name, _states(some), *_numbers(worst)))
    columns = ("check", "result", "worst case", "value", "allowed")
    print_table("", columns, rows, whole=("check", "value"))
    listed = made if details else verdict.problems()[:MOST_LISTED]
    if listed:
        columns = ("check", "status", "where", "value", "allowed")
        rows = [(check.name, check.status.value, *_numbers(check)) for check in listed]
        print_table("all checks" if details else "not passed", columns, rows, whole=("check", "status", "value"))
    more = 0 if details else len(verdict.problems()) - len(listed)
    if more:
        say(f"{more} more did not pass: --details lists them")
    _explain(verdict)


def _badness(check: Check) -> tuple[int, bool, float]:
    """Sorts the worst first: what did not pass before what did, then by distance to the limit."""
    order = ("NOT_FINITE", "FAIL", "WARN", "PASS")
    return order.index(check.status.value), check.margin is None, check.margin or 0.0


def _explain(verdict: Verdict) -> None:
    """Say what was not run and why, what is missing, and remarks of checks, each once."""
    notes = [f"not run: {check.name}: {check.skipped}" for check in verdict.checks if check.skipped]
    notes += [f"promised but not made: {name}" for name in verdict.missing]
    notes += [f"{check.name}: {check.reason}" for check in verdict.problems() if check.reason]
    for note in dict.fromkeys(notes):
        say(note)


def _states(checks: list[Check]) -> str:
    counts = Counter(check.status.value for check in checks)
    return ", ".join(f"{count} {status}" for status, count in counts.items())


def _numbers(check: Check) -> tuple[str, ...]:
    error = "" if check.error is None else f" ± {check.error:.2g}"
    unit = "" if check.unit == "1" else f" {check.unit}"
    # A product is of one detector, so amplifier and exposure tell the place.
    where = f"{check.amplifier} {check.exposure}".strip() or "whole"
    warn = "" if check.warn is None else f"(warn {check.warn})"
    limits = " ".join(part for part in ("" if check.fail is None else str(check.fail), warn) if part)
    return (where, f"{check.value:.4g}{error}{unit}", limits)
