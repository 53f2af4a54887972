"""One command of a case in a process of its own: forked from this one, or the installed program."""

from __future__ import annotations

import io
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from case import Case, Command
from judge import TIME_LIMIT, Outcome
from world import World

from cpp_framework.cli.main import main

ADDRESS_SPACE = 4_000_000_000
"""Bytes a command may map beyond what its parent has: what tries more fails at once instead of filling the machine."""
LARGEST_FILE = 300_000_000
NOBODY = 65534
_NEVER_RETURNED = 99


def run_command(world: World, case: Case, command: Command) -> Outcome:
    """Run one command of a case and say what it did."""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        begin = time.monotonic()
        start = _start if case.real else _fork
        pid = start(world, case, command, (stdout.fileno(), stderr.fileno()))
        code, peak = _wait(pid)
        seconds = time.monotonic() - begin
        stdout.seek(0)
        stderr.seek(0)
        texts = [stream.read().decode("utf-8", "backslashreplace") for stream in (stdout, stderr)]
    memory = 0 if case.real else peak - _resident()
    return Outcome(command, code, *texts, seconds, max(memory, 0))


def environment_of(world: World, case: Case) -> dict[str, str]:
    """The variables a command sees: those of the tests, of the world and of the case."""
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "CPP_DEBUG")}
    kept |= {"CPP_REPO": str(world.repo), "HOME": str(world.root / "home"), "TMPDIR": str(world.root / "tmp")}
    changed = {name: value.format(world=world.root) for name, value in case.environment.items() if value is not None}
    return {name: value for name, value in (kept | changed).items() if case.environment.get(name, "") is not None}


def _fork(world: World, case: Case, command: Command, outputs: tuple[int, int]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = _NEVER_RETURNED
    try:
        code = _child(world, case, command, outputs)
    except BaseException:  # what Python itself would show when the program ends so
        traceback.print_exc()
    finally:
        os._exit(code)


def _child(world: World, case: Case, command: Command, outputs: tuple[int, int]) -> int:
    os.setsid()
    _limit()
    _enter(world, case)
    for descriptor, output in zip((1, 2), outputs, strict=True):
        os.dup2(output, descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdin, sys.stdout, sys.stderr = (_stream(i, mode) for i, mode in enumerate("rww"))
    for descriptor in case.closed:
        os.close(descriptor)
        setattr(sys, ("stdin", "stdout", "stderr")[descriptor], None)
    sys.argv = ["cpp", *command]
    code = main(list(command))
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return code


def _start(world: World, case: Case, command: Command, outputs: tuple[int, int]) -> int:
    program = Path(sys.executable).with_name("cpp")
    environment = environment_of(world, case)

    def prepare() -> None:
        _limit()
        _enter(world, case)
        for descriptor in case.closed:
            os.close(descriptor)

    process = subprocess.Popen(
        [program, *command],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=outputs[0],
        stderr=outputs[1],
        start_new_session=True,
        preexec_fn=prepare,
    )
    process.returncode = 0  # `_wait` waits for it
    return process.pid


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_mapped() + ADDRESS_SPACE,) * 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _enter(world: World, case: Case) -> None:
    environment = environment_of(world, case)
    os.environ.clear()
    os.environ.update(environment)
    os.umask(0o022)
    tempfile.tempdir = None
    os.chdir(world.root / case.folder)
    if case.vanishes:
        (world.root / case.folder).rmdir()
    if case.unprivileged and os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def _stream(descriptor: int, mode: str) -> io.TextIOWrapper:
    raw = open(descriptor, f"{mode}b", closefd=False)  # noqa: SIM115 -- as Python makes its standard streams
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace" if descriptor == 2 else "strict")


def _wait(pid: int) -> tuple[int | None, int]:
    """Exit code (None if it had to be killed) and peak memory in kilobytes."""
    descriptor = os.pidfd_open(pid)
    try:
        ended = select.select([descriptor], [], [], TIME_LIMIT)[0]
        if not ended:
            os.killpg(pid, signal.SIGKILL)
        _, status, usage = os.wait4(pid, 0)
    finally:
        os.close(descriptor)
    return (os.waitstatus_to_exitcode(status) if ended else None), usage.ru_maxrss


def _resident() -> int:
    return _statm(1) // 1024


def _mapped() -> int:
    return _statm(0)


def _statm(field: int) -> int:
    """Bytes this process has mapped (0) or holds in memory (1)."""
    return int(Path("/proc/self/statm").read_text().split()[field]) * resource.getpagesize()


Runner = Callable[[World, Case, Command], Outcome]
