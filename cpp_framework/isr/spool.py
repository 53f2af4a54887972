"""Corrected frames on their way to the stack: written once each by any process, read back in blocks of rows.

Per exposure there are three files: ``.plane`` (float32 ``[y, x]``, NaN where masked), ``.mask.npz`` (runs of equal
mask bits) and ``.json`` (records), which is renamed into place last and so says "complete".
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cpp_framework.errors import ContractError, StoreError
from cpp_framework.isr import _kernels
from cpp_framework.model.detector import Detector
from cpp_framework.model.exposure import Exposure
from cpp_framework.model.image import AmplifierRecord, Image
from cpp_framework.model.mask import UNUSABLE
from cpp_framework.model.measurement import Measurement

_ROWS_AT_ONCE = 128


@dataclass(frozen=True)
class Spool:
    """A folder of corrected frames of one detector. Picklable: worker processes write to the same spool.

    ``detector`` is that of the images (cut to the window of windowed exposures); exposures are in order of time.
    """

    folder: Path
    detector: Detector
    exposures: tuple[Exposure, ...]
    unit: str

    @classmethod
    def create(cls, folder: str | Path, detector: Detector, exposures: Sequence[Exposure], unit: str) -> Spool:
        """Make the folder (which may exist) and return the empty spool. The caller chooses RAM disk or scratch."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        return cls(Path(folder), detector, tuple(exposures), unit)

    def write(self, index: int, image: Image) -> None:
        """Store the corrected image of exposure ``index``; writing it again replaces it.

        Raises
        ------
        ContractError
            The image's size or unit is not that of the spool.
        StoreError
            The folder is full or gone.
        """
        if image.data.shape != self.detector.shape or image.unit != self.unit:
            raise ContractError(
                f"the spool takes images of {self.detector.shape} pixels (y, x) in {self.unit}, "
                f"not {image.data.shape} in {image.unit}"
            )
        record = {
            "records": {name: dataclasses.asdict(one) for name, one in image.records.items()},
            "applied": image.applied,
        }
        try:
            mask = _SparseMask.of(image.mask)
            _write_plane(self._path(index, "plane"), image.data, mask)
            np.savez(self._path(index, "mask.npz"), runs=mask.runs, bits=mask.bits)
            partial = self._path(index, "json.part")
            partial.write_text(json.dumps(record))
            partial.replace(self._path(index, "json"))
        except OSError as error:
            raise StoreError(
                f"cannot spool exposure {self.exposures[index].id} to {self.folder}: {error}",
                hint="choose a scratch folder with more space",
            ) from error

    def frames(self, measurements: Sequence[Measurement] = (), shared: Measurement | None = None) -> SpooledFrames:
        """Return the frames for `solve`.

        Raises
        ------
        StoreError
            An exposure was not written.
        """
        missing = [one.id for i, one in enumerate(self.exposures) if not self._path(i, "json").exists()]
        if missing:
            raise StoreError(f"{self.folder}: exposures {', '.join(missing)} were not spooled")
        return SpooledFrames(self, measurements, shared)

    def remove(self) -> None:
        """Delete the spooled files, and the folder if nothing else is in it."""
        for path in self.folder.glob("[0-9]*.*"):
            path.unlink()
        if not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _path(self, index: int, kind: str) -> Path:
        return self.folder / f"{index:05d}.{kind}"


class SpooledFrames:
    """Frames of a spool, read straight into the caller's block. Safe to use from threads.

    Nothing is memory-mapped, so what the system caches of the files is not counted as this process's memory, and no
    file stays open.
    """

    def __init__(self, spool: Spool, measurements: Sequence[Measurement], shared: Measurement | None) -> None:
        self.measurements = measurements
        self.shared = shared
        self._spool = spool
        self._masks = [_SparseMask.read(spool._path(i, "mask.npz")) for i in range(len(spool.exposures))]
        self._records = [json.loads(spool._path(i, "json").read_text()) for i in range(len(spool.exposures))]

    @property
    def detector(self) -> Detector:
        """The detector all frames are of."""
        return self._spool.detector

    @property
    def exposures(self) -> Sequence[Exposure]:
        """The exposures, in order of time."""
        return self._spool.exposures

    @property
    def unit(self) -> str:
        """Unit of the samples."""
        return self._spool.unit

    def records(self, amplifier: str) -> list[AmplifierRecord]:
        """Overscan level, read noise and gain of one amplifier, per exposure."""
        self.detector.amplifier(amplifier)
        return [AmplifierRecord(**one["records"][amplifier]) for one in self._records]

    def applied(self, index: int) -> list[str]:
        """What was done to one exposure, in order."""
        return list(self._records[index]["applied"])

    def rows(self, y0: int, y1: int) -> NDArray[np.float32]:
        """Samples ``[exposure, y, x]`` of rows ``y0 <= y < y1``; NaN where masked."""
        block = np.empty((len(self.exposures), y1 - y0, self.detector.width), np.float32)
        offset = y0 * self.detector.width * block.itemsize
        for index, plane in enumerate(block):
            _read_at(self._spool._path(index, "plane"), plane, offset)
        return block

    def masks(self, y0: int, y1: int) -> NDArray[np.uint32]:
        """Mask bits ``[exposure, y, x]`` of the same rows."""
        block = np.zeros((len(self.exposures), y1 - y0, self.detector.width), np.uint32)
        for sparse, mask in zip(self._masks, block, strict=True):
            part = sparse.rows(y0, y1)
            _kernels.paint_runs(part.runs, part.bits, y0, mask)
        return block


@dataclass(frozen=True)
class _SparseMask:
    """A mask as runs inside rows: ``runs`` holds y, x and length, in order; ``bits`` their mask bits."""

    runs: NDArray[np.int32]
    bits: NDArray[np.uint32]

    @classmethod
    def of(cls, mask: NDArray[np.uint32]) -> _SparseMask:
        count = _kernels.count_runs(mask)
        sparse = cls(np.zeros((count, 3), np.int32), np.zeros(count, np.uint32))
        _kernels.find_runs(mask, sparse.runs, sparse.bits)
        return sparse

    @classmethod
    def read(cls, path: Path) -> _SparseMask:
        with np.load(path) as stored:
            return cls(stored["runs"], stored["bits"])

    def rows(self, y0: int, y1: int) -> _SparseMask:
        begin, end = np.searchsorted(self.runs[:, 0], [y0, y1])
        return _SparseMask(self.runs[begin:end], self.bits[begin:end])


def _write_plane(path: Path, data: NDArray[np.float32], mask: _SparseMask) -> None:
    with path.open("wb", buffering=0) as file:
        for y0 in range(0, len(data), _ROWS_AT_ONCE):  # a copy of the whole image would double the memory
            rows = data[y0 : y0 + _ROWS_AT_ONCE].copy()
            part = mask.rows(y0, y0 + len(rows))
            _kernels.blank_runs(part.runs, part.bits, np.uint32(UNUSABLE), y0, rows)
            rows.tofile(file)


def _read_at(path: Path, plane: NDArray[np.float32], offset: int) -> None:
    # Opening costs microseconds; kept open, the files of many exposures and selections would exceed the limit.
    view = plane.reshape(-1).view(np.uint8).data
    done = 0
    with path.open("rb", buffering=0) as file:
        while done < len(view):
            count = os.preadv(file.fileno(), [view[done:]], offset + done)
            if count == 0:
                raise StoreError(
                    f"{path} is shorter than it was written", hint="is something else cleaning the folder?"
                )
            done += count
