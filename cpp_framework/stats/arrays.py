"""Frames that live in memory: what plugin authors, notebooks and tests give to the functions of this package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cpp_framework.errors import ContractError
from cpp_framework.model.detector import Detector
from cpp_framework.model.exposure import Exposure
from cpp_framework.model.image import AmplifierRecord
from cpp_framework.model.mask import UNUSABLE
from cpp_framework.model.measurement import Measurement


class ArrayFrames:
    """An in-memory `cpp_framework.model.Frames`.

    Parameters
    ----------
    samples : float32 array ``[exposure, y, x]``
        Corrected pixels in ``unit``; NaN where there is none.
    detector : Detector
    exposures : sequence of Exposure
        One per sample plane, in order of time.
    masks : uint32 array ``[exposure, y, x]``, optional
        Mask bits; samples with a bit of `UNUSABLE` are handed out as NaN. All good if left out.
    unit : str
    records : sequence of mapping of amplifier name to AmplifierRecord, optional
        What the overscan and gain stages found, per exposure; empty records if left out.
    measurements, shared
        What `measure` and `pool` returned.

    Raises
    ------
    ContractError
        The arrays do not fit each other or the detector.
    """

    def __init__(
        self,
        samples: NDArray[np.float32],
        detector: Detector,
        exposures: Sequence[Exposure],
        masks: NDArray[np.uint32] | None = None,
        unit: str = "adu",
        records: Sequence[Mapping[str, AmplifierRecord]] | None = None,
        measurements: Sequence[Measurement] = (),
        shared: Measurement | None = None,
    ) -> None:
        shape = (len(exposures), *detector.shape)
        if samples.dtype != np.float32 or samples.shape != shape:
            raise ContractError(f"samples are {samples.dtype} {samples.shape}; they must be float32 {shape}")
        if masks is not None and (masks.dtype != np.uint32 or masks.shape != shape):
            raise ContractError(f"masks are {masks.dtype} {masks.shape}; they must be uint32 {shape}")
        if records is not None and len(records) != len(exposures):
            raise ContractError(f"there are {len(records)} records for {len(exposures)} exposures")
        self.detector = detector
        self.exposures = exposures
        self.unit = unit
        self.measurements = measurements
        self.shared = shared
        self._samples = samples
        self._masks = masks
        self._records = records

    def records(self, amplifier: str) -> list[AmplifierRecord]:
        """Overscan level, read noise and gain of one amplifier, per exposure."""
        self.detector.amplifier(amplifier)
        if self._records is None:
            return [AmplifierRecord() for _ in self.exposures]
        return [record[amplifier] for record in self._records]

    def rows(self, y0: int, y1: int) -> NDArray[np.float32]:
        """Samples ``[exposure, y, x]`` of rows ``y0 <= y < y1``; NaN where masked."""
        samples = self._samples[:, y0:y1]
        if self._masks is None:
            return samples
        return np.where(self._masks[:, y0:y1] & UNUSABLE, np.float32(np.nan), samples)

    def masks(self, y0: int, y1: int) -> NDArray[np.uint32]:
        """Mask bits ``[exposure, y, x]`` of the same rows (read-only where there are none)."""
        if self._masks is None:
            plane = np.zeros((y1 - y0, self.detector.width), np.uint32)
            return np.broadcast_to(plane, (len(self.exposures), *plane.shape))
        return self._masks[:, y0:y1]
