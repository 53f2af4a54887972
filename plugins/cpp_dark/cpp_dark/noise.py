"""Noise of the samples of each exposure, and the weights that follow from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cpp_dark.frames import StackedFrames
from cpp_dark.levels import Float
from cpp_framework.model import AmplifierRecord
from cpp_framework.stats import StackNoise, StackStatistics, read_noise_from_differences

OVERSCAN, DIFFERENCES, ROWS = "overscan", "differences of exposures", "differences of rows"


@dataclass(frozen=True)
class SampleNoise:
    """Noise of one sample ``[exposure, amplifier]`` in the unit of the frames; NaN where an exposure is not used.

    ``read`` has no Poisson noise where that can be told; ``total`` has that of the typical pixel. By amplifier there
    are ``sources`` of the read noise, ``errors`` of the pooled read noise, and ``gains`` [electron per unit of the
    frames] where known.
    """

    read: Float
    total: Float
    sources: dict[str, str]
    errors: dict[str, float]
    gains: dict[str, float]

    def of_stack(self, frames: StackedFrames) -> StackNoise:
        """The noise model of the fit; without a gain every pixel has the total noise of the typical one."""
        noises = {}
        for i, amp in enumerate(frames.detector.amplifiers):
            if np.any(np.isfinite(self.read[:, i])):
                values = self.read[:, i] if amp.name in self.gains else self.total[:, i]
                noises[amp.name] = [float(value) for value in values]
        return StackNoise(noises, self.gains, self.sources, self.errors)

    def weights(self, times: Float) -> Float:
        """One per exposure, mean 1 over those used: 1/σ² of a typical sample, the same for equal dark times."""
        variance = np.full(times.size, math.nan)
        for time in np.unique(times):
            group = times == time
            if np.any(np.isfinite(self.total[group])):
                variance[group] = np.nanmedian(self.total[group] ** 2)
        used = np.any(np.isfinite(self.total), axis=1)
        weights = np.where(used & (variance > 0), 1 / np.where(variance > 0, variance, 1.0), math.nan)
        weights /= np.nanmean(weights) if np.any(np.isfinite(weights)) else 1.0
        return np.where(np.isfinite(weights), weights, 1.0)


def sample_noise(
    frames: StackedFrames, times: Float, statistics: StackStatistics, used: np.ndarray, signals: Float
) -> SampleNoise:
    """Noise of each exposure used: that of the overscan, else of differences of exposures of one dark time.

    Parameters
    ----------
    frames : StackedFrames
    times : float64 array ``[exposure]``
    statistics : StackStatistics
        Its noise is that of differences, or of rows where an exposure has no companion.
    used : bool array ``[exposure, amplifier]``
    signals : float64 array ``[exposure, amplifier]``
        Dark signal of the typical pixel; 0 where not known.

    The Poisson variance is signal over gain. Without a gain the total noise is what differences of exposures show, and
    not less than that of the overscan.
    """
    electron = frames.unit == "electron"
    gains = frames.poisson_gains()
    poisson = np.maximum(signals, 0.0) * [1 / gains.get(amp.name, math.inf) for amp in frames.detector.amplifiers]
    read, total = np.full(used.shape, math.nan), np.full(used.shape, math.nan)
    sources: dict[str, str] = {}
    errors: dict[str, float] = {}
    for i, amp in enumerate(frames.detector.amplifiers):
        which = np.flatnonzero(used[:, i])
        if which.size == 0:
            continue
        records = frames.records(amp.name)
        variances = np.array([_overscan_variance(records[k], electron) for k in which])
        if np.all(np.isfinite(variances)):
            read[which, i] = np.sqrt(variances)
            sources[amp.name], errors[amp.name] = OVERSCAN, _pooled_error(records, which, electron)
            if amp.name not in gains:
                seen, _, _ = _from_frames(frames, times, statistics, which, i)
                poisson[which, i] = np.maximum(np.nan_to_num(seen) ** 2 - variances, 0)
        else:
            measured, error, sources[amp.name] = _from_frames(frames, times, statistics, which, i)
            floor = 1 / 12 if not electron else 0.0
            read[which, i] = np.sqrt(np.maximum(measured**2 - poisson[which, i], max(floor, 0.01)))
            errors[amp.name] = error
        total[which, i] = np.sqrt(read[which, i] ** 2 + poisson[which, i])
    return SampleNoise(read, total, sources, errors, gains)


def _overscan_variance(record: AmplifierRecord, electron: bool) -> float:
    """Variance of a sample of one exposure with the levels subtracted from it; NaN where the overscan tells none."""
    if record.read_noise is None or (electron and record.gain is None):
        return math.nan
    variance = record.read_noise**2 + record.level_variance + record.column_variance
    return variance * (record.gain or 1.0) ** 2 if electron else variance


def _pooled_error(records: list[AmplifierRecord], which: np.ndarray, electron: bool) -> float:
    values = np.array([(records[k].read_noise or 0.0) * ((records[k].gain or 1.0) if electron else 1.0) for k in which])
    relative = np.array([(records[k].read_noise_error or 0.0) / (records[k].read_noise or math.inf) for k in which])
    pooled = math.sqrt(float(np.mean(values**2)))
    return math.sqrt(float(np.sum((values**2 * relative) ** 2))) / (which.size * pooled) if pooled else 0.0


def _from_frames(
    frames: StackedFrames, times: Float, statistics: StackStatistics, which: np.ndarray, amplifier: int
) -> tuple[Float, float, str]:
    """Total noise of the exposures ``which``, the error of their pooled noise, and where it comes from."""
    noises, errors, source = np.empty(which.size), np.empty(which.size), DIFFERENCES
    for time in np.unique(times[which]):
        group = times[which] == time
        if group.sum() > 1:
            box = frames.detector.amplifiers[amplifier].box
            measured = read_noise_from_differences(frames, box, which[group])
            noises[group], errors[group] = measured.value, (measured.error or 0.0) * math.sqrt(float(group.sum()))
        else:
            noises[group] = statistics.noises[which[group], amplifier]
            errors[group] = statistics.noise_errors[which[group], amplifier]
            source = ROWS if len(frames.exposures) == 1 else DIFFERENCES
    return noises, math.sqrt(float(np.sum(errors**2))) / which.size, source
