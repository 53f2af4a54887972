"""Killed anywhere, the same command goes on and ends with what an undisturbed run makes; nothing is left behind."""

from __future__ import annotations

import os
import random
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cpp_framework.api import Repository
from cpp_framework.run.leftovers import clear_leftovers
from cpp_framework.store.staging import AGE

pytestmark = pytest.mark.slow

ROUNDS = 32
DETECTORS = 6
RAM_DISK = Path("/dev/shm")


@pytest.fixture(scope="module")
def night(tmp_path_factory, make_night) -> Path:
    folder = tmp_path_factory.mktemp("night")
    make_night(folder, DETECTORS)
    return folder


@pytest.fixture
def repo(night: Path, make_repository, tmp_path: Path) -> Path:
    return make_repository(night, tmp_path / "repo")


class ForkingCpp:
    """The process of `forking_cpp.py`, and the run it has forked."""

    def __init__(self, env: dict[str, str], talk: Path) -> None:
        script = Path(__file__).with_name("forking_cpp.py")
        more = {"RUN_TYPES_SOLVE": "0.15", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, str(script)],
            env=os.environ | env | more,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._talk = talk
        self.pids: set[int] = set()
        self.pid = 0

    def start(self, *arguments: object) -> None:
        """Start a run."""
        assert self._process.stdin is not None
        self._talk.unlink(missing_ok=True)
        self._process.stdin.write(shlex.join([str(self._talk), "produce", *map(str, arguments)]) + "\n")
        self._process.stdin.flush()
        self.pid = self._read()
        self.pids.add(self.pid)

    def wait_for_steps(self, steps: int) -> None:
        """Wait until the run has told that so many tasks are done, or has ended."""
        while Path("/proc", str(self.pid)).exists():
            if self._talk.exists() and self._talk.read_text().count("\n") >= steps:
                return
            time.sleep(0.005)

    def kill(self, whom: str, moment: random.Random) -> bool:
        """SIGKILL to the coordinator, to one of its workers, or as when the power fails, to all; False if too late."""
        workers = [worker for child in children_of(self.pid) for worker in children_of(child)]
        try:
            if whom == "all":
                os.killpg(self.pid, signal.SIGKILL)
            else:
                os.kill(moment.choice(workers) if whom == "worker" and workers else self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def wait(self) -> int:
        """Exit status; negative if it was killed."""
        return self._read()

    def close(self) -> None:
        self._process.communicate(timeout=60)

    def _read(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())


def children_of(parent: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(status.parent.name))
    return found


def check_products(repo: Path) -> None:
    """Every registered product can be read, and its content is what was registered."""
    repository = Repository.open(repo)
    for record in repository.products():
        assert repository.store.intact(record)


def left_in_memory(pids: set[int]) -> list[Path]:
    """Folders of frames and semaphores in the RAM disk that belong to one of these processes."""
    found = [path for path in RAM_DISK.glob("sem.cpp-*") if int(path.name.split("-")[1]) in pids]
    for lease in RAM_DISK.glob("cpp-frames-*/in-use.lease"):
        try:
            words = lease.read_text().split()
        except FileNotFoundError:  # of another test that runs at the same time
            continue
        if words and int(words[1]) in pids:
            found.append(lease.parent)
    return found


@pytest.fixture
def forking_cpp(env: dict[str, str], tmp_path: Path) -> Iterator[ForkingCpp]:
    runner = ForkingCpp(env, tmp_path / "talk")
    yield runner
    runner.close()


def test_killed_at_random_moments_it_resumes(repo: Path, forking_cpp: ForkingCpp, leftovers) -> None:
    moment = random.Random(20261123)
    killed = night_number = 0
    while killed < ROUNDS:
        jobs = moment.choice([1, 2])
        forking_cpp.start("--type", "mean", "--label", f"n{night_number}", "--jobs", jobs, "--repo", repo)
        forking_cpp.wait_for_steps(moment.randrange(1, 14))
        time.sleep(moment.uniform(0, 0.1))
        killed += forking_cpp.kill(moment.choice(["coordinator", "all", "all", "worker"]), moment)
        status = forking_cpp.wait()
        assert status in (0, -signal.SIGKILL), "an error, or a worker's death was not outlived"
        check_products(repo)
        if status == 0:
            night_number += 1
    forking_cpp.start("--type", "mean", "--label", f"n{night_number}", "--jobs", 2, "--repo", repo)
    assert forking_cpp.wait() == 0
    forking_cpp.start("--type", "mean", "--label", "undisturbed", "--jobs", 2, "--repo", repo)
    assert forking_cpp.wait() == 0
    made = {label: contents_of(repo, label) for label in ["undisturbed", *(f"n{n}" for n in range(night_number + 1))]}
    assert all(len(one) == DETECTORS for one in made.values())
    assert len({tuple(sorted(one.items())) for one in made.values()}) == 1
    assert night_number >= 2
    _nothing_is_left(repo, leftovers, forking_cpp.pids)


def contents_of(repo: Path, label: str) -> dict[int, str]:
    records = Repository.open(repo).products(label=label)
    found = {record.detector: record.digest for record in records}
    assert len(found) == len(records), "a product was made twice"
    return found


def _nothing_is_left(repo: Path, leftovers, pids: set[int]) -> None:
    """Nothing but what must be old to be known as nobody's."""
    young = [*(repo / "cache").rglob("*.part"), *(path for path in left_in_memory(pids) if path.is_file())]
    assert set(leftovers(repo) + left_in_memory(pids)) == set(young)
    for path in young:
        os.utime(path, times=(time.time() - 2 * AGE,) * 2)
    clear_leftovers(repo)
    assert leftovers(repo) + left_in_memory(pids) == []


def test_a_focal_plane_half_made_is_completed_as_if_made_at_once(
    repo: Path, night: Path, make_repository, tmp_path: Path, start, begun, contents
) -> None:
    other = make_repository(night, tmp_path / "other")
    start(other, "--type", "pooled", "--jobs", 1).communicate(timeout=60)
    process = start(repo, "--type", "pooled", "--jobs", 1, RUN_TYPES_SOLVE=0.5)
    while len(contents(repo, "pooled")) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.communicate()
    half = contents(repo, "pooled")
    assert 2 <= len(half) < DETECTORS
    again = start(repo, "--type", "pooled", "--jobs", 2)
    _, talk = again.communicate(timeout=60)
    assert again.returncode == 0, talk
    assert contents(repo, "pooled") == contents(other, "pooled")
    assert half.items() <= contents(repo, "pooled").items()


@pytest.mark.parametrize("type_name", ["mean", "pooled"])
def test_any_number_of_tasks_at_a_time_makes_the_same(
    night: Path, make_repository, tmp_path: Path, start, contents, type_name: str
) -> None:
    made = []
    for jobs in (1, 2, 3):
        repo = make_repository(night, tmp_path / f"jobs{jobs}")
        process = start(repo, "--type", type_name, "--jobs", jobs)
        _, talk = process.communicate(timeout=60)
        assert process.returncode == 0, talk
        made.append(contents(repo, type_name))
    assert len(made[0]) == DETECTORS
    assert made[0] == made[1] == made[2]
