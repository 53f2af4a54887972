"""What killed runs leave is cleared by the next; what living ones have is not touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cpp_framework.execute.processes import clear_abandoned_semaphores
from cpp_framework.run.leftovers import clear_leftovers
from cpp_framework.store.files import temporary_path
from cpp_framework.store.staging import AGE, clear_dead_staging, writer_lives

STAGE = """
import sys, time
from pathlib import Path
from cpp_framework.store.files import temporary_path
path = temporary_path(Path(sys.argv[1]), "recipe")
path.write_bytes(b"half")
print(path, flush=True)
time.sleep(60)
"""
POOL = """
import os, time
from cpp_framework.execute import make_executor
pool = make_executor(2, "processes")
pool.submit(os.getpid).result()
print(os.getpid(), flush=True)
time.sleep(60)
"""


def begin(code: str, *arguments: object) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def kill(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def make_old(path: Path) -> None:
    os.utime(path, times=(time.time() - 2 * AGE,) * 2)


@pytest.mark.parametrize("age", [0.0, AGE])
def test_files_of_dead_processes_are_removed_when_they_are_old_enough(tmp_path: Path, age: float) -> None:
    mine = temporary_path(tmp_path, "recipe")
    mine.write_bytes(b"half")
    elsewhere = tmp_path / f"recipe.elsewhere.{os.getpid()}.0123456789ab.part"
    elsewhere.write_bytes(b"half")
    process, name = begin(STAGE, tmp_path)
    assert writer_lives(name) is True
    assert clear_dead_staging(tmp_path, age=0) == []
    kill(process)
    assert clear_dead_staging(tmp_path, beginning="another", age=age) == []
    if age:
        assert clear_dead_staging(tmp_path, age=age) == []
        make_old(Path(name))
    assert clear_dead_staging(tmp_path, beginning="recipe", age=age) == [Path(name)]
    assert sorted(tmp_path.iterdir()) == sorted([mine, elsewhere])


def test_a_run_clears_what_another_left(tmp_path: Path) -> None:
    for folder in ("staging", "leases", "scratch", "cache/measurements"):
        (tmp_path / folder).mkdir(parents=True)
    left = []
    for folder in ("staging", "cache/measurements"):
        process, name = begin(STAGE, tmp_path / folder)
        kill(process)
        make_old(Path(name))
        left.append(Path(name))
    (tmp_path / "leases" / "recipe.lease").write_text("process 1 on mars\n")
    (tmp_path / "leases" / "publishing").write_text("")
    (tmp_path / "scratch" / f"cpp-frames-{'0' * 32}" / "bias").mkdir(parents=True)
    (tmp_path / "scratch" / "mine").mkdir()
    clear_leftovers(tmp_path)
    assert not [path for path in left if path.exists()]
    assert [path.name for path in (tmp_path / "leases").iterdir()] == ["publishing"]
    assert [path.name for path in (tmp_path / "scratch").iterdir()] == ["mine"]


def test_links_in_a_folder_open_to_all_are_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch" / f"cpp-frames-{'0' * 32}").symlink_to(precious)
    clear_leftovers(tmp_path)
    assert precious.is_dir()
    assert list(precious.iterdir()) == []


def test_semaphores_of_a_pool_killed_as_a_whole_are_removed() -> None:
    process, pid = begin(POOL)
    here = Path("/dev/shm")
    semaphores = list(here.glob(f"sem.cpp-{pid}-*"))
    assert semaphores
    clear_abandoned_semaphores(age=0)
    assert all(path.exists() for path in semaphores), "those of a living process"
    kill(process)
    clear_abandoned_semaphores()
    assert all(path.exists() for path in semaphores), "another container's, perhaps"
    for path in semaphores:
        make_old(path)
    clear_abandoned_semaphores()
    assert not list(here.glob(f"sem.cpp-{pid}-*"))
