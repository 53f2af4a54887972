"""Things in the way of a raw file that are none, and names that are more than names."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator

from case import REFUSED, Case, Command, Prepare
from fits_bytes import with_value
from world import CANARY_COMMAND, World

ODD_NAMES = {
    "newline": "a\nb.fits",
    "carriage return": "a\rerror: all is well.fits",
    "escape": "\x1b[2J\x1b[31mred.fits",
    "bell and title": "\x1b]0;title\x07.fits",
    "tab": "a\tb.fits",
    "delete": "a\x7fb.fits",
    "right to left": "abc\u202estif.sys",
    "zero width": "a\u200bb.fits",
    "combining": "a" + "\u0301" * 60 + ".fits",
    "surrogate": "bad\udcff.fits",
    "NEL": "a\u0085b.fits",
    "line separator": "a\u2028b.fits",
    "only blanks": "   .fits",
    "leading dash": "-rf.fits",
    "option": "--repo=outside.fits",
    "quotes": "a'b\"c.fits",
    "dollar": f"$({CANARY_COMMAND}).fits",
    "backtick": f"`{CANARY_COMMAND}`.fits",
    "semicolon": f"a;{CANARY_COMMAND};.fits",
    "pipe": f"|{CANARY_COMMAND}.fits",
    "glob": "*?[a].fits",
    "percent": "%s%n%00.fits",
    "braces": "{0.__class__}.fits",
    "brackets": "[red]a[/red].fits",
    "extended syntax": "a.fits[1][col x=y]",
    "url": "http:x.fits",
    "gz without compression": "a.fits.gz",
    "long": "a" * 250 + ".fits",
    "emoji": "🔭.fits",
    "hidden": ".hidden.fits",
    "dots": "...fits",
    "registry": "registry.sqlite3",
}


def cases() -> Iterator[Case]:
    """All cases of this group."""
    for name, file in ODD_NAMES.items():
        yield Case(f"file name: {name}", _read(_argument(file)), _raw_as(file))
        yield Case(f"found file name: {name}", (("ingest", "."), ("find",), ("find", "--json")), _raw_as(file))
        yield Case(f"folder name: {name}", (("ingest", _argument(file)),), _raw_as(f"{file}/x.fits"))
    yield from _kinds_of_file()
    yield from _links()
    yield from _deep()


def _argument(file: str) -> str:
    return f"./{file}" if file.startswith("-") else file


def _read(file: str) -> tuple[Command, ...]:
    return (("ingest", file), ("instrument", "check", "simcam", file), ("instrument", "init", file))


def _raw_as(file: str) -> Prepare:
    def prepare(world: World) -> None:
        world.write(file, with_value(world.raw, 0, "OBSID", "HOSTILE"))

    return prepare


def _kinds_of_file() -> Iterator[Case]:
    makers: dict[str, Callable[[World, str], None]] = {
        "folder": lambda world, name: (world.work / name).mkdir(),
        "FIFO": lambda world, name: os.mkfifo(world.work / name),
        "socket": _bind,
        "dangling link": lambda world, name: (world.work / name).symlink_to("nowhere"),
        "link to itself": lambda world, name: (world.work / name).symlink_to(name),
        "link to a folder": lambda world, name: (world.work / name).symlink_to(world.outside),
        "link to zeros without end": lambda world, name: (world.work / name).symlink_to("/dev/zero"),
        "link to a terminal": lambda world, name: (world.work / name).symlink_to("/dev/tty"),
        "link to the process": lambda world, name: (world.work / name).symlink_to("/proc/self/mem"),
        "link to an endless name": lambda world, name: (world.work / name).symlink_to("x" * 4000),
        "link to the index": lambda world, name: (world.work / name).symlink_to(world.repo / "registry.sqlite3"),
    }
    for kind, make in makers.items():
        for name in ("x.fits", "x.yaml"):

            def prepare(world: World, make: Callable[[World, str], None] = make, name: str = name) -> None:
                make(world, name)

            lines = _read(name) if name == "x.fits" else _as_text(name)
            first = frozenset({0, *REFUSED}) if kind == "link to a folder" else REFUSED
            yield Case(f"{kind} called {name}", lines, prepare, first=first)
        yield Case(f"{kind} in a folder", (("ingest", "."),), prepare, codes=REFUSED)


def _bind(world: World, name: str) -> None:
    here = os.getcwd()  # noqa: PTH109 -- the path of a socket must be short
    os.chdir(world.work)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(name)
    os.chdir(here)


def _as_text(name: str) -> tuple[Command, ...]:
    return (
        ("init", "other", "--instrument", name),
        ("instrument", "check", name),
        ("instrument", "show", name),
        ("ingest", "../night", "--instrument", name),
        ("plan", "--type", "bias", "--config", name),
    )


def _links() -> Iterator[Case]:
    """Links in folders that are searched, and in the repository itself."""

    def circle(world: World) -> None:
        (world.work / "a").mkdir()
        (world.work / "a" / "b").symlink_to("..")
        (world.work / "a" / "c").symlink_to(world.root)

    def outside(world: World) -> None:
        (world.work / "x.fits").symlink_to(world.outside / "victim.fits")

    yield Case("folders linked in a circle", (("ingest", "."), ("ingest", "a/b/a/b/a/b")), circle)
    yield Case("link to a raw file outside", (("ingest", "x.fits"), ("flag", "x.fits", "--good")), outside)
    for folder in ("products", "instruments", "flags", "staging", "cache"):

        def moved(world: World, folder: str = folder) -> None:
            (world.repo / folder).rename(world.repo / f"{folder}.real")
            (world.repo / folder).symlink_to("nowhere")

        lines = (
            ("find", "--products"),
            ("show", "last"),
            ("flag", "3", "--bad", "--because", "x"),
            ("ingest", "../night"),
        )
        yield Case(f"{folder}/ is a dangling link", lines, moved)
    for target, writes in {
        "../outside": "outside",
        "../outside/new": "outside/new",
        "../night": "night",
        "../outside/victim.txt": "",
        "/dev/null/repo": "",
        "~": "work/~",
        "../work": "work",
    }.items():
        yield Case(f"init in {target}", (("init", target),), writes=(writes,))


def _deep() -> Iterator[Case]:
    def deep(world: World) -> None:
        folder = os.open(world.work, os.O_RDONLY)
        for _ in range(300):
            os.mkdir("d" * 50, dir_fd=folder)
            inside = os.open("d" * 50, os.O_RDONLY, dir_fd=folder)
            os.close(folder)
            folder = inside
        os.close(folder)

    yield Case("folders beyond the longest path", (("ingest", "."),), deep, codes=REFUSED)
    for name, path in {"long path": "x/" * 3000, "long name": "x" * 300, "ups": "../" * 90 + "x"}.items():
        yield Case(f"argument: {name}", (("ingest", path), ("instrument", "init", path)))
