"""Mask planes: names and bits (uint32), fixed for ever because files carry them. 0 means good."""

from __future__ import annotations

from enum import IntFlag


class Mask(IntFlag):
    """Reasons why a pixel is not what it seems. The first nine have the numbers Rubin's files use by default."""

    BAD = 1 << 0
    SAT = 1 << 1
    INTRP = 1 << 2
    CR = 1 << 3
    EDGE = 1 << 4
    DETECTED = 1 << 5
    DETECTED_NEGATIVE = 1 << 6
    SUSPECT = 1 << 7
    NO_DATA = 1 << 8
    CROSSTALK = 1 << 9
    NOT_FINITE = 1 << 10
    FULL_WELL = 1 << 11
    UNSTABLE = 1 << 12
    HOT = 1 << 13
    COLD = 1 << 14
    BAD_COLUMN = 1 << 15
    BLOCKED = 1 << 16
    VAMPIRE = 1 << 17
    USER = 1 << 18
    BAD_OVERSCAN = 1 << 19
    VIGNETTED = 1 << 20
    PARTLY_VIGNETTED = 1 << 21
    DEAD_AMPLIFIER = 1 << 22
    REJECTED = 1 << 23


MEANINGS: dict[Mask, str] = {
    Mask.BAD: "defective pixel",
    Mask.SAT: "ADC saturated",
    Mask.INTRP: "value interpolated",
    Mask.CR: "cosmic ray",
    Mask.EDGE: "too near the edge for the correction",
    Mask.DETECTED: "above a detection threshold",
    Mask.DETECTED_NEGATIVE: "below a detection threshold",
    Mask.SUSPECT: "in a range where corrections are uncertain",
    Mask.NO_DATA: "no usable sample",
    Mask.CROSSTALK: "crosstalk from a bright source",
    Mask.NOT_FINITE: "NaN or infinite",
    Mask.FULL_WELL: "above full well",
    Mask.UNSTABLE: "scatters more than its noise",
    Mask.HOT: "hot pixel",
    Mask.COLD: "cold pixel",
    Mask.BAD_COLUMN: "part of a bad column",
    Mask.BLOCKED: "in a blocked or saturated column",
    Mask.VAMPIRE: "bright pixel robbing its neighbours",
    Mask.USER: "masked by a user",
    Mask.BAD_OVERSCAN: "overscan of this row or column unusable",
    Mask.VIGNETTED: "vignetted",
    Mask.PARTLY_VIGNETTED: "partly vignetted",
    Mask.DEAD_AMPLIFIER: "amplifier dead or refused",
    Mask.REJECTED: "rejected by the stack in most exposures",
}

UNUSABLE = (
    Mask.BAD | Mask.SAT | Mask.CR | Mask.NO_DATA | Mask.NOT_FINITE | Mask.FULL_WELL | Mask.BAD_OVERSCAN
    | Mask.DEAD_AMPLIFIER
)  # fmt: skip
"""A sample with any of these bits is left out of statistics and stacks."""


def decode(bits: int) -> list[str]:
    """Names of the planes set in ``bits``."""
    return [plane.name or "" for plane in Mask if bits & plane]
