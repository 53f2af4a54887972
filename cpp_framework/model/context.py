"""What the framework hands to a plugin's functions. Nothing here opens a file: the framework fills it in."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cpp_framework.declare import Config
from cpp_framework.errors import NotFoundError
from cpp_framework.model.check import Check, Limit, Verdict
from cpp_framework.model.detector import Detector
from cpp_framework.model.exposure import Exposure
from cpp_framework.model.image import AmplifierRecord, Image
from cpp_framework.model.measurement import Measurement
from cpp_framework.model.product import Product


@dataclass(frozen=True)
class Context:
    """Given to `measure`, `pool` and `solve`: the detector, a seed, a log, and how many threads may be used."""

    detector: Detector
    seed: int = 0
    threads: int = 1
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("cpp"))


class Frames(Protocol):
    """A named selection of corrected exposures of one detector, read lazily.

    Frames are in order of time. Samples that are masked (`cpp_framework.model.mask.UNUSABLE`) come as NaN.
    """

    @property
    def detector(self) -> Detector:
        """The detector all frames are of."""
        ...

    @property
    def exposures(self) -> Sequence[Exposure]:
        """The exposures, in order of time."""
        ...

    @property
    def unit(self) -> str:
        """Unit of the samples: ``adu`` or ``electron``."""
        ...

    @property
    def measurements(self) -> Sequence[Measurement]:
        """What `measure` returned, per exposure (or per pair)."""
        ...

    @property
    def shared(self) -> Measurement | None:
        """What `pool` returned for the whole focal plane; None for types without `pool`."""
        ...

    def records(self, amplifier: str) -> list[AmplifierRecord]:
        """Overscan level, read noise and gain of one amplifier, per exposure."""
        ...

    def rows(self, y0: int, y1: int) -> NDArray[np.float32]:
        """Samples ``[exposure, y, x]`` of rows ``y0 <= y < y1``; NaN where masked. Safe to call from threads."""
        ...

    def masks(self, y0: int, y1: int) -> NDArray[np.uint32]:
        """Mask bits ``[exposure, y, x]`` of the same rows."""
        ...


@dataclass(frozen=True)
class ResidualFrame:
    """One exposure minus the stored candidate, as DESIGN §4 "Held-out residuals" defines it.

    Parameters
    ----------
    residual : float32 ``[y, x]``
        In the unit of the exposure, as if it had not been in the stack; NaN where it cannot be judged.
    variance_factor : float32 ``[y, x]``
        What the variance of a sample must be multiplied by: 1/(1−h) where the sample was used, 1 + h where it was left
        out or the exposure is not in the stack. For a plain mean of n, h is 1/n.
    model : float32 ``[y, x]``
        What the product says the exposure should be: where its signal, and so its Poisson noise, comes from.
    scale : float
        What the product was multiplied with for it.
    """

    exposure: Exposure
    residual: NDArray[np.float32]
    variance_factor: NDArray[np.float32]
    records: Mapping[str, AmplifierRecord]
    model: NDArray[np.float32]
    scale: float = 1.0
    held_out: bool = True


@dataclass(frozen=True)
class Limits:
    """Limits of an instrument for one calibration type, by check; what it does not set comes from the plugin."""

    fail: Mapping[str, Limit] = field(default_factory=dict)
    warn: Mapping[str, Limit] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)

    def of(
        self, check: str, *, fail: Limit | None = None, warn: Limit | None = None
    ) -> tuple[Limit | None, Limit | None]:
        """Fail and warn limits of a check: the instrument's if it sets them, else those given."""
        return self.fail.get(check, fail), self.warn.get(check, warn)


def no_frames(type_name: str) -> Iterator[Image]:
    """Frames of a context without any.

    Raises
    ------
    NotFoundError
        Always.
    """
    raise NotFoundError(f"no exposures of a needed {type_name} are at hand")


@dataclass(frozen=True)
class VerifyContext:
    """Given to `verify`.

    ``residuals()`` reads and corrects the real exposures again, one at a time; ``frames(type)`` does so for those a
    needed product was made from, corrected as for its stack. ``gains`` maps amplifiers to electron/adu where known.
    ``previous`` is the product this one would replace, ``previous_verdict`` its verdict.
    """

    detector: Detector
    config: Config
    residuals: Callable[[], Iterator[ResidualFrame]]
    exposures: Sequence[Exposure] = ()
    limits: Limits = field(default_factory=Limits)
    gains: Mapping[str, float] = field(default_factory=dict)
    previous: Product | None = None
    previous_verdict: Verdict | None = None
    needs: Mapping[str, Product] = field(default_factory=dict)
    frames: Callable[[str], Iterator[Image]] = no_frames
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("cpp"))

    def previous_check(self, name: str, amplifier: str) -> Check | None:
        """The same check in the verdict of the product this one would replace, if it has a finite value."""
        checks = self.previous_verdict.checks if self.previous_verdict else ()
        same = (one for one in checks if (one.name, one.amplifier) == (name, amplifier) and math.isfinite(one.value))
        return next(same, None)


Inputs = Mapping[str, Frames]
Needs = Mapping[str, Product]
Measurements = Mapping[int, Mapping[str, Sequence[Measurement]]]
"""Given to `pool`: detector → selection → measurements in order of exposure."""
