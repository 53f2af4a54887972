"""Two runs of the same command: one product each, nothing twice, nobody waits for ever."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cpp_framework.api import Repository
from cpp_framework.plan import Request
from cpp_framework.store import Store

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def night(tmp_path_factory, make_night) -> Path:
    folder = tmp_path_factory.mktemp("night")
    make_night(folder, 6)
    return folder


@pytest.fixture
def repo(night: Path, make_repository, tmp_path: Path) -> Path:
    return make_repository(night, tmp_path / "repo")


def units_of(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    out, talk = process.communicate(timeout=100)
    assert process.returncode == 0, talk
    return json.loads(out)["units"]


@pytest.mark.parametrize(("type_name", "jobs"), [("mean", 2), ("pooled", 1)])
def test_two_identical_commands_make_each_product_once(
    repo: Path, start, contents, leftovers, type_name: str, jobs: int
) -> None:
    arguments = ("--type", type_name, "--jobs", jobs, "--json")
    both = [start(repo, *arguments, RUN_TYPES_SOLVE=0.3) for _ in range(2)]
    found = [units_of(process) for process in both]
    states = Counter(unit["state"] for units in found for unit in units)
    assert states == {"made": 6, "up to date": 6}
    assert [unit["product"] for unit in found[0]] == [unit["product"] for unit in found[1]]
    assert sorted(contents(repo, type_name)) == list(range(6))
    assert leftovers(repo) == []


def test_the_other_units_go_first_then_the_holder_is_waited_for(repo: Path, start, contents) -> None:
    recipe = Repository.open(repo).plan(Request("bias")).units[0].recipe
    with Store.open(repo).lease(recipe) as lease:
        assert lease is not None
        process = start(repo, "--type", "bias", "--jobs", 2, "--json")
        assert process.stderr is not None
        talk = [process.stderr.readline()]
        while "waiting for" not in talk[-1]:
            talk.append(process.stderr.readline())
        assert "which makes bias, detector 0\n" in talk[-1]
        assert len(contents(repo, "bias")) == 5, "the other units are made before anybody is waited for"
        time.sleep(0.5)
        assert process.poll() is None
    units = units_of(process)
    assert {unit["state"] for unit in units} == {"made"}
    assert len(contents(repo, "bias")) == 6


def test_what_the_other_made_in_the_meantime_is_taken(repo: Path) -> None:
    """Planned before, run after another has made half of it: as for two processes, without the race."""
    repository = Repository.open(repo)
    plan = repository.plan(Request("bias"))
    half = Repository.open(repo).produce(Request("bias", filters=("detector<3",)), jobs=1)
    assert [one.state for one in half] == ["made"] * 3
    results = repository.produce(plan, jobs=1)
    assert [one.state for one in results] == ["up to date"] * 3 + ["made"] * 3
    assert [one.product for one in results[:3]] == [one.product for one in half]


def test_threads_of_one_process_make_each_product_once(repo: Path, contents) -> None:
    results: list[list[str]] = []

    def produce() -> None:
        results.append([one.state for one in Repository.open(repo).produce(Request("bias"), jobs=2, executor="serial")])

    threads = [threading.Thread(target=produce) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert Counter(state for states in results for state in states) == {"made": 6, "up to date": 12}
    assert len(contents(repo, "bias")) == 6
