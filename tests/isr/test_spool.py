"""Spooled frames come back bit for bit, in any block, from any thread, with few files open."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import resource
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from cpp_framework.errors import ContractError, StoreError
from cpp_framework.isr.spool import Spool
from cpp_framework.model import (
    UNUSABLE,
    Amplifier,
    AmplifierRecord,
    Box,
    Detector,
    Exposure,
    Frames,
    Image,
    Mask,
    Measurement,
)

HEIGHT, WIDTH = 30, 40
DETECTOR = Detector(
    "testcam", 0, "D0", WIDTH, HEIGHT, (Amplifier("A", Box(0, 0, 20, 30)), Amplifier("B", Box(20, 0, 40, 30)))
)


def _exposures(n: int) -> list[Exposure]:
    return [
        Exposure(instrument="testcam", detector=0, id=f"e{i}", number=i, kind="bias", exposure_time=0, dark_time=0)
        for i in range(n)
    ]


def _image(seed: int) -> Image:
    rng = np.random.default_rng(seed)
    mask = np.where(rng.random((HEIGHT, WIDTH)) < 0.05, np.uint32(Mask.SAT), np.uint32(0))
    mask[rng.random(mask.shape) < 0.05] |= np.uint32(Mask.SUSPECT)
    mask[:, 20:] |= np.uint32(Mask.DEAD_AMPLIFIER) if seed % 2 else np.uint32(0)
    records = {name: AmplifierRecord(bias_level=100.0 + seed, read_noise=5.5, gain=None) for name in "AB"}
    return Image(rng.normal(0, 5, mask.shape).astype(np.float32), mask, DETECTOR, records=records, applied=[f"{seed}"])


def _write(spool: Spool, index: int) -> None:
    spool.write(index, _image(index))


def _expected(n: int) -> tuple[np.ndarray, np.ndarray]:
    images = [_image(i) for i in range(n)]
    masks = np.stack([image.mask for image in images])
    samples = np.stack([image.data for image in images])
    return np.where(masks & np.uint32(UNUSABLE), np.float32(np.nan), samples), masks


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    spool = Spool.create(tmp_path / "spool", DETECTOR, _exposures(5), "adu")
    for index in range(5):
        _write(spool, index)
    return spool


def test_frames_come_back_bit_for_bit(spool: Spool) -> None:
    measurement = Measurement(values={"a": 1})
    frames: Frames = spool.frames([measurement], measurement)
    samples, masks = _expected(5)
    for y0, y1 in ((0, HEIGHT), (0, 1), (7, 19), (29, 30), (5, 5)):
        np.testing.assert_array_equal(frames.rows(y0, y1), samples[:, y0:y1])
        np.testing.assert_array_equal(frames.masks(y0, y1), masks[:, y0:y1])
    assert frames.rows(0, 2).dtype == np.float32
    assert [record.bias_level for record in frames.records("B")] == [100, 101, 102, 103, 104]
    assert frames.records("A")[2] == _image(2).records["A"]
    assert frames.measurements == [measurement]
    assert frames.shared is measurement
    assert (frames.unit, frames.detector) == ("adu", DETECTOR)
    assert [exposure.id for exposure in frames.exposures] == ["e0", "e1", "e2", "e3", "e4"]


def test_a_dead_amplifier_costs_one_run_per_row(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path, DETECTOR, _exposures(1), "adu")
    image = _image(0)
    image.mask[:] = 0
    image.amp("B").mask[:] = np.uint32(Mask.DEAD_AMPLIFIER)
    spool.write(0, image)
    with np.load(tmp_path / "00000.mask.npz") as stored:
        assert len(stored["runs"]) == HEIGHT
    np.testing.assert_array_equal(spool.frames().masks(3, 9)[0], image.mask[3:9])


def test_workers_write_to_a_pickled_spool(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path, DETECTOR, _exposures(4), "adu")
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(_dump, [pickle.dumps((spool, index, _image(index))) for index in range(4)]))
    np.testing.assert_array_equal(spool.frames().rows(0, HEIGHT), _expected(4)[0])


def _dump(packed: bytes) -> None:
    spool, index, image = pickle.loads(packed)
    spool.write(index, image)


def test_threads_may_read_at_once(spool: Spool) -> None:
    frames = spool.frames()
    samples, masks = _expected(5)
    with ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(lambda y: frames.rows(y, y + 3), list(range(27)) * 20))
        bits = list(pool.map(lambda y: frames.masks(y, y + 3), range(27)))
    for k, block in enumerate(rows):
        np.testing.assert_array_equal(block, samples[:, k % 27 : k % 27 + 3])
    for y, block in enumerate(bits):
        np.testing.assert_array_equal(block, masks[:, y : y + 3])


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture
def few_files() -> Iterator[int]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = _open_files() + 24
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    yield limit
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_more_frames_than_files_may_be_open(tmp_path: Path, few_files: int) -> None:
    n = 3 * few_files
    spool = Spool.create(tmp_path, DETECTOR, _exposures(n), "adu")
    for index in range(n):
        _write(spool, index)
    frames = spool.frames()
    np.testing.assert_array_equal(frames.rows(4, 6), _expected(n)[0][:, 4:6])
    assert _open_files() < few_files


def test_what_was_not_written_or_does_not_fit_is_named(tmp_path: Path, spool: Spool) -> None:
    empty = Spool.create(tmp_path / "other", DETECTOR, _exposures(3), "electron")
    with pytest.raises(ContractError, match=r"\(30, 40\) pixels \(y, x\) in electron, not \(30, 40\) in adu"):
        empty.write(0, _image(0))
    image = _image(0)
    image.unit = "electron"
    empty.write(1, image)
    with pytest.raises(StoreError, match="exposures e0, e2 were not spooled"):
        empty.frames()
    frames = spool.frames()
    os.truncate(spool.folder / "00003.plane", 100)
    with pytest.raises(StoreError, match=r"00003\.plane is shorter"):
        frames.rows(0, HEIGHT)


def test_remove_leaves_nothing(spool: Spool) -> None:
    spool.remove()
    assert not spool.folder.exists()


def test_a_folder_that_went_away_is_a_named_error(spool: Spool) -> None:
    spool.remove()
    with pytest.raises(StoreError, match="cannot spool exposure e1"):
        _write(spool, 1)
