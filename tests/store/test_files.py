"""Publishing files: order of steps, full disks, what is never overwritten; and the cache of measurements."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from cpp_framework.errors import ConflictError, StoreError
from cpp_framework.model import Measurement
from cpp_framework.store import Store
from cpp_framework.store.files import publish, publish_text, safe_name
from cpp_framework.store.measurements import measurement_path, read_measurement, write_measurement


@pytest.mark.parametrize("links", [True, False])
def test_publish_never_overwrites(tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not links:  # a file system without hard links says EPERM

        def refuse(source: Path, target: Path) -> None:
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
    final = tmp_path / "folder" / "final"
    for i, content in enumerate(("first", "second")):
        staged = tmp_path / f"staged{i}"
        staged.write_text(content)
        if i == 0:
            publish(staged, final)
            assert not staged.exists()
        else:
            with pytest.raises(ConflictError, match="never overwritten"):
                publish(staged, final)
            assert staged.exists() or not links
    assert final.read_text() == "first"


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let this process write no file beyond ``size`` bytes: writing fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_text_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    staging = tmp_path / "staging"
    staging.mkdir()
    with file_size_limit(10), pytest.raises(StoreError, match="larger than this process may write"):
        publish_text("x" * 100, tmp_path / "final.json", staging)
    assert list(staging.iterdir()) == []
    assert not (tmp_path / "final.json").exists()


def test_missing_staged_file_is_a_named_error(store: Store, make_header) -> None:
    with pytest.raises(StoreError, match="No such file"):
        store.put(store.root / "staging" / "nothing", make_header(store.new_run("bias")))


def test_safe_names() -> None:
    assert safe_name("RG610~empty") == "RG610_empty"
    assert safe_name("../..//etc/passwd") == "etc_passwd"
    assert safe_name("\0\n") == "_"
    assert safe_name(".hidden") == "hidden"
    assert len(safe_name("x" * 1000)) < 255


def test_staging_names_differ_and_are_recognisable(store: Store) -> None:
    names = {store.staging_file("r" * 64).name for _ in range(100)}
    assert len(names) == 100
    assert all(name.endswith(".part") and f".{os.getpid()}." in name for name in names)


def test_measurements_round_trip(tmp_path: Path) -> None:
    path = measurement_path(tmp_path / "cache", "abc")
    assert read_measurement(path) is None
    arrays = {"file": np.arange(3.0), "values": np.zeros((2, 0), ">f4"), "a/b": np.array([True])}
    write_measurement(path, Measurement(arrays, {"level": 0.1 + 0.2, "names": ["a"], "none": None}))
    back = read_measurement(path)
    assert back is not None
    assert back.values == {"level": 0.1 + 0.2, "names": ["a"], "none": None}
    assert back.arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        assert back.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(back.arrays[name], array)
    assert [one.name for one in path.parent.iterdir()] == ["abc.npz"]


def test_damaged_measurement_is_a_miss(tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    write_measurement(path, Measurement({"a": np.random.default_rng(1).normal(size=1000)}, {"v": 1}))
    whole = path.read_bytes()
    for cut in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        assert read_measurement(path) is None, cut
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    path.write_bytes(flipped)
    assert read_measurement(path) is None


def test_full_disk_while_caching_leaves_no_file(tmp_path: Path) -> None:
    with file_size_limit(100), pytest.raises(StoreError, match="larger than"):
        write_measurement(tmp_path / "m.npz", Measurement({"a": np.zeros(1000)}))
    assert list(tmp_path.iterdir()) == []
