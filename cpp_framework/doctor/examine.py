"""All checks, in the order in which they make sense."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from cpp_framework.doctor import installation, machine, repository, work
from cpp_framework.doctor.finding import Check, Finding, State, run_check
from cpp_framework.errors import CppError
from cpp_framework.store.locate import REGISTRY

_ENVIRONMENT: tuple[tuple[str, Check], ...] = (
    ("command cpp", partial(installation.check_command, "cpp")),
    ("command cpp-cal", partial(installation.check_command, "cpp-cal")),
    ("versions", installation.check_versions),
    ("plugins", installation.check_plugins),
    ("open files", machine.check_open_files),
    ("temporary files", machine.check_temporary),
    ("memory for frames", machine.check_ram_disk),
    ("compiled kernels", work.check_kernels),
    ("worker processes", work.check_workers),
)

_FOLDER: tuple[tuple[str, Callable[[Path], tuple[State, str, str]]], ...] = (
    ("file system", machine.check_file_system),
    ("locks", machine.check_locks),
    ("space", lambda root: machine.check_space({"repository": root, "staging": root / "staging"})),
)

_INDEX: tuple[tuple[str, Callable[[Path], tuple[State, str, str]]], ...] = (
    ("product files", repository.check_products),
    ("other files", repository.check_records),
    ("instruments", repository.check_instruments),
    ("certified products", repository.check_certified),
    ("orphans", repository.check_orphans),
    ("raw files", repository.check_raw_files),
)
"""Checks that need an index which can be read."""


def examine(repo: Path | None = None) -> Iterator[Finding]:
    """Look at the installation and, where there is one, at the repository; a finding comes when its check is done.

    Parameters
    ----------
    repo : Path, optional
        The repository; else ``$CPP_REPO``, else the nearest enclosing one, if there is one.
    """
    for name, check in _ENVIRONMENT:
        yield run_check(name, check)
    yield run_check("clock", partial(machine.check_clock, [Path(__file__)]))
    try:
        root = repository.find_root(repo)
    except (CppError, OSError) as error:
        yield Finding("repository", State.FAIL, str(error), getattr(error, "hint", "") or "--repo PATH names one")
        return
    if root is not None:
        yield from _examine_repository(root)


def _examine_repository(root: Path) -> Iterator[Finding]:
    yield run_check("repository", partial(repository.check_folders, root))
    for name, check in _FOLDER:
        yield run_check(name, partial(check, root))
    if (root / REGISTRY).exists():
        yield run_check("clock of the index", partial(machine.check_clock, [root / REGISTRY]))
    form = run_check("format of the index", partial(repository.check_format, root))
    yield form
    if form.state is State.FAIL:
        return
    sound = run_check("index", partial(repository.check_index, root))
    yield sound
    if sound.state is not State.FAIL:
        for name, check in _INDEX:
            yield run_check(name, partial(check, root))
