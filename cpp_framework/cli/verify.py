"""`cpp verify`: check stored products on their exposures and give a verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cpp_framework.cli import options
from cpp_framework.cli.output import print_json, print_table, say
from cpp_framework.errors import InputsMissingError

if TYPE_CHECKING:
    from cpp_framework.api import Repository
    from cpp_framework.model.check import Check, Verdict

IdArgument = Annotated[list[str] | None, typer.Argument(help="Products: identifier, digest, prefix of one, or `last`.")]


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

        repository = options.open_repository(repo)
        chosen = list(products or []) or _newest(repository, calibration_type)
        verdicts = [repository.verify(product) for product in chosen]
        if as_json:
            print_json(outcome=merge(verdicts).value, verdicts=[one.model_dump(mode="json") for one in verdicts])
        else:
            for verdict in verdicts:
                print_verdict(verdict, details=details)
        raise typer.Exit(0 if merge(verdicts) in (Outcome.PASS, Outcome.WARN) else 4)


def _newest(repository: Repository, calibration_type: str) -> list[str]:
    """Ids of the newest product of each instrument, detector, key and label."""
    if calibration_type:
        repository.plugins.type(calibration_type)
    newest: dict[str, str] = {}
    for record in repository.products(**({"type": calibration_type} if calibration_type else {})):
        key = repr((record.type, record.instrument, record.detector, record.label, sorted(record.key.items())))
        newest.setdefault(key, record.id)
    if not newest:
        raise InputsMissingError(
            f"no {calibration_type or 'product'} in {repository.root} to verify",
            hint="cpp produce --type TYPE makes one",
        )
    return list(newest.values())


def print_verdict(verdict: Verdict, *, details: bool) -> None:
    """Print the outcome, a line per check, and what is not PASS, worst first."""
    print(f"{verdict.type} {verdict.product}: {verdict.outcome.value}")
    rows = []
    for name, counts in verdict.counts.items():
        some = [check for check in verdict.checks if check.name == name]
        worst = min(some, key=lambda check: (check.margin is None, check.margin or 0.0))
        states = ", ".join(f"{count} {status.value}" for status, count in counts.items())
        rows.append((name, states, *_numbers(worst)))
    columns = ("check", "status", "where", "value", "error", "unit", "fail outside", "warn outside", "margin", "reason")
    print_table("checks, each with its worst case", columns, rows)
    listed = list(verdict.checks) if details else verdict.problems()
    if listed:
        title = "all checks" if details else "not passed"
        print_table(title, ("check", "status", *columns[2:]), [(c.name, c.status.value, *_numbers(c)) for c in listed])
    for name in verdict.missing:
        say(f"promised but not made: {name}")


def _numbers(check: Check) -> tuple[str | float | None, ...]:
    value = None if check.skipped else check.value
    limits = tuple("" if limit is None else str(limit) for limit in (check.fail, check.warn))
    reason = check.skipped or check.reason
    return (check.where, value, check.error, check.unit, *limits, check.margin, reason)
