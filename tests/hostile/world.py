"""The world of a case: a repository with products, raw files, a home and bystanders that nothing may touch.

================  ==========================================================================
below the root    content
================  ==========================================================================
repo/             a repository of instrument simcam: five exposures, a verified bias, a flag
night/            the raw files it was ingested from
work/             the current folder; cases put their bad files here
home/             ``$HOME``
outside/          a bystander's files, a raw file among them; links and ``../`` of the cases point here
tmp/              ``$TMPDIR``; empty again when a command has ended
================  ==========================================================================
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import stat
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from cpp_framework.cli.main import main
from cpp_framework.store import REGISTRY

CANARY = "CODE_WAS_RUN"
"""Name of the file that executed input would leave, wherever it does."""
CANARY_COMMAND = f"touch {CANARY}"
_TABLES = {
    "product": ("id", "digest", "sha256", "path"),
    "verdict": ("id", "product", "document"),
    "exposure": ("instrument", "id", "detector"),
    "exposure_flag": ("id", "bad", "because"),
    "collection": ("name", "kind"),
    "instrument": ("name", "file"),
}
"""Rows of the index that no command of a case may take away."""
_KEPT = ("products", "instruments", "flags", "ledger")
"""Folders of the repository whose files stay as they are."""

Snapshot = dict[str, tuple[object, ...]]
Rows = set[tuple[object, ...]] | None


@dataclass(frozen=True)
class World:
    """The folders of a case; `build` makes them once, `restore` makes them again as they were."""

    root: Path

    @property
    def repo(self) -> Path:
        return self.root / "repo"

    @property
    def night(self) -> Path:
        return self.root / "night"

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def outside(self) -> Path:
        return self.root / "outside"

    @property
    def raw(self) -> bytes:
        """Bytes of a good raw file of simcam that is not in the repository."""
        return (self.outside / "victim.fits").read_bytes()

    @property
    def product(self) -> Path:
        """File of the one product."""
        return next(self.repo.glob("products/**/*.fits"))

    @property
    def verdict(self) -> Path:
        """File of the verdict on it."""
        return next(self.repo.glob("products/**/*.verdict_*.json"))

    def write(self, name: str, content: bytes | str) -> Path:
        """Write a file below ``work``."""
        path = self.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogateescape"))
        return path

    def index(self, statement: str, *values: object) -> None:
        """Change the repository's index behind its back."""
        with closing(sqlite3.connect(self.repo / REGISTRY)) as connection, connection:
            connection.execute(statement, values)


def build(root: Path) -> World:
    """Make the world in ``root`` by the program's own commands, and keep a copy of it beside ``root``."""
    world = World(root)
    for name in ("work", "home", "outside/folder", "tmp"):
        (root / name).mkdir(parents=True)
    (world.outside / "victim.txt").write_text("do not touch\n")
    (world.outside / "folder" / "inside.txt").write_text("nor this\n")
    os.environ["CPP_REPO"] = str(world.repo)
    _run(["sim", str(world.night), "--bias", "6"])
    shutil.move(world.night / "sim_bias_0006.fits", world.outside / "victim.fits")
    for line in (
        ["init", str(world.repo), "--instrument", "simcam"],
        ["ingest", str(world.night)],
        ["flag", "5", "--bad", "--because", "door open"],
        ["produce", "--type", "bias", "--executor", "serial", "--jobs", "1"],
        ["verify", "last"],
    ):
        _run(line)
    shutil.copytree(root, _copy_of(root), symlinks=True)
    return world


def restore(world: World) -> None:
    """Make the world again as `build` left it, whatever a case did to it."""
    if world.root.exists():
        remove(world.root)
    shutil.copytree(_copy_of(world.root), world.root, symlinks=True)


def warm_up(world: World) -> None:
    """Import what commands import, so that the processes forked from this one need not, whoever they run as."""
    os.environ["CPP_REPO"] = str(world.repo)
    for line in (
        ["plan", "--type", "bias"],
        ["produce", "--type", "bias", "--executor", "serial", "--jobs", "1", "--label", "warm"],
        ["verify", "last"],
        ["show", "last"],
        ["instrument", "init", str(world.outside / "victim.fits")],
    ):
        _run(line)
    restore(world)


def remove(folder: Path) -> None:
    """Remove a folder with everything in it, folders without permissions included."""
    for _, folders, _, descriptor in os.fwalk(os.fsencode(folder)):
        for inside in folders:
            if not stat.S_ISLNK(os.stat(inside, dir_fd=descriptor, follow_symlinks=False).st_mode):
                os.chmod(inside, 0o700, dir_fd=descriptor)
    shutil.rmtree(folder)


def snapshot(folder: Path, leave_out: Path | None = None) -> Snapshot:
    """Everything below a folder: kind, mode, and content of files or target of links."""
    found: Snapshot = {}
    # By descriptors and in bytes: names need not be text, and paths can be too long to be opened.
    for name, folders, files, descriptor in os.fwalk(os.fsencode(folder)):
        if leave_out is not None and os.fsencode(leave_out) == name:
            folders.clear()
            continue
        for inside in [*folders, *files]:
            path = os.fsdecode(name + b"/" + inside).removeprefix(f"{folder}/")
            found[path] = _state(inside, descriptor)
    return found


def rows_of(repository: Path) -> Rows:
    """Rows of the index that must survive; None if it cannot be read (a case damaged it)."""
    if not (repository / REGISTRY).is_file():  # a pipe would wait for ever
        return None
    try:
        with closing(sqlite3.connect(f"{(repository / REGISTRY).as_uri()}?mode=ro", uri=True)) as connection:
            connection.text_factory = bytes
            if connection.execute("PRAGMA integrity_check").fetchone() != (b"ok",):
                return None
            return {
                (table, *row)
                for table, columns in _TABLES.items()
                for row in connection.execute(f"SELECT {', '.join(columns)} FROM {table}")
            }
    except (sqlite3.Error, UnicodeDecodeError):
        return None


def kept_files(repository: Path) -> Snapshot:
    """Files of the repository that no command of a case may change or delete."""
    return {
        f"{folder}/{name}": state
        for folder in _KEPT
        if (repository / folder).is_dir()
        for name, state in snapshot(repository / folder).items()
        if state[0] in ("file", "large file")
    }


def metadata_of(world: World) -> str:
    """The product's METADATA document, to be mutated by cases."""
    from astropy.io import fits

    with fits.open(world.product) as hdus:
        document = "".join(str(line) for line in hdus["METADATA"].data["JSON"])
    json.loads(document)
    return document


def _run(line: list[str]) -> None:
    code = main(line)
    assert code in (0, 4), (line, code)  # a verdict on five frames may be what it likes


def _copy_of(root: Path) -> Path:
    return root.with_name(root.name + ".copy")


def _state(name: bytes, folder: int) -> tuple[object, ...]:
    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISLNK(found.st_mode):
        return ("link", os.readlink(name, dir_fd=folder))
    if not stat.S_ISREG(found.st_mode):
        return (stat.S_IFMT(found.st_mode), stat.S_IMODE(found.st_mode))
    if found.st_size > _LARGE:  # sparse files of cases: reading them would take longer than the case
        return ("large file", found.st_size, found.st_mtime_ns)
    return ("file", stat.S_IMODE(found.st_mode), found.st_size, found.st_mtime_ns, _digest(name, folder))


_LARGE = 10_000_000


def _digest(name: bytes, folder: int) -> str:
    try:
        descriptor = os.open(name, os.O_RDONLY, dir_fd=folder)
    except PermissionError:
        return "unreadable"
    with os.fdopen(descriptor, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
