"""A selection whose frames were not kept, because its type declared that measurements suffice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from cpp_framework.errors import ContractError
from cpp_framework.isr.spool import Spool
from cpp_framework.model.detector import Detector
from cpp_framework.model.exposure import Exposure
from cpp_framework.model.measurement import Measurement


class MeasuredFrames:
    """Exposures with their measurements; asking for pixels is a breach of the type's own declaration."""

    def __init__(self, spool: Spool, measurements: Sequence[Measurement], shared: Measurement | None) -> None:
        self.detector: Detector = spool.detector
        self.exposures: Sequence[Exposure] = spool.exposures
        self.unit = spool.unit
        self.measurements = measurements
        self.shared = shared

    def records(self, amplifier: str) -> NoReturn:
        """Not kept."""
        self._refuse(f"the records of amplifier {amplifier}")

    def rows(self, y0: int, y1: int) -> NoReturn:
        """Not kept."""
        self._refuse(f"rows {y0} to {y1}")

    def masks(self, y0: int, y1: int) -> NoReturn:
        """Not kept."""
        self._refuse(f"masks of rows {y0} to {y1}")

    def _refuse(self, what: str) -> NoReturn:
        raise ContractError(f"solve asked for {what}, but its inputs are declared with frames=False")
