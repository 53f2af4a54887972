"""`cpp doctor`: what may be wrong with the installation or the repository, and an index made anew."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cpp_framework.cli import options
from cpp_framework.cli.output import print_json, print_table, say
from cpp_framework.errors import NotFoundError

if TYPE_CHECKING:
    from cpp_framework.store.rebuild_report import RebuildReport


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def doctor(
        rebuild: Annotated[
            bool, typer.Option("--rebuild", help="Make the index of the repository anew from its files.")
        ] = False,
        repo: options.RepoOption = None,
        as_json: options.JsonOption = False,
    ) -> None:
        """Check the installation, the machine and the repository; change nothing.

        Exits with 4 if something fails. With --rebuild the index is made anew from products, verdicts, flags, ledger
        and raw files; the old one is kept beside it. Exits with 6 then if something did not go in.
        """
        if rebuild:
            _rebuild(repo, as_json)
        else:
            _examine(repo, as_json)


def _examine(repo: Path | None, as_json: bool) -> None:
    from cpp_framework.doctor import State, examine

    findings = []
    with _progress("looking at") as step:
        for finding in examine(repo):
            step(finding.check)
            findings.append(finding)
    if as_json:
        from dataclasses import asdict

        print_json(checks=[asdict(finding) for finding in findings])
    else:
        rows = [(one.check, one.state.value, one.found, one.hint) for one in findings]
        print_table("", ("check", "state", "found", "hint"), rows, whole=("check", "state"))
        if all(one.check != "repository" for one in findings):
            say("no repository here: --repo PATH looks at one")
    raise typer.Exit(4 if any(finding.state is State.FAIL for finding in findings) else 0)


def _rebuild(repo: Path | None, as_json: bool) -> None:
    from cpp_framework.doctor import rebuild_repository
    from cpp_framework.doctor.repository import find_root
    from cpp_framework.plugins import installed

    root = find_root(repo)
    if root is None:
        raise NotFoundError("there is no repository here", hint="cpp doctor --rebuild --repo PATH")
    with _progress("reading") as step:
        report = rebuild_repository(root, installed(), step)
    if as_json:
        _print_json(report)
    else:
        _print(report)
    raise typer.Exit(6 if report.left_out else 0)


def _print(report: RebuildReport) -> None:
    from cpp_framework.store.rebuild_report import NOT_IN_FILES

    print_table(f"index of {report.root}", ("what", "in the new index"), sorted(report.counts.items()))
    if report.left_out:
        rows = [(one.file, one.reason) for one in report.left_out]
        print_table("left out, or not as it says", ("file", "why"), rows)
    if report.by_sums:
        say(f"{report.by_sums} products are of types not installed here: checked by FITS checksums only")
    if report.moved is not None:
        say(f"the old index is now {report.moved}")
    for remark in NOT_IN_FILES:
        say(f"not told by any file: {remark}")


def _print_json(report: RebuildReport) -> None:
    print_json(
        repository=str(report.root),
        counts=dict(report.counts),
        left_out=[{"file": one.file, "reason": one.reason} for one in report.left_out],
        checked_by_checksum_only=report.by_sums,
        old_index=None if report.moved is None else str(report.moved),
    )


@contextmanager
def _progress(what: str) -> Iterator[Callable[[str], None]]:
    """Tell on a terminal what is being done."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status(what) as status:
        yield lambda name: status.update(f"{what} {name}")
