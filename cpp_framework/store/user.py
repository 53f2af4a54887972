"""Who is at work, as ledgers name them."""

from __future__ import annotations

import getpass


def user_name() -> str:
    """Name of the user of this process; ``unknown`` where the system has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no entry in the user database: containers with a bare number
        return "unknown"
