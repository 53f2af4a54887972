"""`cpp init`: make a repository."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cpp_framework.cli import options
from cpp_framework.cli.output import print_json, say
from cpp_framework.errors import printable


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def init(
        path: Annotated[Path, typer.Argument(help="Folder of the new repository.")] = Path(),
        instrument: Annotated[
            list[str] | None, typer.Option("--instrument", help="Instrument: a name or a YAML file (repeatable).")
        ] = None,
        registry: Annotated[
            str,
            typer.Option("--registry", help="Keep the index on a server: postgresql://user@host/database."),
        ] = "",
        as_json: options.JsonOption = False,
    ) -> None:
        """Make an empty repository in PATH (here, if not given).

        Examples: `cpp init night1 --instrument latiss`, `cpp init --instrument ourcam.yaml`.
        """
        from cpp_framework.api import Repository
        from cpp_framework.camera.catalogue import load_instrument

        for one in instrument or ():
            load_instrument(one)  # a wrong file is reported before anything is made
        repository = Repository.create(path, registry)
        names = [repository.add_instrument(one).name for one in instrument or ()]
        files = [str(repository.store.instrument_path(name)) for name in names]
        if as_json:
            print_json(repository=str(repository.root), instruments=names, files=files)
            return
        print(printable(f"repository {repository.root}") + (f" for {', '.join(names)}" if names else ""))
        for file in files:
            say(f"edit this file to change gain or limits: {file}")
        here = path.resolve() == Path.cwd()
        options_needed = ("" if names else " --instrument NAME|FILE") + options.repo_words(None if here else path)
        say(f"next: cpp ingest PATH{options_needed}")
