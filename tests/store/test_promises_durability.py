"""Promises 2 and 3: flushed before it is named, named before it is committed; every damage is found."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from cpp_framework.store import REGISTRY, ProductRecord, Store
from cpp_framework.store.audit import Problem
from cpp_framework.store.files import file_sha256
from cpp_framework.store.garbage import Reason


class Disk:
    """A recording of what a store does to the disk, from which is known what a power failure would leave.

    After one, a file holds what it held when it was last flushed (nothing if it never was), and a folder the names it
    had when it was last flushed. The index, which SQLite flushes by itself, is taken as it is.
    """

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch, flush: bool = True) -> None:
        self.steps: list[tuple[str, str]] = []
        """Flushes, links, removals and commits with the name of the file, in order."""
        self.commits: list[tuple[dict[int, bytes], dict[int, dict[str, int]], bytes]] = []
        """At every commit: contents by inode, names by inode of the folder; and the index after it."""
        self._root = store.root
        self._contents: dict[int, bytes] = {}
        self._names: dict[int, dict[str, int]] = {}
        self._open: list[int] = []
        for path in [store.root, *store.root.rglob("*")]:
            self._open.append(os.open(path, os.O_RDONLY))
            self._flushed(self._open[-1])
        event.listen(store._database._engine, "commit", self._commit)
        real = {name: getattr(os, name) for name in ("fsync", "link", "unlink")}

        def fsync(descriptor: int) -> None:
            self.steps.append(("fsync", Path(f"/proc/self/fd/{descriptor}").resolve().name))
            real["fsync"](descriptor)
            if flush:
                self._flushed(descriptor)

        def link(source: Path, target: Path) -> None:
            self.steps.append(("link", Path(target).name))
            real["link"](source, target)

        def unlink(path: Path) -> None:
            real["unlink"](path)  # recorded only if there was something
            self.steps.append(("unlink", Path(path).name))

        for function in (fsync, link, unlink):
            monkeypatch.setattr(os, function.__name__, function)

    def after_power_failures(self, folder: Path) -> Iterator[Store]:
        """The repository as it would be if the power failed just after each commit."""
        self._keep_index()
        for i, (contents, names, index) in enumerate(self.commits):
            root = folder / f"commit{i}"
            restore(root, self._root.stat().st_ino, contents, names)
            (root / REGISTRY).write_bytes(index)
            yield Store.open(root)

    def close(self) -> None:
        for descriptor in self._open:
            os.close(descriptor)

    def _flushed(self, descriptor: int) -> None:
        state = os.fstat(descriptor)
        self._open.append(os.dup(descriptor))  # so that no other file gets its inode
        if stat.S_ISDIR(state.st_mode):
            with os.scandir(descriptor) as entries:
                self._names[state.st_ino] = {one.name: one.inode() for one in entries}
        else:
            self._contents[state.st_ino] = os.pread(descriptor, state.st_size, 0)

    def _commit(self, connection: Connection) -> None:
        if connection.get_execution_options().get("begin") != "BEGIN IMMEDIATE":
            return
        self.steps.append(("commit", ""))
        self._keep_index()
        names = {inode: dict(entries) for inode, entries in self._names.items()}
        self.commits.append((dict(self._contents), names, b""))

    def _keep_index(self) -> None:
        """Keep the index as the last commit left it; the next one has not touched it yet."""
        if self.commits:
            contents, names, _ = self.commits[-1]
            self.commits[-1] = (contents, names, (self._root / REGISTRY).read_bytes())


def restore(folder: Path, inode: int, contents: dict[int, bytes], names: dict[int, dict[str, int]]) -> None:
    """Write a folder and what is in it as they were flushed."""
    folder.mkdir()
    for name, one in names[inode].items():
        if one in names:
            restore(folder / name, one, contents, names)
        else:
            (folder / name).write_bytes(contents.get(one, b""))


@pytest.fixture
def record_disk(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Disk]]:
    disks = []

    def start(flush: bool = True) -> Disk:
        disks.append(Disk(store, monkeypatch, flush))
        return disks[-1]

    yield start
    for disk in disks:
        disk.close()


def test_promise_2_order_of_steps(store: Store, put, put_verdict, make_exposure, make_raw, record_disk) -> None:
    """Each file is flushed, then named, then its folder is flushed, and only then its row is committed."""
    store.ingest([make_raw(make_exposure(1))])
    run = store.new_run("bias")
    disk = record_disk()

    def steps_of(act: Callable[..., Any], *arguments: Any, **keywords: Any) -> tuple[Any, list[tuple[str, str]]]:
        disk.steps.clear()
        return act(*arguments, **keywords), list(disk.steps)

    def published(name: str, steps: list[tuple[str, str]]) -> None:
        """Check the four steps that publish a file, and take them away."""
        kinds = [kind for kind, _ in steps[:4]]
        assert kinds == ["fsync", "link", "unlink", "fsync"], steps
        assert steps[0][1] == steps[2][1]
        assert steps[0][1].endswith(".part")
        assert (steps[1][1], steps[3][1]) == (name, folder)
        del steps[:4]

    record, steps = steps_of(put, store, run)
    folder = store.path(record).parent.name
    # The folders made on the way are flushed into those above them first.
    assert steps[:2] == [("fsync", "products"), ("fsync", "ci_cpp_bias")]
    del steps[:2]
    published(Path(record.path).name, steps)
    assert steps == [("commit", "")]

    verdict, steps = steps_of(put_verdict, store, record)
    published(f"{Path(record.path).stem}.verdict_{verdict.id[-8:]}.json", steps)
    assert steps == [("commit", "")]

    for folder, act, arguments in (
        ("flags", store.flag, ("1", True, "door open")),
        ("ingests", store.ingest, ([make_raw(make_exposure(2))],)),
        ("ledger", store.certify, ([record.id], 0, 10)),
        ("ledger", store.decertify, ([record.id], 5, 10)),
        ("ledger", store.decertify, ([record.id],)),
        ("ledger", store.tag, ("best", [record.id])),
        ("ledger", store.untag, ("best", [record.id])),
    ):
        before = set((store.root / folder).iterdir())
        _, steps = steps_of(act, *arguments)
        (new,) = set((store.root / folder).iterdir()) - before
        published(new.name, steps)
        assert steps == [("commit", "")]

    before = set((store.root / "ledger").iterdir())
    _, steps = steps_of(store.remove, record.id, "no reason")
    (new,) = set((store.root / "ledger").iterdir()) - before
    published(new.name, steps)
    folder = store.path(record).parent.name
    files = [Path(record.path).name, f"{Path(record.path).stem}.verdict_{verdict.id[-8:]}.json"]
    assert steps == [
        ("commit", ""), *[("unlink", name) for name in files], ("fsync", folder), ("commit", "")
    ]  # fmt: skip


def history(store: Store, put_real, put_verdict) -> None:
    """Acts of every kind."""
    run = store.new_run("bias")
    records = [put_real(store, run, float(i), detector=i, key={"detector": i}) for i in range(3)]
    for one in records:
        put_verdict(store, one)
    newer = put_real(store, level=3.0)
    put_verdict(store, newer)
    store.flag("1", True, "door open")
    store.certify([one.id for one in records], 0, None)
    store.certify([newer.id], 10, 20, supersede=True)
    store.tag("best", [records[1].id, newer.id])
    store.decertify([records[2].id])
    store.remove(records[2].id, "no reason")


def test_promise_2_after_a_power_failure_what_is_visible_is_whole(
    store: Store, put_real, put_verdict, make_exposure, make_raw, record_disk, tmp_path: Path
) -> None:
    """Writes that were not flushed are dropped at each commit: nothing that rows name is missing or short."""
    store.ingest([make_raw(make_exposure(1))])
    disk = record_disk()
    history(store, put_real, put_verdict)
    counts = []
    for after in disk.after_power_failures(tmp_path):
        assert after.audit() == []
        counts.append(len(after.products()))
    assert counts[-3:] == [4, 3, 3]
    assert len(counts) >= 14
    left = after.collect_garbage(older=0.0, dry_run=True)
    assert [one for one in left.garbage if one.reason in (Reason.UNNAMED, Reason.REMOVED)] == [], (
        "a removal came undone"
    )


def test_promise_2_without_flushes_a_power_failure_would_lose_products(
    store: Store, put_real, put_verdict, make_exposure, make_raw, record_disk, tmp_path: Path
) -> None:
    """The test above can fail."""
    store.ingest([make_raw(make_exposure(1))])
    disk = record_disk(flush=False)
    history(store, put_real, put_verdict)
    *_, last = disk.after_power_failures(tmp_path)
    lost = [one for one in last.audit() if one.found == "nothing"]
    assert len(lost) >= len(last.products()) == 3


def only_problem(store: Store) -> Problem:
    (problem,) = store.audit()
    return problem


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def lengthen(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


def replace_by_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGES = {
    flip_a_bit: ("SHA-256 ", "…"),
    cut: (" bytes", " bytes"),
    lengthen: (" bytes", " bytes"),
    Path.unlink: ("a file", "nothing"),
    replace_by_link: ("a file", "a symbolic link"),
    replace_by_folder: ("a file", "a folder"),
    replace_by_pipe: ("a file", "a special file"),
}
"""Damages, and words of what is expected and found then."""


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_promise_3_a_damaged_product_is_named(site: Store, damage: Callable[[Path], object]) -> None:
    assert site.audit() == []
    record = site.products()[2]
    damage(site.path(record))
    problem = only_problem(site)
    assert (problem.what, problem.file) == (f"{record.type} {record.short}", record.path)
    expected, found = DAMAGES[damage]
    assert expected in problem.expected
    assert found in problem.found
    assert problem.expected != problem.found


def test_promise_3_the_digest_is_always_recorded(site: Store) -> None:
    for record in site.products():
        assert record.sha256 == file_sha256(site.path(record))
        assert record.size == site.path(record).stat().st_size


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("pattern", "old", "new", "what"),
    [
        ("products/**/*.json", '"value": 1.0', '"value": 1.5', r"verdict \w{8} of \w+ \w{8}"),
        ("products/**/*.json", '"outcome": "PASS"', '"outcome": "FAIL"', r"verdict \w{8} of \w+ \w{8}"),
        ("products/**/*.json", '"status": "PASS"', '"status": "WARN"', r"verdict \w{8} of \w+ \w{8}"),
        ("products/**/*.json", "{", "[", r"verdict \w{8} of \w+ \w{8}"),
        ("flags/*.json", '"bad": true', '"bad": false', r"flag of exposure AT_O_000001 \(cam\)"),
        ("flags/*.json", "{", "", r"flag of exposure AT_O_000001 \(cam\)"),
        ("ledger/0000001_*", '"end": null', '"end": 7', "line 1 of the ledger"),
        ("ledger/0000002_*", '"certify"', '"erase"', "line 2 of the ledger"),
        ("ingests/*.json", '.fits"', '"', r"note of ingest \w{8}"),
    ],
)
def test_promise_3_an_edited_text_is_named(
    site: Store, make_exposure, make_raw, pattern: str, old: str, new: str, what: str
) -> None:
    site.ingest([make_raw(make_exposure(1))])
    site.flag("1", True, "door open")
    path = next(path for path in sorted(site.root.glob(pattern)) if old in path.read_text())
    edit(path, old, new)
    problem = only_problem(site)
    assert re.fullmatch(what, problem.what)
    assert problem.file == str(path.relative_to(site.root))
    assert "as it was stored" in problem.expected
    path.unlink()
    assert only_problem(site).found == "nothing"


def test_promise_3_instruments_and_the_index_are_looked_at(site: Store) -> None:
    (site.root / "instruments" / "cam.yaml").write_text("edited: as users do\n")
    (site.root / "instruments" / "dim.yaml").unlink()
    assert only_problem(site) == Problem("instrument dim", "instruments/dim.yaml", "a file", "nothing")
    (site.root / "instruments" / "dim.yaml").touch()
    with closing(sqlite3.connect(site.root / REGISTRY)) as connection:
        connection.execute("INSERT INTO tag_member VALUES ('best/2026', 'nobody')")
        connection.commit()
    assert "names a product that is not there" in only_problem(site).found


def test_promise_3_a_product_removed_while_one_looks_is_no_problem(store: Store, put, put_verdict) -> None:
    record = put(store)
    put_verdict(store, record)
    reader = Store.open(store.root, write=False)
    # Removed as soon as the reader has given back the connection that listed the products.
    removals: list[ProductRecord] = []

    def remove(*_: object) -> None:
        if not removals:
            removals.append(store.remove(record.id, "no reason"))

    event.listen(reader._database._engine, "checkin", remove)
    assert reader.audit() == []
    assert removals == [record]
    assert not store.path(record).exists()
