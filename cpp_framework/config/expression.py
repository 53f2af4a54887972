"""Regular expressions from people and files: checked before use, so that none can run for ever."""

from __future__ import annotations

import re

_LONGEST = 500
_MOST_REPETITIONS = 5
"""Each of them can multiply the matching time by the length of the text."""


def check_expression(text: str) -> None:
    """Refuse what is no regular expression, and one whose matching time could explode.

    The latter have a group that is repeated and itself repeats something or offers a choice, like ``(a+)+`` or
    ``(a|b)*``: some texts of 40 letters would take years to be told apart from a match.

    Raises
    ------
    ValueError
        With the reason in words.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"it is longer than {_LONGEST} characters")
    # Escapes and classes hold none of the signs looked for; what is in their place does not matter.
    bare = re.sub(r"\\.|\[\^?\]?(\\.|[^\]\\])*\]", "x", text, flags=re.DOTALL)
    if sum(map(bare.count, "*+{")) > _MOST_REPETITIONS:
        raise ValueError(f"it has more than {_MOST_REPETITIONS} repetitions")
    if _repeats_repeats(bare):
        raise ValueError("it repeats a group that itself repeats something or offers a choice")
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(str(error)) from error


def _repeats_repeats(bare: str) -> bool:
    """Whether a group with a repetition or choice inside is followed by ``*``, ``+`` or ``{``."""
    varied = [False]
    for i, sign in enumerate(bare):
        if sign == "(":
            varied.append(False)
        elif sign == ")" and len(varied) > 1:
            inside = varied.pop()
            if inside and bare[i + 1 : i + 2] in ("*", "+", "{"):
                return True
            varied[-1] |= inside
        elif sign in "*+{|":
            varied[-1] = True
    return False
