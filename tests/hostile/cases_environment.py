"""The installed program in a broken environment: variables, streams, permissions, folders that are none."""

from __future__ import annotations

import os
from collections.abc import Iterator

from case import REFUSED, Case, Command, Prepare, nothing
from world import World

SMALL: tuple[Command, ...] = (("find",),)
PRODUCE = ("produce", "--type", "bias", "--executor", "serial", "--jobs", "1", "--label", "again")


def cases() -> Iterator[Case]:
    """All cases of this group."""
    yield from _variables()
    yield from _streams()
    yield from _permissions()


def _variables() -> Iterator[Case]:
    for value in (
        "{world}/outside/victim.txt", "{world}/nothing", "", "/dev/null", "\udcff", "x" * 5000, "~", "-",
        "{world}/repo/registry.sqlite3",
    ):  # fmt: skip
        first = Case.first if value == "" else frozenset({1, *REFUSED})
        yield Case(
            f"CPP_REPO={value[:40]!a}",
            (("find",), ("init", "new")),
            environment={"CPP_REPO": value},
            first=first,
            writes=("work/new",),
        )
    for value in ("0", "abc", "-5", "99999999999999999999", "1", "", "nan", "٣"):
        yield Case(f"COLUMNS={value!a}", (("find",),), environment={"COLUMNS": value}, real=True)
    for name, values in {
        "TERM": ("", "dumb", "nonsense", "\x1b[31m"),
        "LANG": ("C", "nonsense.UTF-99"),
        "LC_ALL": ("C", "POSIX"),
        "PYTHONIOENCODING": ("ascii", "latin-1:strict"),
        "TZ": ("Nonsense/Nowhere", ""),
        "HOME": ("/nonexistent", "", "relative", None),
        "TMPDIR": ("/nonexistent", ""),
        "XDG_CACHE_HOME": ("/dev/null", "relative"),
        "NUMBA_CACHE_DIR": ("/proc/nothing",),
        "OMP_NUM_THREADS": ("abc",),
        "NO_COLOR": ("1",),
        "PATH": ("",),
        "USER": (None,),
    }.items():
        for value in values:
            yield Case(f"{name}={value!a}", SMALL, environment={name: value}, real=True)
    yield Case(
        "no home, no user, produce", (PRODUCE,), environment={"HOME": "/nonexistent", "USER": None, "LOGNAME": None}
    )
    for line in (("find",), ("init",), ("init", "new"), ("ingest", "."), ("ingest", "../x.fits"), ("plugins",)):
        yield Case(f"current folder gone: {' '.join(line)}", (line,), _gone, folder="work/gone", vanishes=True)


def _gone(world: World) -> None:
    (world.work / "gone").mkdir()


def _streams() -> Iterator[Case]:
    for closed in ((0,), (1,), (2,), (0, 1, 2)):
        for line in (("find",), ("show", "nothing")):
            yield Case(f"{' '.join(line)} with {closed} closed", (line,), closed=closed, real=True)


def _permissions() -> Iterator[Case]:
    lines: tuple[Command, ...] = (
        ("find",), ("show", "last"), ("plan", "--type", "bias"), ("flag", "3", "--bad", "--because", "x"),
        ("ingest", "../outside/victim.fits"), PRODUCE, ("verify", "last"), ("init", "../repo/inside"),
    )  # fmt: skip
    modes: dict[str, Prepare] = {
        "nothing writable": nothing,
        "repository unreadable": lambda world: world.repo.chmod(0),
        "index unreadable": lambda world: (world.repo / "registry.sqlite3").chmod(0),
        "products unreadable": lambda world: (world.repo / "products").chmod(0),
        "one product unreadable": lambda world: world.product.chmod(0),
        "instrument unreadable": lambda world: (world.repo / "instruments" / "simcam.yaml").chmod(0),
        "raw files unreadable": lambda world: world.night.chmod(0),
        "one raw file unreadable": lambda world: (world.night / "sim_bias_0002.fits").chmod(0),
        "new raw file unreadable": lambda world: (world.outside / "victim.fits").chmod(0),
        "home unreadable": lambda world: (world.root / "home").chmod(0),
        "current folder unreadable": lambda world: world.work.chmod(0o111),
        "index writable, folder not": lambda world: (world.repo / "registry.sqlite3").chmod(0o666),
        "folder writable, index not": lambda world: world.repo.chmod(0o777),
        "everything writable but products": _all_but_products,
    }
    for name, change in modes.items():
        yield Case(f"as another user: {name}", lines, change, unprivileged=True)


def _all_but_products(world: World) -> None:
    for name, folders, files in os.walk(world.repo):
        for inside in [*folders, *files]:
            os.chmod(f"{name}/{inside}", 0o777)  # noqa: PTH101
    world.repo.chmod(0o777)
    (world.repo / "products").chmod(0o555)
