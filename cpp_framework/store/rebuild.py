"""Making the index of a repository anew from its files.

Products come from their own headers, verdicts, flags and the ledger from the files beside them. What only layers above
can read (instruments, and the headers of raw files) is left to them (`Restore`). The new index is built
under a temporary name; the old one, however damaged, is moved aside and never deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cpp_framework.errors import ConflictError, NotFoundError, StoreError
from cpp_framework.plugins import Plugins
from cpp_framework.store.base import FOLDERS
from cpp_framework.store.clock import now_compact
from cpp_framework.store.files import make_folder, publish, storage_errors, sync_folder, temporary_path
from cpp_framework.store.leases import holders
from cpp_framework.store.locate import ELSEWHERE, REGISTRY
from cpp_framework.store.publishing import publishing
from cpp_framework.store.rebuild_history import insert_flags, insert_ledger, read_ledger
from cpp_framework.store.rebuild_products import insert_products
from cpp_framework.store.rebuild_report import RebuildReport
from cpp_framework.store.records import Act
from cpp_framework.store.sqlite import SqliteDatabase
from cpp_framework.store.store import Store

Restore = Callable[[Store, RebuildReport], None]
"""Registers instruments and exposures in the new index: what this layer cannot read."""

_BESIDE = ("-journal", "-wal", "-shm")
"""Ends of the names of files SQLite keeps beside an index; beside another one they would destroy it."""
_PATIENCE = 10.0
"""Seconds to wait for others who publish."""


def rebuild(root: Path, plugins: Plugins, restore: Restore, progress: Callable[[str], None]) -> RebuildReport:
    """Make the index of the repository in ``root`` anew, and put it in the place of the old one.

    Killed at any moment, repeating it finishes it, and no file is lost.

    Parameters
    ----------
    root : Path
        The repository; its index may be damaged, of any format, or gone.
    plugins : Plugins
        Where the classes of products are looked up, to check their content.
    restore : callable
        See `Restore`.
    progress : callable
        Is told the path of each product that was read.

    Raises
    ------
    NotFoundError
        There is nothing like a repository.
    ConflictError
        Somebody is working in the repository.
    StoreError
        A server keeps the index, the disk is full, or permission is missing; nothing has changed then.
    """
    root = root.absolute()
    _check_root(root)
    with storage_errors(root):
        for folder in FOLDERS:
            make_folder(root / folder)
    _check_idle(root)
    report = RebuildReport(root)
    staged = temporary_path(root / "staging", REGISTRY)
    try:
        with publishing(root / "leases", alone=True, timeout=_PATIENCE), storage_errors(root):
            database = SqliteDatabase(staged)
            database.create_tables()
            with database.write() as connection:
                lines = read_ledger(root, report)
                removed = {one.product: one.made for one in lines if one.action is Act.REMOVE}
                insert_products(connection, root, plugins, removed, report, progress)
                insert_ledger(connection, lines, report)
                insert_flags(connection, root, report)
            restore(_Unpublished(root, database), report)
            report.moved = _move_aside(root)
            publish(staged, root / REGISTRY)
    finally:
        staged.unlink(missing_ok=True)
    return report


class _Unpublished(Store):
    """A store whose index nobody else sees, made while the lock of publishing is held."""

    @contextmanager
    def _publishing(self, *, alone: bool = False) -> Iterator[None]:  # noqa: ARG002
        yield


def _check_root(root: Path) -> None:
    if (root / ELSEWHERE).is_file():
        raise StoreError(
            f"the index of {root} is kept by a database server ({ELSEWHERE} names it); only an index in a file is "
            "made anew",
            hint="restore the server's own backup (pg_dump, pg_restore)",
        )
    if not ((root / REGISTRY).exists() or (root / "products").is_dir()):
        raise NotFoundError(
            f"{root} is no repository: it has neither {REGISTRY} nor a folder products", hint=f"cpp init {root}"
        )


def _check_idle(root: Path) -> None:
    at_work = holders(root / "leases")
    if at_work:
        raise ConflictError(f"somebody is working in {root}: {', '.join(at_work)}", hint="wait until that has ended")


def _move_aside(root: Path) -> Path | None:
    """Give the old index another name, with what SQLite keeps beside it.

    The index goes first: without it, nobody opens what is beside it. If a rebuild was killed after that, what it
    left beside belongs to the index moved last.
    """
    index, moved = root / REGISTRY, None
    earlier = sorted(path for path in root.glob(f"{REGISTRY}.before-*") if not path.name.endswith(_BESIDE))
    if index.exists() or index.is_symlink():
        moved = _free_name(root)
        index.rename(moved)
    home = moved or (earlier[-1] if earlier else _free_name(root))
    for end in _BESIDE:
        beside, target = index.with_name(REGISTRY + end), home.with_name(home.name + end)
        if beside.exists():
            beside.rename(target if not target.exists() else target.with_name(f"{target.name}.{now_compact()}"))
    sync_folder(root)
    return moved


def _free_name(root: Path) -> Path:
    wanted = f"{REGISTRY}.before-{now_compact()}"
    name, i = wanted, 0
    while list(root.glob(f"{name}*")):
        i += 1
        name = f"{wanted}_{i}"
    return root / name
