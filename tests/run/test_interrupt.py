"""Ctrl-C once ends in order, twice at once; SIGTERM in order if that is quick. Nothing is left, and all resumes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from cpp_framework.run.interrupt import GRACE

pytestmark = pytest.mark.slow

FOR_EVER = 60
"""Longer than any of these tests waits [s]."""


@pytest.fixture(scope="module")
def night(tmp_path_factory, make_night) -> Path:
    folder = tmp_path_factory.mktemp("night")
    make_night(folder, 5)
    return folder


@pytest.fixture
def repo(night: Path, make_repository, tmp_path: Path) -> Path:
    return make_repository(night, tmp_path / "repo")


def wait_for(process: subprocess.Popen[str], words: str) -> None:
    assert process.stderr is not None
    talk = ""
    while words not in talk:
        line = process.stderr.readline()
        assert line, talk
        talk += line


def everybody(process: subprocess.Popen[str]) -> list[int]:
    """Living processes of the group of a command: itself, fork server, workers."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == process.pid and fields[0] != "Z":
            found.append(int(status.parent.name))
    return found


def gone(process: subprocess.Popen[str]) -> bool:
    """Whether nothing of a command is left within two seconds."""
    until = time.monotonic() + 2
    while everybody(process):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def states(out: str) -> Counter[str]:
    return Counter(unit["state"] for unit in json.loads(out)["units"])


@pytest.mark.parametrize(("number", "jobs"), [(signal.SIGINT, 1), (signal.SIGINT, 2), (signal.SIGTERM, 2)])
def test_once_finishes_and_publishes_what_runs(
    repo: Path, start, begun, contents, leftovers, number: signal.Signals, jobs: int
) -> None:
    arguments = ("--type", "mean", "--jobs", jobs, "--json")
    process = start(repo, *arguments, RUN_TYPES_SOLVE=1)
    begun("SOLVE", jobs + 1)
    os.killpg(process.pid, number)
    out, talk = process.communicate(timeout=30)
    assert process.returncode == 130, talk
    assert "stopping: what runs is finished" in talk
    assert "the same command goes on" in talk
    found = states(out)
    assert found["made"] == len(contents(repo)) >= 2, "what was being solved is published"
    assert found["interrupted"] == 5 - found["made"] > 0
    assert leftovers(repo) == []
    assert gone(process)
    again = start(repo, *arguments)
    out, talk = again.communicate(timeout=60)
    assert again.returncode == 0, talk
    assert states(out) == {"up to date": found["made"], "made": found["interrupted"]}


@pytest.mark.parametrize(("what", "jobs"), [("MEASURE", 2), ("SOLVE", 1), ("SOLVE", 2)])
def test_twice_ends_at_once(repo: Path, start, begun, contents, leftovers, what: str, jobs: int) -> None:
    process = start(repo, "--type", "mean", "--jobs", jobs, **{f"RUN_TYPES_{what}": FOR_EVER})
    begun(what)
    os.killpg(process.pid, signal.SIGINT)
    wait_for(process, "stopping")
    begin = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    _, talk = process.communicate(timeout=30)
    assert time.monotonic() - begin < FOR_EVER / 6
    assert process.returncode == 130, talk
    assert "Traceback" not in talk
    assert leftovers(repo) == []
    assert contents(repo) == {}
    assert gone(process)


def test_terminated_it_ends_even_if_a_task_does_not(repo: Path, start, begun, leftovers) -> None:
    process = start(repo, "--type", "mean", "--jobs", 2, RUN_TYPES_SOLVE=FOR_EVER)
    begun("SOLVE")
    begin = time.monotonic()
    os.killpg(process.pid, signal.SIGTERM)
    _, talk = process.communicate(timeout=30)
    assert GRACE - 0.5 < time.monotonic() - begin < FOR_EVER / 2
    assert process.returncode == 130, talk
    assert leftovers(repo) == []
    assert gone(process)


def test_interrupted_while_it_waits_for_another(repo: Path, start, begun, leftovers) -> None:
    other = start(repo, "--type", "mean", "--jobs", 2, RUN_TYPES_SOLVE=FOR_EVER)
    begun("SOLVE")
    process = start(repo, "--type", "mean", "--jobs", 1, "--json")
    wait_for(process, f"waiting for process {other.pid} on")
    process.send_signal(signal.SIGINT)
    out, talk = process.communicate(timeout=10)
    assert process.returncode == 130, talk
    assert states(out)["interrupted"] >= 1
    assert len(leftovers(repo)) > 0, "the other is not disturbed"
    assert other.poll() is None
