"""What noise to expect in means over an amplifier: white, and shared by rows, by columns and by the amplifier."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from cpp_framework.model.image import AmplifierRecord


@dataclass(frozen=True)
class FrameNoise:
    """Expected variances of one exposure: of each pixel, common to a row, to a column, to the amplifier.

    ``relative_error`` is that of the standard deviation of a pixel. ``row_length`` rows share what they have in
    common: 1 where the overscan level of each row is its own.
    """

    pixel: float
    row: float
    column: float
    amplifier: float
    relative_error: float
    row_length: float = 1.0

    @classmethod
    def of_record(cls, record: AmplifierRecord, gain: float = 1.0) -> Self:
        """Noise [adu², or electron² with a gain] of an exposure whose amplifier has a read noise from its overscan."""
        assert record.read_noise is not None, "without an overscan the noise is measured on the stack"
        square = gain**2
        return cls(
            pixel=record.read_noise**2 * square,
            row=record.level_variance * square,
            column=record.column_variance * square,
            amplifier=record.amplifier_variance * square,
            relative_error=(record.read_noise_error or 0.0) / record.read_noise,
            row_length=record.level_length,
        )

    @property
    def total(self) -> float:
        """Variance of a pixel, but for what the whole amplifier shares."""
        return self.pixel + self.row + self.column

    def within(self, rows: int, columns: int) -> float:
        """Expected variance over the pixels of an amplifier about their own mean."""
        return self.pixel + self.row - self.of_rows(rows) + self.column * (1 - 1 / columns)

    def lines_error(self, rows: int, columns: int) -> float:
        """Relative error of a standard deviation over an amplifier because it has only so many rows and columns."""
        independent = rows / max(self.row_length, 1.0)
        return math.sqrt((self.row**2 / independent + self.column**2 / columns) / 2) / self.total

    def of_rows(self, rows: int) -> float:
        """Variance of the mean of what so many rows, one after the other, have in common."""
        return self.row * min(1.0, self.row_length / rows)

    def of_mean(self, pixels: int, rows: int, columns: int) -> float:
        """Variance of the mean of ``pixels`` pixels in so many rows and columns."""
        return self.pixel / pixels + self.of_rows(rows) + self.column / columns + self.amplifier
