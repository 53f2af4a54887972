"""`cpp plugins`: what is installed, what it adds, and what is broken and why."""

from __future__ import annotations

import typer

from cpp_framework.cli.output import print_json, print_table, say


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def plugins(as_json: bool = typer.Option(False, "--json", help="Print one JSON document.")) -> None:
        """List the installed plugins, the calibration types they add, and those that are broken, with the reason."""
        from cpp_framework.plugins import installed

        found = installed()
        if as_json:
            from dataclasses import asdict

            print_json(plugins=[asdict(plugin) for plugin in found.loaded])
            return
        rows = [
            (plugin.name, f"{plugin.distribution} {plugin.version}", ", ".join(plugin.types), _state(plugin.problem))
            for plugin in found.loaded
        ]
        print_table("", ("plugin", "distribution", "types", "state"), rows)
        if not found.types:
            say("no calibration types installed; from a checkout, for instance: pip install ./plugins/cpp_bias")


def _state(problem: str) -> str:
    return f"broken: {problem}" if problem else "ok"
