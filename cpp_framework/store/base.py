"""The root of a repository and its database: what every part of a `Store` builds on."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from cpp_framework.errors import ConflictError, NotFoundError
from cpp_framework.store.database import LOCK_TIMEOUT, Database
from cpp_framework.store.files import make_folder, publish, publish_text, storage_errors, temporary_path, unpublish
from cpp_framework.store.leases import Lease
from cpp_framework.store.locate import ELSEWHERE, REGISTRY, is_repository, read_elsewhere, write_elsewhere
from cpp_framework.store.publishing import publishing
from cpp_framework.store.records import ProductRecord
from cpp_framework.store.sqlite import MemoryDatabase, SqliteDatabase

FOLDERS = ("products", "instruments", "flags", "ledger", "ingests", "staging", "leases", "cache/measurements")


class StoreBase:
    """A folder and the database that says what is in it."""

    def __init__(
        self, root: Path, database: Database, *, lock_timeout: float = LOCK_TIMEOUT, temporary: bool = False
    ) -> None:
        self.root = root
        self._database = database
        self._lock_timeout = lock_timeout
        self._temporary = temporary

    @classmethod
    def create(cls, root: Path, registry: str = "") -> Self:
        """Make a repository in ``root``, which may exist and hold other things.

        Parameters
        ----------
        root : Path
            Its folder.
        registry : str
            Where its index is kept: empty for a file in the folder, else a URL ``postgresql://user@host/database``
            (the password comes from the environment or ``~/.pgpass``, as for every PostgreSQL program).

        Raises
        ------
        ConflictError
            There is one already, or there are products of one.
        """
        root = root.absolute()
        with storage_errors(root):
            for folder in FOLDERS:
                make_folder(root / folder)
        if is_repository(root):
            raise ConflictError(f"{root} is a repository already", hint="use it, or choose another folder")
        if any((root / "products").iterdir()):
            raise ConflictError(
                f"{root} holds products, but its {REGISTRY} is gone",
                hint=f"restore it, or make it anew: cpp doctor --rebuild --repo {root}",
            )
        cls._create_registry(root, registry)
        return cls.open(root)

    @classmethod
    def open(cls, root: Path, write: bool = True, lock_timeout: float = LOCK_TIMEOUT) -> Self:
        """Open a repository; with ``write=False`` no permission to write is needed.

        Raises
        ------
        NotFoundError
            There is none in ``root``.
        FormatVersionError
            A newer or an older version of the framework made it.
        """
        root = root.absolute()
        database = open_database(root, write, lock_timeout)
        database.check_version()
        return cls(root, database, lock_timeout=lock_timeout)

    @classmethod
    def in_memory(cls) -> Self:
        """A repository for tests and notebooks: its index in memory, its files in a private temporary folder.

        Use it in a ``with`` block, or `close` it: the folder is removed then.
        """
        root = Path(tempfile.mkdtemp(prefix="cpp-memory-"))
        for folder in FOLDERS:
            make_folder(root / folder)
        return cls(root, MemoryDatabase(), temporary=True)

    def close(self) -> None:
        """Give back what the store holds; a repository in memory is gone then, others stay as they are."""
        if self._temporary:
            shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def writable(self) -> bool:
        """Whether this store was opened for writing."""
        return self._database.writable

    def path(self, record: ProductRecord) -> Path:
        """The file of a product."""
        return self.root / record.path

    def staging_file(self, recipe: str) -> Path:
        """A path to write a product to before `put`; used by nobody else."""
        return temporary_path(self.root / "staging", recipe[:16])

    def lease(self, name: str) -> Lease | None:
        """Take the right to work on ``name`` (a recipe) alone; None while somebody else has it.

        The lease ends with `Lease.release`, or when this process dies, however it dies.
        """
        return self._database.lease(self.root / "leases", name)

    @contextmanager
    def _publishing(self, *, alone: bool = False) -> Iterator[None]:
        """Held from the publishing of a file to the commit of its row; ``alone`` waits until nobody holds it."""
        self._database.check_writable()
        with publishing(self.root / "leases", alone=alone, timeout=self._lock_timeout):
            yield

    @contextmanager
    def _withdrawing(self, files: list[Path]) -> Iterator[Callable[[], None]]:
        """Files that were published (or staged) in vain go again if the block fails before it says ``commit begins``.

        Once a commit has begun it may have happened, so they stay then; if it did not, no row names them.
        """
        committing: list[bool] = []
        try:
            yield lambda: committing.append(True)
        except BaseException:
            if not committing:
                unpublish(files)
            raise

    @classmethod
    def _create_registry(cls, root: Path, registry: str) -> None:
        if registry:
            from cpp_framework.store.postgres import create_postgres

            url, schema = create_postgres(registry)
            publish_text(write_elsewhere(url, schema), root / ELSEWHERE, root / "staging")
            return
        # Built under a temporary name and published whole: nobody ever opens a registry without its tables.
        staged = temporary_path(root / "staging", REGISTRY)
        try:
            with storage_errors(root):
                SqliteDatabase(staged).create_tables()
            publish(staged, root / REGISTRY)
        finally:
            staged.unlink(missing_ok=True)


def open_database(root: Path, write: bool = True, lock_timeout: float = LOCK_TIMEOUT) -> Database:
    """Connect to the index of the repository in ``root``, whatever its format version.

    Raises
    ------
    NotFoundError
        There is no repository.
    """
    if (root / REGISTRY).is_file():
        return SqliteDatabase(root / REGISTRY, write=write, lock_timeout=lock_timeout)
    if (root / ELSEWHERE).is_file():
        from cpp_framework.store.postgres import PostgresDatabase

        url, schema = read_elsewhere(root)
        return PostgresDatabase(url, schema, write=write, lock_timeout=lock_timeout)
    raise NotFoundError(f"{root} is not a repository: it has no {REGISTRY}", hint=f"cpp init {root}")
