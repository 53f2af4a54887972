"""One holder at a time: handles, threads and processes exclude each other, and a killed holder's lease is free."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cpp_framework.errors import StoreError
from cpp_framework.store import Store
from cpp_framework.store.leases import clear_abandoned_leases, holder, try_lease

HOLD = """
import sys, time
from pathlib import Path
from cpp_framework.store.leases import try_lease
lease = try_lease(Path(sys.argv[1]), "recipe")
print("held" if lease else "refused", flush=True)
time.sleep(60)
"""

CONTEND = """
import sys
from pathlib import Path
from cpp_framework.store.leases import try_lease
folder, counter = Path(sys.argv[1]), Path(sys.argv[2])
done = 0
while done < 300:
    lease = try_lease(folder, "recipe")
    if lease is None:
        continue
    counter.write_text(str(int(counter.read_text()) + 1))
    done += 1
    lease.release()
"""


def run(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True)


def test_two_handles_of_one_process_exclude_each_other(tmp_path: Path) -> None:
    first = try_lease(tmp_path, "recipe")
    assert first is not None
    assert try_lease(tmp_path, "recipe") is None
    with try_lease(tmp_path, "other") as other:
        assert other is not None
    first.release()
    first.release()
    again = try_lease(tmp_path, "recipe")
    assert again is not None
    again.release()
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_made_and_odd_names_stay_inside_it(tmp_path: Path) -> None:
    folder = tmp_path / "leases"
    with try_lease(folder, "../../etc/passwd"):
        assert [path.parent for path in tmp_path.rglob("*.lease")] == [folder]


def test_the_holder_is_told_and_its_death_frees_the_lease(tmp_path: Path) -> None:
    process = run(HOLD, tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    assert try_lease(tmp_path, "recipe") is None
    assert holder(tmp_path, "recipe").startswith(f"process {process.pid} on {os.uname().nodename} since ")
    clear_abandoned_leases(tmp_path)
    assert try_lease(tmp_path, "recipe") is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert holder(tmp_path, "recipe") != "", "the file of a killed holder stays"
    clear_abandoned_leases(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert holder(tmp_path, "recipe") == ""


def test_a_lease_is_never_held_twice_while_its_file_comes_and_goes(tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    processes = [run(CONTEND, tmp_path / "leases", counter) for _ in range(3)]
    for process in processes:
        process.communicate(timeout=120)
        assert process.returncode == 0
    assert counter.read_text() == "900"


def test_a_lease_given_back_is_free_though_a_forked_process_has_its_file_open(tmp_path: Path) -> None:
    code = """
import os, sys, time
from pathlib import Path
from cpp_framework.store.leases import try_lease
lease = try_lease(Path(sys.argv[1]), "recipe")
child = os.fork()
if child == 0:
    time.sleep(30)
    os._exit(0)
lease.release()
again = try_lease(Path(sys.argv[1]), "recipe")
os.kill(child, 9)
print("free" if again else "held")
"""
    out, _ = run(code, tmp_path).communicate(timeout=30)
    assert out == "free\n"


def test_release_does_not_remove_the_file_of_a_later_holder(tmp_path: Path) -> None:
    first = try_lease(tmp_path, "recipe")
    assert first is not None
    (tmp_path / "recipe.lease").unlink()  # as when the whole folder is removed
    second = try_lease(tmp_path, "recipe")
    assert second is not None
    first.release()
    assert try_lease(tmp_path, "recipe") is None
    second.release()


def test_two_stores_and_two_threads_exclude_each_other(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "repo")
    other = Store.open(tmp_path / "repo")
    got: list[object] = []
    with store.lease("recipe") as lease:
        assert lease is not None
        assert other.lease("recipe") is None
        thread = threading.Thread(target=lambda: got.append(store.lease("recipe")))
        thread.start()
        thread.join()
    assert got == [None]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        try_lease(tmp_path / "file", "recipe")
