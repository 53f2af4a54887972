"""What can be wrong with a file of defects."""

from __future__ import annotations

from cpp_framework.errors import UserError

_LONGEST_QUOTE = 60
"""Characters of a file a message quotes."""


class DefectFileError(UserError):
    """A file of defects cannot be read or written: no form we know, a column missing, or a region that is none.

    Parameters
    ----------
    message : str
        The file, the line or row, and what is wrong.
    hint : str
        What would help; every such error has one.
    """

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message, hint)


def quoted(text: str) -> str:
    """The first line of a text, cut short, in quotes."""
    lines = text.strip().splitlines() or [""]
    line = lines[0]
    return repr(line[:_LONGEST_QUOTE] + " …" if len(line) > _LONGEST_QUOTE else line)
