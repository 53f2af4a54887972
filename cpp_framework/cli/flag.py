"""`cpp flag`: say that an exposure is bad (or good again), and why."""

from __future__ import annotations

from typing import Annotated

import typer

from cpp_framework.cli import options
from cpp_framework.cli.output import print_json, say
from cpp_framework.errors import ConfigError


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def flag(
        exposure: Annotated[str, typer.Argument(help="Id, number, file (path or name) or unique beginning of the id.")],
        bad: Annotated[bool, typer.Option("--bad/--good", help="Bad exposures are never selected.")],
        because: Annotated[str, typer.Option("--because", help="The reason; needed for --bad.")] = "",
        instrument: Annotated[str, typer.Option("--instrument", help="Instrument, if several share the id.")] = "",
        repo: options.RepoOption = None,
        as_json: options.JsonOption = False,
    ) -> None:
        """Flag an exposure as bad or good. Nothing is forgotten: the latest flag counts.

        Examples: `cpp flag 2026112000017 --bad --because "door open"`, `cpp flag 2026112000017 --good`.
        """
        if bad and not because.strip():
            raise ConfigError("a bad exposure needs a reason", hint='--because "door open"')
        store = options.open_repository(repo).store
        record = store.flag(exposure, bad, because.strip(), instrument)
        if as_json:
            from dataclasses import asdict

            print_json(flag=asdict(record))
            return
        state = f"bad: {record.because}" if record.bad else "good"
        print(f"{record.exposure} ({record.instrument}) is {state}")
        for product in store.made_from(record.exposure) if record.bad else ():
            say(f"{product.type} {product.short} used it: cpp produce makes a new one without it")
