"""Words for messages: the nearest known name to one that is not known, and values cut to a readable length."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LONGEST = 80


def shortened(value: object) -> str:
    """The value as Python writes it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``did you mean 'sigma'?``, or the list of what is known if nothing is near."""
    names = sorted(known)
    lowered = {one.lower(): one for one in names}
    close = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    if close:
        return f"did you mean {lowered[close[0]]!r}?"
    return f"known are {', '.join(names)}" if names else "there are none"
