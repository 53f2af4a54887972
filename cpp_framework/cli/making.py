"""What the verbs that make products share: options of a run, its command line and its progress."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from cpp_framework.cli.output import say

JobsOption = Annotated[int, typer.Option("--jobs", "-j", min=0, help="Tasks at a time; 0 for one per processor.")]
MemoryOption = Annotated[str, typer.Option("--memory", help="Limit for all processes together, for instance 1.5GB.")]
ExecutorOption = Annotated[str, typer.Option("--executor", help="serial, processes, or one a plugin offers.")]

INTERRUPTED = "interrupted; nothing published is lost, the same command goes on"


@dataclass(frozen=True)
class Making:
    """How to make products, and how to tell of it; ``where`` is what a command needs to find the same repository."""

    jobs: int = 0
    memory: str = ""
    executor: str = ""
    as_json: bool = False
    where: str = ""

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of `Repository.produce` and `Repository.run_campaign`."""
        return {"jobs": self.jobs, "memory": self.memory, "executor": self.executor, "command": command_line()}


def command_line() -> str:
    """The command as typed, for the headers of products."""
    # Words need not be text for the operating system; what is kept in a product must be.
    return shlex.join(["cpp", *sys.argv[1:]]).encode("utf-8", "backslashreplace").decode()


@contextmanager
def progress(wanted: bool) -> Iterator[Callable[[Any], None]]:
    """Progress on stderr: a bar on a terminal, plain lines in a log."""
    if not wanted:
        yield lambda _: None
        return
    if not sys.stderr.isatty():
        yield lambda step: say(step.task if step.notice else f"{step.done}/{step.total} {step.task}")
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("starting", total=None)

        def show(step: Any) -> None:
            if step.notice:
                bar.console.print(step.task, markup=False, highlight=False)
            else:
                bar.update(task, completed=step.done, total=step.total, description=step.task)

        yield show
