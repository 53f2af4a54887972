"""Cosmic rays: found in single exposures where there is nothing to compare with, and counted in all."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cpp_dark.fit import DarkFit
from cpp_dark.frames import StackedFrames, row_blocks
from cpp_dark.levels import Float
from cpp_dark.noise import SampleNoise
from cpp_framework.model import Mask, Measured
from cpp_framework.model.product import run_pixels

LEAST_PIXELS = 2
"""Pixels of a hit in a single exposure: one pixel alone cannot be told from a hot pixel, and stays."""

CONNECTED_SIGMA = 4.0
"""What touches a hit in a single exposure and is this far above the level [read noises] is part of it."""

LEAST_SIGMA = 6.0
"""Peak of a hit that is counted, in σ: what clipping rejects below may be noise."""

_TOUCHING = np.ones((3, 3), bool)


def find_in_single_exposures(frames: StackedFrames, used: NDArray[np.bool_], noise: SampleNoise) -> NDArray[np.bool_]:
    """Find hits in each exposure by their sharp edges (van Dokkum 2001, the implementation of astroscrappy).

    Parameters
    ----------
    frames : StackedFrames
    used : bool array ``[exposure, amplifier]``
    noise : SampleNoise

    Returns
    -------
    bool array ``[exposure, y, x]``
        Hits of at least `LEAST_PIXELS` touching pixels.
    """
    found = np.zeros((len(frames.exposures), *frames.detector.shape), bool)
    for k in np.flatnonzero(np.any(used, axis=1)):
        samples = frames.choose([int(k)]).rows(0, frames.detector.height)[0]
        for i, amp in enumerate(frames.detector.amplifiers):
            if used[k, i]:
                part = samples[amp.box.slices]
                found[k][amp.box.slices] = _hits(part, float(noise.read[k, i]))
    return found


def _hits(samples: NDArray[np.float32], read_noise: float) -> NDArray[np.bool_]:
    from astroscrappy import detect_cosmics
    from scipy import ndimage

    masked = ~np.isfinite(samples)
    if masked.all():
        return masked
    # A level well above zero would count as Poisson noise, and the finder cannot work with negative ones.
    level = np.float32(np.median(samples[~masked]))
    plane = np.where(masked, np.float32(0), samples - level)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of its own roots of negative pixels
        flagged, _ = detect_cosmics(
            plane, inmask=masked, gain=1.0, readnoise=read_noise, sigclip=4.5, sigfrac=0.3, objlim=2.0,
            satlevel=np.inf, niter=4, sepmed=True, cleantype="medmask",
        )  # fmt: skip
    # The finder takes in neighbours that are only noise, and misses fainter parts of a track beside bright ones.
    bright = (plane > CONNECTED_SIGMA * read_noise) & ~masked
    flagged = ndimage.binary_propagation(flagged & bright, structure=_TOUCHING, mask=bright)
    labels, count = ndimage.label(flagged, structure=_TOUCHING)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    hits: NDArray[np.bool_] = (sizes >= LEAST_PIXELS)[labels]
    return hits


def cosmic_ray_rates(
    frames: StackedFrames,
    fit: DarkFit,
    noise: SampleNoise,
    times: Float,
    used: NDArray[np.bool_],
    found: NDArray[np.bool_] | None,
) -> Mapping[str, Measured]:
    """Hits per megapixel and second of dark time in each amplifier, with the error of their number.

    Hits are groups of touching samples that were left out and lie `LEAST_SIGMA` σ above what the samples kept predict,
    or those ``found`` in single exposures.
    """
    from scipy import ndimage

    hits = _rejected_hits(frames, fit, noise, used) if found is None else np.argwhere(found)
    rates = {}
    for i, amp in enumerate(frames.detector.amplifiers):
        exposed = float(np.sum(times[used[:, i]])) * amp.box.width * amp.box.height / 1e6
        count = 0
        for k in np.flatnonzero(used[:, i] & (times > 0)):
            plane = np.zeros(frames.detector.shape, bool)
            of_exposure = hits[hits[:, 0] == k]
            plane[of_exposure[:, 1], of_exposure[:, 2]] = True
            count += int(ndimage.label(plane[amp.box.slices], structure=_TOUCHING)[1])
        if exposed > 0:
            error = max(count, 1) ** 0.5 / exposed
            rates[amp.name] = Measured(value=count / exposed, error=error, unit="1/(Mpixel s)")
    return rates


def _rejected_hits(
    frames: StackedFrames, fit: DarkFit, noise: SampleNoise, used: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Exposure, row and column of samples left out that lie far above the model, but for pixels that are unstable."""
    found = [np.zeros((0, 3), np.int64)]
    unstable = np.uint32(Mask.UNSTABLE)
    for y0, y1 in row_blocks(0, frames.detector.height):
        runs = fit.rejected[(fit.rejected[:, 1] >= y0) & (fit.rejected[:, 1] < y1)]
        if not len(runs):
            continue
        samples = frames.rows(y0, y1)
        exposures = np.repeat(runs[:, 0].astype(np.int64), runs[:, 3])
        y, x = run_pixels(runs)
        kept = np.isfinite(samples)
        kept[exposures, y - y0, x] = False
        for i, amp in enumerate(frames.detector.amplifiers):
            inside = (y >= amp.box.y0) & (y < amp.box.y1) & (x >= amp.box.x0) & (x < amp.box.x1)
            k, row, column = exposures[inside], y[inside], x[inside]
            model = fit.model(k, row, column, i)
            above = samples[k, row - y0, column] - model
            poisson = np.maximum(model, 0) / noise.gains.get(amp.name, np.inf)
            own = np.maximum(noise.total[k, i] ** 2, noise.read[k, i] ** 2 + poisson)
            bias = fit.bias_error[row, column] if fit.bias_error.size else np.zeros(k.size)
            with_sample = kept[:, row - y0, column] & used[:, i, np.newaxis]
            variance = _held_out_variance(fit, k, with_sample, own, bias)
            hit = (above > LEAST_SIGMA * np.sqrt(variance)) & ((fit.mask[row, column] & unstable) == 0)
            found.append(np.stack([k[hit], row[hit], column[hit]], axis=1))
    return np.concatenate(found)


def _held_out_variance(
    fit: DarkFit, exposures: NDArray[np.int64], kept: NDArray[np.bool_], own: Float, bias_error: NDArray[np.floating]
) -> Float:
    """Variance of samples minus what others predict for them; infinite where those predict nothing.

    That is σ²(1 + h) with the leverage h of a sample on the fit of those ``kept`` ``[exposure, sample]`` in its pixel,
    and what the fit leaves of the ``bias_error`` b that all share: b²(t Σ w t / Σ w t² − 1)².
    """
    t, w, time = fit.times, fit.weights, fit.times[exposures]
    s0, s1, s2 = (factors @ kept for factors in (w, w * t, w * t**2))
    with np.errstate(divide="ignore", invalid="ignore"):
        if fit.zero.size:
            leverage = w[exposures] * (s2 - 2 * time * s1 + time**2 * s0) / (s0 * s2 - s1**2)
        else:
            leverage = w[exposures] * time**2 / s2
        shared = np.square(bias_error * (time * s1 / s2 - 1)) if np.any(bias_error) else 0.0
    variance: Float = own * (1 + leverage) + shared
    return np.where(np.isfinite(variance), variance, np.inf)
