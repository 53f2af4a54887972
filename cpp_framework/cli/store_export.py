"""`cpp store export`: bring a repository into a store of another kind, by a plugin that offers it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cpp_framework.cli import options
from cpp_framework.cli.output import print_json, print_table, say
from cpp_framework.errors import ConfigError, PluginError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cpp_framework.plugins import Plugins

BUTLER = "butler"


def register_export(group: typer.Typer) -> None:
    """Add the verb to the group `cpp store`."""

    @group.command()
    def export(
        to_butler: Annotated[
            Path | None, typer.Option("--to-butler", help="Folder of a Butler repository; made if it is not there.")
        ] = None,
        raws: Annotated[
            str, typer.Option("--raws", help="link, copy, or direct (stay where they are: not movable then).")
        ] = "link",
        repo: options.RepoOption = None,
        as_json: options.JsonOption = False,
    ) -> None:
        """Export cameras, exposures, products and what is certified; again adds only what is new.

        Identifiers, runs, chains and validity are kept, so that a plain `Butler(PATH)` finds the same products.
        """
        if to_butler is None:
            raise ConfigError("where to? --to-butler PATH", hint="cpp export makes a bundle for another repository")
        repository = options.open_repository(repo, write=False)
        export_repository = _offered(repository.plugins)
        report = export_repository(repository.store, repository.instrument, to_butler, raws=raws)
        counts = dict(vars(report))
        skipped = [(one.what, one.reason) for one in counts.pop("skipped")]
        if as_json:
            print_json(exported=counts, skipped=[{"what": what, "reason": reason} for what, reason in skipped])
            return
        print_table("", ("new in the Butler repository", "count"), list(counts.items()))
        for what, reason in skipped:
            say(f"left out: {what}: {reason}")


def _offered(plugins: Plugins) -> Callable[..., Any]:
    from cpp_framework.declare import load

    offers = plugins.offers("cpp_stores")
    if BUTLER not in offers:
        raise PluginError("no plugin offers the export to Butler", hint="pip install cpp-butler")
    found: Callable[..., Any] = load(offers[BUTLER], wanted_by="cpp store export")
    return found
