"""Workers that die: what was under way is repeated alone, and only what kills again fails."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest

from cpp_framework.apply.engine import run_apply_plan
from cpp_framework.apply.request import ApplyPlan, ApplyRequest, Target
from cpp_framework.apply.work import ApplyJob, Written
from cpp_framework.camera.catalogue import load_instrument
from cpp_framework.errors import ConflictError, StoreError
from cpp_framework.model import Exposure


class DyingWorkers:
    """Workers of which one dies whenever it meets a certain exposure, taking what runs beside with it."""

    def __init__(self, deadly: str, errors: dict[str, Exception], renewable: bool = True) -> None:
        self.deadly, self.errors, self.renewable = deadly, errors, renewable
        self.tried: list[str] = []
        self.waiting: list[Future[Written]] = []

    def submit(self, function: Callable[..., Any], job: ApplyJob) -> Future[Written]:
        name = job.target.exposure.id
        self.tried.append(name)
        future: Future[Written] = Future()
        if name == self.deadly:
            for one in [*self.waiting, future]:
                one.set_exception(BrokenProcessPool("killed"))
            self.waiting = []
        elif name in self.errors:
            future.set_exception(self.errors[name])
        elif self.deadly in self.tried:
            future.set_result(Written((), "electron", 0.0))
        else:
            self.waiting.append(future)  # still at it when the other dies
        return future

    def renew(self) -> bool:
        return self.renewable

    def notice_death(self) -> None:
        raise AssertionError("every future is done or broken")


def _plan(folder: Path, names: str) -> ApplyPlan:
    exposures = [
        Exposure(instrument="simcam", detector=0, id=name, number=i, kind="science", exposure_time=1, dark_time=1)
        for i, name in enumerate(names)
    ]
    targets = tuple(Target(one, (), folder / f"{one.id}.fits") for one in exposures)
    return ApplyPlan(ApplyRequest(), targets, ())


def _states(folder: Path, workers: Any) -> dict[str, tuple[str, str]]:
    told: list[int] = []
    plan = _plan(folder, "abcd")
    done = run_apply_plan(plan, load_instrument, workers, 2, progress=lambda done, total, what: told.append(done))
    assert told == [1, 2, 3, 4]
    assert [one.target for one in done] == list(plan.targets)
    return {one.target.exposure.id: (one.state, str(one.error or "")) for one in done}


def test_only_the_exposure_that_kills_again_fails(tmp_path: Path) -> None:
    workers = DyingWorkers("b", {})
    states = _states(tmp_path, workers)
    assert {name: state for name, (state, _) in states.items()} == {
        "a": "written", "b": "failed", "c": "written", "d": "written",
    }  # fmt: skip
    assert "a worker process was killed" in states["b"][1]
    assert (workers.tried.count("a"), workers.tried.count("b")) == (2, 2)


def test_without_new_workers_what_was_under_way_fails(tmp_path: Path) -> None:
    states = _states(tmp_path, DyingWorkers("b", {}, renewable=False))
    assert [states[name][0] for name in "abcd"] == ["failed", "failed", "written", "written"]


def test_errors_of_one_exposure_stay_with_it(tmp_path: Path) -> None:
    errors = {
        "a": StoreError("disk full"),
        "c": ZeroDivisionError("a stranger's slip"),
        "d": ConflictError("d.fits is there already"),
    }
    states = _states(tmp_path, DyingWorkers("b", errors))
    assert states["a"] == ("failed", "disk full")
    assert states["c"] == ("failed", "ZeroDivisionError: a stranger's slip")
    assert states["d"] == ("exists", "d.fits is there already")


@pytest.mark.parametrize(("force", "state"), [(False, "exists"), (True, "written")])
def test_files_that_are_there_are_not_worked_on_without_force(tmp_path: Path, force: bool, state: str) -> None:
    (tmp_path / "a.fits").write_text("mine")
    workers: Any = DyingWorkers("none", {})
    workers.deadly = "z"
    workers.tried.append("z")  # nobody dies, so every task ends at once
    done = run_apply_plan(_plan(tmp_path, "a"), load_instrument, workers, 1, force=force)
    assert [one.state for one in done] == [state]
    assert ("a" in workers.tried) == force
