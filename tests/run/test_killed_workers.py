"""A worker killed (by the system, when memory runs out) costs at most its own unit."""

from __future__ import annotations

import json
import os
import signal
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from cpp_framework.api import Repository
from cpp_framework.plan import Request

pytestmark = pytest.mark.slow

KILLED = "a worker process was killed"


@pytest.fixture(scope="module")
def night(tmp_path_factory, make_night) -> Path:
    folder = tmp_path_factory.mktemp("night")
    make_night(folder, 4)
    return folder


@pytest.fixture
def repo(night: Path, make_repository, tmp_path: Path) -> Path:
    return make_repository(night, tmp_path / "repo")


def workers_of(coordinator: int) -> list[int]:
    """Pids of the workers: children of the fork server, which is a child of the coordinator."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(status.parent.name))
    return [worker for child in children.get(coordinator, []) for worker in children.get(child, [])]


def test_a_unit_that_kills_its_worker_fails_alone(repo: Path, start, leftovers) -> None:
    process = start(repo, "--type", "deadly", "--jobs", 2, "--json")
    out, talk = process.communicate(timeout=60)
    assert process.returncode == 6, talk
    units = json.loads(out)["units"]
    assert [unit["state"] for unit in units] == ["made", "failed", "made", "made"]
    assert KILLED in units[1]["reason"]
    assert units[1]["hint"] == "try --jobs 1 or a smaller --memory"
    assert "repeated one by one" in talk
    assert "going on with" not in talk, "the load was not to blame"
    assert leftovers(repo) == []


def test_a_worker_killed_once_costs_nothing(repo: Path, start, begun, contents, leftovers) -> None:
    process = start(repo, "--type", "mean", "--jobs", 2, "--json", RUN_TYPES_SOLVE=1)
    begun("SOLVE")
    os.kill(workers_of(process.pid)[0], signal.SIGKILL)
    out, talk = process.communicate(timeout=60)
    assert process.returncode == 0, talk
    assert {unit["state"] for unit in json.loads(out)["units"]} == {"made"}
    assert talk.count(KILLED) == 1
    assert len(contents(repo)) == 4
    assert leftovers(repo) == []


def test_where_there_is_memory_for_one_the_run_goes_on_with_one(repo: Path, start, contents, tmp_path: Path) -> None:
    more = {"RUN_TYPES_SOLVE": 0.3, "RUN_TYPES_MEMORY": tmp_path / "memory"}
    process = start(repo, "--type", "jealous", "--jobs", 2, "--json", **more)
    out, talk = process.communicate(timeout=60)
    assert process.returncode == 0, talk
    assert {unit["state"] for unit in json.loads(out)["units"]} == {"made"}
    assert talk.count(KILLED) == 1
    assert "going on with 1 task at a time" in talk
    assert len(contents(repo, "jealous")) == 4


def test_workers_that_are_always_killed_end_the_run(repo: Path, start, leftovers) -> None:
    process = start(repo, "--type", "mean", "--jobs", 2, "--json", RUN_TYPES_MEASURE=0.2)
    while process.poll() is None:
        for worker in workers_of(process.pid):
            try:
                os.kill(worker, signal.SIGKILL)
            except ProcessLookupError:
                continue
    out, talk = process.communicate(timeout=60)
    assert process.returncode == 6, talk
    units = json.loads(out)["units"]
    assert {unit["state"] for unit in units} == {"failed"}
    assert all(KILLED in unit["reason"] for unit in units)
    assert leftovers(repo) == []


def test_an_executor_of_the_callers_that_breaks_is_not_replaced(repo: Path, leftovers) -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("forkserver")) as pool:
        pool.submit(os._exit, 9)
        results = Repository.open(repo).produce(Request("bias"), jobs=2, executor=pool)
    assert {one.state for one in results} == {"failed"}
    assert all(KILLED in one.reason for one in results)
    assert leftovers(repo) == []


def test_an_executor_of_the_callers_makes_the_same_and_stays_open(repo: Path, night: Path, make_repository) -> None:
    digests = []
    other = make_repository(night, repo.parent / "other")
    with ProcessPoolExecutor(2, mp_context=get_context("forkserver")) as pool:
        for root, how in ((repo, {"executor": pool, "jobs": 2}), (other, {"jobs": 1})):
            repository = Repository.open(root)
            made = repository.produce(Request("bias"), **how)
            assert {one.state for one in made} == {"made"}
            digests.append([repository.store.product(one.product).digest for one in made])
        assert pool.submit(os.getpid).result() > 0
    assert digests[0] == digests[1]


def test_a_unit_that_cannot_begin_fails_alone(repo: Path, start, contents) -> None:
    first = start(repo, "--type", "mean", "--json")
    made = json.loads(first.communicate(timeout=60)[0])["units"][2]["product"]
    repository = Repository.open(repo)
    repository.store.path(repository.store.product(made)).unlink()
    process = start(repo, "--type", "needy", "--use", f"mean={made}", "--json")  # of no use to the other detectors
    out, talk = process.communicate(timeout=60)
    units = json.loads(out)["units"]
    assert process.returncode == 6, talk
    assert [unit["state"] for unit in units] == ["blocked", "blocked", "failed", "blocked"]
    assert "is of tinycam detector 2" in units[0]["reason"]
    assert "Traceback" not in talk


def test_what_all_detectors_share_fails_all_of_them(repo: Path, start, leftovers) -> None:
    process = start(repo, "--type", "unpooled", "--jobs", 2, "--json")
    out, talk = process.communicate(timeout=60)
    assert process.returncode == 6, talk
    assert [unit["reason"] for unit in json.loads(out)["units"]] == ["ArithmeticError: 4 detectors do not agree"] * 4
    assert leftovers(repo) == []
