"""Fit rate, zero where needed, and the offsets of exposures where their level drifts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from cpp_dark.frames import StackedFrames, row_blocks
from cpp_dark.levels import Float
from cpp_framework.model import Amplifier
from cpp_framework.model.mask import UNUSABLE
from cpp_framework.stats import FittedStack, StackNoise, clipped_moments, fit_stack

Plane = NDArray[np.float32]


@dataclass(frozen=True)
class DarkFit:
    """Planes ``[y, x]`` of the fit, and its numbers per exposure. ``zero`` is of shape (0, 0) where not fitted, and so
    is ``bias_error`` (in the unit of the frames) where no bias was subtracted.

    ``rejected`` are runs of ``(exposure, y, x0, length)`` by index into the frames.
    """

    image: Plane
    error: Plane
    zero: Plane
    zero_error: Plane
    used: NDArray[np.uint16]
    mask: NDArray[np.uint32]
    rejected: NDArray[np.int32]
    times: Float
    weights: Float
    offsets: Float
    bias_error: Plane = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    def model(self, exposures: NDArray[np.int64], y: NDArray[np.int64], x: NDArray[np.int64], amplifier: int) -> Float:
        """What single samples of one amplifier should be, in the unit of the frames."""
        model: Float = self.times[exposures] * self.image[y, x] + self.offsets[exposures, amplifier]
        return model + self.zero[y, x] if self.zero.size else model


@dataclass(frozen=True)
class Fitting:
    """What is fitted and with which samples; ``joint`` is a zero plane beside the rate."""

    frames: StackedFrames
    noise: StackNoise
    times: Float
    weights: Float
    used: NDArray[np.bool_]
    joint: bool
    clip: float
    threads: int

    def run(self, offsets: Float) -> FittedStack:
        """Fit all pixels with given offsets ``[exposure, amplifier]``."""
        return fit_stack(
            self.frames,
            self.noise,
            scales=self.times,
            weights=self.weights,
            offsets=offsets,
            intercept=self.joint,
            used_exposures=self.used,
            clip=self.clip,
            threads=self.threads,
        )


def fit_rate(fitting: Fitting) -> DarkFit:
    """Fit the rate where the level of each exposure is known: nothing but rate × time (and zero) is in it."""
    offsets = np.zeros(fitting.used.shape)
    return _dark_fit(fitting, fitting.run(offsets), offsets)


def fit_relative_rate(fitting: Fitting, levels: Float) -> DarkFit:
    """Fit rate and the offset of each exposure and amplifier.

    The offsets start at the ``levels`` ``[exposure, amplifier]``. The levels of pixels with different rates have a
    skewed distribution, so their centre is off by what grows with time; the residuals of a first fit have none, and
    their means correct the offsets. A constant in the rate (and one in the zero) can be had by the offsets as well:
    it is chosen so that the median of each amplifier is 0.
    """
    offsets = np.where(fitting.used, levels, 0.0)
    first = fitting.run(offsets)
    offsets += _mean_residuals(fitting, _dark_fit(fitting, first, offsets))
    fit = _dark_fit(fitting, fitting.run(offsets), offsets)
    for i, amp in enumerate(fitting.frames.detector.amplifiers):
        _move_median_to_offsets(fit, fitting.used, i, amp)
    return fit


def _dark_fit(fitting: Fitting, fitted: FittedStack, offsets: Float) -> DarkFit:
    return DarkFit(
        image=fitted.image,
        error=fitted.error,
        zero=fitted.zero,
        zero_error=fitted.zero_error,
        used=fitted.used,
        mask=fitted.mask,
        rejected=fitted.rejected,
        times=fitting.times,
        weights=fitting.weights,
        offsets=offsets,
    )


def _mean_residuals(fitting: Fitting, fit: DarkFit) -> Float:
    """Mean of each exposure minus the fit in each amplifier, without outliers; 0 where an exposure is not used."""
    sums, counts = np.zeros(fitting.used.shape), np.zeros(fitting.used.shape)
    for i, amp in enumerate(fitting.frames.detector.amplifiers):
        for y0, y1 in row_blocks(amp.box.y0, amp.box.y1):
            where = (slice(y0, y1), slice(amp.box.x0, amp.box.x1))
            samples = fitting.frames.rows(y0, y1)[:, :, where[1]]
            for k in np.flatnonzero(fitting.used[:, i]):
                residual = samples[k] - np.float32(fit.times[k]) * fit.image[where] - np.float32(fit.offsets[k, i])
                moments = clipped_moments(residual - fit.zero[where] if fit.zero.size else residual)
                if moments.n:
                    sums[k, i] += moments.n * moments.mean
                    counts[k, i] += moments.n
    return np.divide(sums, counts, out=np.zeros(sums.shape), where=counts > 0)


def _move_median_to_offsets(fit: DarkFit, used: NDArray[np.bool_], index: int, amp: Amplifier) -> None:
    good = (fit.mask[amp.box.slices] & np.uint32(UNUSABLE)) == 0
    if not good.any():
        return
    rate = np.median(fit.image[amp.box.slices][good])
    fit.image[amp.box.slices] -= rate
    fit.offsets[used[:, index], index] += float(rate) * fit.times[used[:, index]]
    if fit.zero.size:
        zero = np.median(fit.zero[amp.box.slices][good])
        fit.zero[amp.box.slices] -= zero
        fit.offsets[used[:, index], index] += float(zero)


def with_bias_error(fit: DarkFit, bias_error: Plane, frames: StackedFrames, used: NDArray[np.bool_]) -> DarkFit:
    """Add the error of the bias, which all exposures share: Σ w s / Σ w s² times it, over the samples used.

    Parameters
    ----------
    fit : DarkFit
    bias_error : float32 ``[y, x]``
        In the unit of the frames.
    frames : StackedFrames
    used : bool array ``[exposure, amplifier]``
    """
    first, second = (
        np.zeros(fit.image.shape, np.float32),
        np.zeros(fit.image.shape, np.float32),
    )
    for i, amp in enumerate(frames.detector.amplifiers):
        which = np.flatnonzero(used[:, i])
        scales = fit.weights[which] * fit.times[which]
        for y0, y1 in row_blocks(amp.box.y0, amp.box.y1):
            where = (slice(y0, y1), slice(amp.box.x0, amp.box.x1))
            present = np.isfinite(frames.rows(y0, y1)[which][:, :, where[1]])
            first[where] = np.tensordot(scales, present, 1)
            second[where] = np.tensordot(scales * fit.times[which], present, 1)
    for k, y, x0, length in fit.rejected:
        step = np.float32(fit.weights[k] * fit.times[k])
        first[y, x0 : x0 + length] -= step
        second[y, x0 : x0 + length] -= step * np.float32(fit.times[k])
    with np.errstate(divide="ignore", invalid="ignore"):
        shared = bias_error * first / second
    error = np.sqrt(np.square(fit.error) + np.square(shared), dtype=np.float32)
    return replace(fit, error=np.where(fit.used > 0, error, fit.error), bias_error=bias_error)
