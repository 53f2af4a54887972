"""Runs `cpp` for the tests of campaigns: for every line of JSON on stdin, in a fork that has everything imported.

A line has ``arguments``, ``folder``, ``environment`` and the file names ``out`` and ``err``. The fork leads a session
of its own. Its pid is printed, and when it is gone its exit status.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import cpp_framework.campaign.execute  # noqa: F401  (imported here, once, and not in every child)
from cpp_framework.cli.main import main, make_app


def run(wanted: dict[str, Any]) -> None:
    os.setsid()
    os.chdir(wanted["folder"])
    os.environ.update(wanted["environment"])
    for stream, name in ((sys.stdout, "out"), (sys.stderr, "err")):
        os.dup2(os.open(wanted[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream.fileno())
    sys.argv = ["cpp", *wanted["arguments"]]
    sys.exit(main(wanted["arguments"]))


def serve() -> None:
    make_app()
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            run(json.loads(line))
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
