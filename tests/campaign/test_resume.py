"""Killed or interrupted anywhere, the same campaign goes on and ends with what an undisturbed one makes."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.slow

SLEEP = "0.3"


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def states(document: dict[str, Any]) -> dict[str, int]:
    return {one["state"]: one["units"] for one in document["states"]}


def made(world: Any) -> int:
    return len(world.repository().products())


@pytest.fixture
def undisturbed(make_world) -> dict[Any, str]:
    """Digests of what a run makes that nobody disturbs."""
    world = make_world("undisturbed")
    world.run()
    digests: dict[Any, str] = world.digests()
    return digests


@pytest.mark.parametrize("jobs", [1, 2])
def test_killed_again_and_again_it_resumes(world, undisturbed, jobs: int) -> None:
    for number in (1, 4, 6):
        pid = world.start("run", world.campaign, "--jobs", jobs, CHAIN_SLEEP=SLEEP)
        wait_until(lambda number=number: made(world) >= number)  # type: ignore[misc]
        os.killpg(pid, signal.SIGKILL)
        assert world.cpp.wait() == -signal.SIGKILL
        assert number <= made(world) < len(undisturbed)
    before = made(world)
    document = world.run()
    assert states(document) == {"up to date": before, "made": len(undisturbed) - before}
    assert world.digests() == undisturbed
    assert document["verdicts"] == {"PASS": 5}, "what was made and not verified is verified now"
    judged = [line for line in world.traced() if line.startswith("VERIFY")]
    assert len(judged) <= 5 + 3, "at most the one under way at each kill is repeated"


def test_ctrl_c_finishes_what_runs_and_the_rest_is_left(world, undisturbed) -> None:
    pid = world.start("run", world.campaign, "--jobs", 1, "--json", CHAIN_SLEEP="1")
    wait_until(lambda: len(world.traced()) == 2)
    os.kill(pid, signal.SIGINT)
    assert world.cpp.wait() == 130
    document = json.loads(world.cpp.out.read_text())
    found = [unit["state"] for one in document["passes"] for unit in one["units"]]
    assert found == ["made", "made", *["interrupted"] * 7], "no unit is called blocked by what was not begun"
    assert document["exit_code"] == 130
    assert "the same command goes on" in world.cpp.err.read_text()
    assert states(world.run()) == {"up to date": 2, "made": 7}
    assert world.digests() == undisturbed


def test_ctrl_c_twice_ends_at_once(world) -> None:
    pid = world.start("run", world.campaign, "--jobs", 2, CHAIN_SLEEP="60")
    wait_until(lambda: len(world.traced()) == 1)
    os.killpg(pid, signal.SIGINT)
    wait_until(lambda: "stopping" in world.cpp.err.read_text())
    os.killpg(pid, signal.SIGINT)
    assert world.cpp.wait() == 130
    assert made(world) == 0
    assert list((world.root / "staging").iterdir()) == []
