"""How verbs speak: the result on stdout (a table, or one JSON document), talk on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

JSON_FORMAT = 1
"""Version of the layout of every JSON document printed."""


def print_json(**content: Any) -> None:
    """Print one JSON document with the layout's version."""
    print(json.dumps({"format": JSON_FORMAT, **content}, indent=2, default=str))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table on stdout; numbers to the right. Wide when stdout is not a terminal, so that no cell is cut."""
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console() if sys.stdout.isatty() else Console(width=240)
    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for i, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[i], int | float) for row in rows)
        table.add_column(escape(column), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*[_cell(value) for value in row])
    console.print(table)


def say(message: str) -> None:
    """Talk to the user on stderr."""
    print(message, file=sys.stderr)


def _cell(value: Any) -> str:
    from rich.markup import escape

    if value is None:
        return ""
    return escape(f"{value:.4g}" if isinstance(value, float) else str(value))
