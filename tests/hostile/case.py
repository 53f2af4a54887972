"""What a hostile case is: something bad put into a world, and the command lines that meet it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from world import World

Command = tuple[str, ...]
Prepare = Callable[["World"], None]

DOCUMENTED = frozenset({0, 1, 2, 3, 4, 5, 6})
"""Exit codes a command may have; 1 only with a message that names what failed (judged by `judge`)."""
REFUSED = frozenset({2, 3, 5, 6})
"""Exit codes of what cannot be accepted."""


def nothing(world: World) -> None:
    """Leave the world as it is."""


@dataclass(frozen=True)
class Case:
    """One bad input.

    ``prepare`` puts it into a fresh world; each of ``commands`` (the words after ``cpp``) is run in the world's
    ``work`` folder, with ``$CPP_REPO`` set to its repository. ``codes`` are the exit codes allowed for each command,
    ``first`` those of the first one.
    ``writes`` are paths, relative to the world, that the commands are asked to write. ``environment`` changes variables
    (None removes one), ``closed`` lists descriptors closed at the start. ``folder`` is the current folder, which
    ``vanishes`` as soon as the command is in it. ``real`` runs the installed command in a
    process of its own; ``unprivileged`` as a user who is not root and owns nothing.
    """

    name: str
    commands: tuple[Command, ...]
    prepare: Prepare = nothing
    codes: frozenset[int] = DOCUMENTED
    first: frozenset[int] = DOCUMENTED
    writes: tuple[str, ...] = ()
    environment: Mapping[str, str | None] = field(default_factory=dict)
    closed: tuple[int, ...] = ()
    folder: str = "work"
    vanishes: bool = False
    real: bool = False
    unprivileged: bool = False
