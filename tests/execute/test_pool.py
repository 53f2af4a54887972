"""Executors by name, and a pool of processes that ends whatever happens to its workers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cpp_framework.errors import NotFoundError
from cpp_framework.execute import SerialExecutor, Workers, make_executor


def run(what: str, code: int = 0) -> list[str]:
    script = Path(__file__).with_name("pool_user.py")
    done = subprocess.run(
        [sys.executable, str(script), what], capture_output=True, text=True, timeout=120, start_new_session=True
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout.splitlines()


def test_one_job_needs_no_process() -> None:
    assert isinstance(make_executor(1), SerialExecutor)
    with Workers(1) as workers:
        assert workers.submit(os.getpid).result() == os.getpid()
        assert isinstance(workers.submit(int, "x").exception(), ValueError)


def test_a_plugins_executor_is_made_by_name_and_unknown_names_are_refused() -> None:
    offers = {"threads": "concurrent.futures:ThreadPoolExecutor"}
    assert isinstance(make_executor(2, "threads", offers), ThreadPoolExecutor)
    with pytest.raises(NotFoundError, match="no executor 'cloud'; there are serial, processes, threads"):
        Workers(2, "cloud", offers)


def test_the_callers_executor_is_neither_closed_nor_replaced() -> None:
    with ThreadPoolExecutor(1) as pool:
        with Workers(2, pool) as workers:
            assert workers.submit(abs, -1).result() == 1
            workers.kill()
            assert workers.renew() is False
        assert pool.submit(abs, -2).result() == 2


def test_a_pool_ends_though_a_worker_is_killed_meanwhile() -> None:
    assert run("close_while_workers_are_killed") == ["ended"]


def test_a_worker_that_dies_while_it_sends_its_result_is_noticed() -> None:
    assert run("die_while_sending") == ["ended"]


def test_workers_do_not_hear_what_is_meant_for_the_coordinator() -> None:
    assert run("signals_to_the_group") == ["heard SIGINT", "heard SIGTERM", "same worker", "killed"]


def test_a_worker_that_is_just_starting_is_killed_too() -> None:
    assert run("signal_while_a_worker_starts") == ["interrupted", "ended"]


def test_workers_leave_with_their_coordinator() -> None:
    (pids,) = run("leave_workers_behind", code=-9)
    until = time.monotonic() + 5
    while any(Path("/proc", pid).exists() for pid in pids.split()):
        assert time.monotonic() < until
        time.sleep(0.02)
