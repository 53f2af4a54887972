"""Reading small files people may have edited, while an index is made anew; and trying what they say."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from cpp_framework.errors import CppError
from cpp_framework.store.rebuild_report import RebuildReport

MOST_BYTES = 64_000_000
"""Of a file of text: a verdict on many amplifiers and exposures has some megabytes."""


def read_small(path: Path) -> str:
    """Text of a regular file of sensible size; links and pipes are not followed, so that nothing waits for ever.

    Raises
    ------
    OSError, ValueError
        It is something else, too big, unreadable or not UTF-8.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    with open(descriptor, "rb") as file:  # noqa: PTH123 -- a descriptor, not a path
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("not a regular file")
        if found.st_size > MOST_BYTES:
            raise ValueError(f"{found.st_size} bytes are too many")
        return file.read().decode("utf-8")


@contextmanager
def attempt(connection: Connection, path: Path | str, report: RebuildReport) -> Iterator[None]:
    """A part of the transaction that may fail because of what a file says: it is undone then, and the file named."""
    try:
        with connection.begin_nested():
            yield
    except CppError as error:
        report.leave_out(path, str(error))
    except DBAPIError as error:
        report.leave_out(path, f"contradicts the others: {str(error.orig)[:100]}")
    except (ValueError, OverflowError) as error:  # numbers and texts no database takes
        report.leave_out(path, f"says what an index cannot hold: {str(error)[:100]}")
