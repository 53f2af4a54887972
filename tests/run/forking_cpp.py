"""Runs `cpp` for the kill tests: for every line ``TALK ARGUMENTS`` on stdin, in a fork of its own session.

Forking from a process that has everything imported makes a run begin in milliseconds, so that many can be killed. Its
stderr goes to the file TALK. Its pid is printed, and when it is gone its exit status.
"""

from __future__ import annotations

import os
import shlex
import sys

import cpp_framework.run.engine  # noqa: F401  (imported here, once, and not in every child)
from cpp_framework.cli.main import main


def run(talk: str, arguments: list[str]) -> None:
    os.setsid()
    for stream in (sys.stdout, sys.stderr):
        os.dup2(os.open(talk, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream.fileno())
    sys.exit(main(arguments))


def serve() -> None:
    for line in sys.stdin:
        talk, *arguments = shlex.split(line)
        pid = os.fork()
        if pid == 0:
            run(talk, arguments)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
