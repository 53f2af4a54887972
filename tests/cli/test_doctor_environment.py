"""`cpp doctor` on what is installed and on the machine: every check is made to find something real."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cpp_framework.doctor import State, installation, machine
from cpp_framework.doctor.finding import Answer, run_check


def asked(check: Callable[..., Answer], *arguments: Any) -> tuple[State, str]:
    """State of a check, and all it says; whatever is not well has a hint."""
    finding = run_check("check", lambda: check(*arguments))
    assert bool(finding.hint) == (finding.state is not State.OK), finding
    return finding.state, f"{finding.found} | {finding.hint}"


# What is installed.


def program(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_another_program_called_cpp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = program(tmp_path / "bin", "cpp", "#!/bin/sh\necho preprocessed\n")
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")
    state, said = asked(installation.check_command, "cpp")
    assert state is State.WARN
    assert f"cpp is {path}, another program" in said
    assert "cpp-cal" in said


def test_the_command_of_another_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = program(tmp_path / "bin", "cpp", "#!/elsewhere/python\nfrom cpp_framework.cli.main import run\nrun()\n")
    monkeypatch.setenv("PATH", str(path.parent))
    state, said = asked(installation.check_command, "cpp")
    assert state is State.WARN
    assert f"{path}, of another environment than {sys.prefix}" in said


def test_our_command_also_behind_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = Path(sysconfig.get_path("scripts"))
    monkeypatch.setenv("PATH", str(scripts))
    assert asked(installation.check_command, "cpp")[0] is State.OK
    (tmp_path / "cpp").symlink_to(scripts / "cpp")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert asked(installation.check_command, "cpp")[0] is State.OK
    state, said = asked(installation.check_command, "cpp-cal")
    assert state is State.WARN
    assert f"export PATH={scripts}:$PATH" in said


def distribution(folder: Path, name: str, version: str, needs: str = "", plugin: str = "") -> None:
    """Put the metadata of an installed distribution into a folder, as pip would."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (info / "METADATA").write_text(text + (f"Requires-Dist: {needs}\n" if needs else ""))
    if plugin:
        (info / "entry_points.txt").write_text(f"[cpp_framework]\n{plugin} = {plugin}\n")


def test_a_library_that_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distribution(tmp_path, "numpy", "1.0")
    monkeypatch.syspath_prepend(tmp_path)
    state, said = asked(installation.check_versions)
    assert state is State.FAIL
    assert "cpp-framework needs numpy>=1.26, 1.0 is installed" in said


def test_what_a_plugin_needs_and_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "p_needy.py").write_text("")
    distribution(tmp_path, "cpp-needy", "1.0", needs="a-library-nobody-has>=3", plugin="p_needy")
    monkeypatch.syspath_prepend(tmp_path)
    state, said = asked(installation.check_versions)
    assert state is State.FAIL
    assert "cpp-needy needs a-library-nobody-has>=3, which is not installed" in said


def test_a_broken_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "p_broken_doctor.py").write_text("import does_not_exist_anywhere")
    distribution(tmp_path, "cpp-broken", "1.2", plugin="p_broken_doctor")
    monkeypatch.syspath_prepend(tmp_path)
    state, said = asked(installation.check_plugins)
    assert state is State.FAIL
    assert "p_broken_doctor of cpp-broken 1.2: ModuleNotFoundError" in said


def test_a_plugin_installed_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("1.0", "2.0"):
        distribution(tmp_path / version, "cpp-twice", version, plugin="p_twice_doctor")
        (tmp_path / version / "p_twice_doctor.py").write_text("")
        monkeypatch.syspath_prepend(tmp_path / version)
    state, said = asked(installation.check_plugins)
    assert state is State.WARN
    assert f"cpp-twice: 2.0 in {tmp_path / '2.0'}, 1.0 in {tmp_path / '1.0'} (the first is used)" in said


def test_no_type_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CPP_PLUGINS", "none-of-them")
    assert asked(installation.check_plugins)[0] is State.WARN


# The machine.


def test_too_few_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        state, said = asked(machine.check_open_files)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert state is State.FAIL
    assert "only 200 open files" in said
    assert "ulimit -n" in said


def test_space(tmp_path: Path) -> None:
    folders = {"here": tmp_path}
    assert asked(machine.check_space, folders, 0, 0)[0] is State.OK
    assert asked(machine.check_space, folders, 0, 2**62)[0] is State.WARN
    state, said = asked(machine.check_space, folders, 2**62, 2**62)
    assert state is State.FAIL
    assert str(tmp_path) in said
    assert asked(machine.check_space, {"gone": tmp_path / "gone"})[0] is State.FAIL


def test_temporary_files_have_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    state, said = asked(machine.check_temporary)
    assert state is State.FAIL
    assert str(tmp_path / "gone") in said


def test_no_memory_for_frames(tmp_path: Path) -> None:
    assert asked(machine.check_ram_disk, tmp_path / "gone")[0] is State.WARN
    assert asked(machine.check_ram_disk, tmp_path, 2**62)[0] is State.WARN


def test_a_network_file_system(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    place = str(tmp_path / "a share").replace(" ", r"\040")
    mounts.write_text(f"/dev/sda1 / ext4 rw 0 0\nserver:/data {place} nfs4 rw 0 0\nproc /proc proc rw 0 0\n")
    (tmp_path / "a share" / "repo").mkdir(parents=True)
    state, said = asked(machine.check_file_system, tmp_path / "a share" / "repo", mounts)
    assert state is State.WARN
    assert f"nfs4 at {tmp_path / 'a share'}" in said
    assert "PostgreSQL" in said
    assert asked(machine.check_file_system, tmp_path, mounts) == (State.OK, "ext4 at / | ")


def test_kernels_that_cannot_be_kept(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    state, said = in_a_new_process(
        "from cpp_framework.doctor.work import check_kernels as check", NUMBA_CACHE_DIR=str(tmp_path / "file" / "cache")
    )
    assert state == "warn"
    assert "compiled anew in every run" in said
    assert "NUMBA_CACHE_DIR" in said


def test_workers_whose_fork_server_loads_nothing() -> None:
    state, said = in_a_new_process(
        "from multiprocessing import forkserver; forkserver.ensure_running()\n"
        "from cpp_framework.doctor.work import check_workers as check"
    )
    assert state == "warn"
    assert "has not loaded cpp_framework.run.work" in said


def test_workers_that_cannot_start() -> None:
    state, said = in_a_new_process(
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8))\n"
        "from cpp_framework.doctor.work import check_workers as check",
        first="from cpp_framework.doctor.work import check_workers",
    )
    assert state == "fail"
    assert "Too many open files" in said


def in_a_new_process(preparation: str, first: str = "", **environment: str) -> tuple[str, str]:
    """State and words of a check, asked in a fresh interpreter."""
    code = (
        f"{first}\n{preparation}\nfrom cpp_framework.doctor.finding import run_check\n"
        "if __name__ == '__main__':\n    one = run_check('c', check); print(one.state, one.found, '|', one.hint)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    state, _, said = done.stdout.partition(" ")
    return state, said
