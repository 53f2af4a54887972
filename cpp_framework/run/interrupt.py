"""What Ctrl-C and SIGTERM mean while products are made."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Self

GRACE = 5.0
"""Seconds an orderly end may take after SIGTERM: batch systems send SIGKILL after it, the hastiest 10 s later."""

_HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)


class Interrupt:
    """Turns the first Ctrl-C into a request for an orderly end, and the second into an end at once.

    Orderly: no new task begins, those that run are finished, and a product that is complete is published. At once
    (`KeyboardInterrupt`): workers are killed. SIGTERM asks for an orderly end, and ends at once after `GRACE` seconds.
    A context manager; calling it tells whether an end was asked for. Outside of the main thread it hears nothing.
    """

    def __init__(self) -> None:
        self._requested = False
        self._before: dict[signal.Signals, Any] = {}

    def __call__(self) -> bool:
        """Whether an end was asked for."""
        return self._requested

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._hear) for number in _HEARD}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  (the signature of a handler)
        if self._requested:
            for heard in _HEARD:  # the tidying up that follows is not to be interrupted
                signal.signal(heard, signal.SIG_IGN)
            raise KeyboardInterrupt
        self._requested = True
        if number == signal.SIGTERM:
            signal.setitimer(signal.ITIMER_REAL, GRACE)
        _say("stopping: what runs is finished and published; once more ends at once\n")


def _say(text: str) -> None:
    # Not by print: that may be in the middle of a line of its own. And with nobody to hear it there is nothing to do.
    with suppress(OSError):
        os.write(sys.stderr.fileno(), text.encode())
