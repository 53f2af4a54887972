"""How verbs speak: the result on stdout (a table, or one JSON document), talk on stderr."""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from cpp_framework.errors import printable

JSON_FORMAT = 1
"""Version of the layout of every JSON document printed."""

_INSTANTS = ("begin", "end", "made", "stored")
_WIDE = 240
_printed = False
"""Whether this process has printed its JSON document."""


def print_json(**content: Any) -> None:
    """Print one JSON document with the layout's version; not finite becomes null, instants carry their scale."""
    global _printed
    _printed = True
    print(json.dumps(_plain({"format": JSON_FORMAT, **content}), indent=2, default=str, allow_nan=False))


def print_json_error(message: str, hint: str, code: int) -> None:
    """Print an error as the one JSON document of a command, unless it has printed its own."""
    if not _printed:
        print_json(error={"message": message, "hint": hint, "exit_code": code})


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, whole: Collection[str] = ()
) -> None:
    """Print a table on stdout; numbers to the right, cells of the columns ``whole`` never broken.

    Wide when stdout is not a terminal (and COLUMNS does not say otherwise), so that no cell is cut; without trailing
    blanks.
    """
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    terminal = sys.stdout.isatty()
    console = Console() if terminal else Console(width=_width())
    table = Table(title=escape(printable(title)) or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for i, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[i], int | float) for row in rows)
        justify: Any = "right" if numeric else "left"
        table.add_column(escape(column), justify=justify, overflow="fold", no_wrap=column in whole)
    for row in rows:
        table.add_row(*[_cell(value) for value in row])
    if terminal:
        console.print(table)
        return
    with console.capture() as captured:
        console.print(table)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _width() -> int:
    """Columns for tables that go to no terminal: as ``$COLUMNS`` says, if it says something to go by."""
    said = os.environ.get("COLUMNS", "")
    return int(said) if re.fullmatch(r"[1-9][0-9]{1,3}", said) else _WIDE


def say(message: str) -> None:
    """Talk to the user on stderr."""
    print(printable(message), file=sys.stderr)


def _cell(value: Any) -> str:
    from rich.markup import escape

    if value is None:
        return ""
    return escape(f"{value:.4g}" if isinstance(value, float) else printable(str(value)))


def _plain(value: Any) -> Any:
    """The value as strict JSON knows it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        plain = {str(name): _plain(one) for name, one in value.items()}
        for name in _INSTANTS:
            if isinstance(value.get(name), int):
                plain |= _instant(name, value[name])
        return plain
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def _instant(name: str, tai_ns: int) -> dict[str, Any]:
    from cpp_framework.model.timespan import to_iso

    return {name: to_iso(tai_ns) + "Z", f"{name}_tai_ns": tai_ns}
