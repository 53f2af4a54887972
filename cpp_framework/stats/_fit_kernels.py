"""Kernels of `fit_stack`. The plain numpy reference they must equal is in the tests."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cpp_framework.stats.jit import kernel

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int = NDArray[np.int64]
Count = NDArray[np.uint16]
Flag = NDArray[np.bool_]

MAD_TO_SIGMA = 1.4826
ALIKE = 2.0
"""Scales that differ by less than this factor are alike: the samples tell about P nearly equally well."""
MOST_PAIRS = 60
"""Pairs of samples tried as the start of a line."""
MOST_ROUNDS = 5
BELOW = 1.5
"""How much worse than a sample above its line one below it counts: hits are positive, so of two lines the lower."""


@kernel
def fit_box(
    samples: Float32,
    which: Int,
    x0: int,
    x1: int,
    scales: Float64,
    weights: Float64,
    offsets: Float64,
    variance_at_zero: Float64,
    variance_per_signal: float,
    clip: float,
    line: bool,
    inflate_above: Float64,
    unstable_above: Float64,
    image: Float32,
    error: Float32,
    zero: Float32,
    zero_error: Float32,
    used: Count,
    unstable: Flag,
    rejected: Flag,
) -> None:
    """Fit columns ``x0 <= x < x1`` of ``samples[exposure, y, x]`` over the exposures ``which``.

    The numbers per exposure are in the order of ``which``. Fills the planes ``[y, x]`` and ``rejected[which, y, x]``.
    """
    most = which.size
    y, s, w, v = np.empty(most), np.empty(most), np.empty(most), np.empty(most)
    z, place, kept = np.empty(most), np.empty(most, np.int64), np.empty(most, np.bool_)
    found = np.empty(4)
    alike = scales.max() <= ALIKE * scales.min()
    for row in range(samples.shape[1]):
        for x in range(x0, x1):
            n = 0
            for k in range(most):
                sample = samples[which[k], row, x]
                if abs(sample) < np.inf and (line or scales[k] != 0.0):
                    y[n], s[n], w[n] = np.float64(sample) - offsets[k], scales[k], weights[k]
                    v[n], place[n] = variance_at_zero[k], k
                    n += 1
            parameters = 2 if line else 1
            if line:
                count = _fit_line(y[:n], s[:n], w[:n], v[:n], variance_per_signal, clip, z, kept, found)
            else:
                count = _fit_scale(y[:n], s[:n], w[:n], v[:n], variance_per_signal, clip, alike, z, kept, found)
            used[row, x] = count
            if count == 0:
                image[row, x] = error[row, x] = np.nan
                if line:
                    zero[row, x] = zero_error[row, x] = np.nan
                continue
            chi2, dof = 0.0, count - parameters
            for k in range(n):
                rejected[place[k], row, x] = not kept[k]
                if kept[k]:
                    model = s[k] * found[0] + found[2]
                    chi2 += (y[k] - model) ** 2 / (v[k] + max(s[k] * found[0], 0.0) * variance_per_signal)
            inflated = math.sqrt(chi2 / dof) if dof > 0 and chi2 > inflate_above[dof] else 1.0
            unstable[row, x] = dof > 0 and chi2 > unstable_above[dof]
            image[row, x], error[row, x] = found[0], found[1] * inflated
            if line:
                zero[row, x], zero_error[row, x] = found[2], found[3] * inflated


@kernel
def _fit_scale(
    y: Float64,
    s: Float64,
    w: Float64,
    v: Float64,
    per_signal: float,
    clip: float,
    alike: bool,
    z: Float64,
    kept: Flag,
    found: Float64,
) -> int:
    """Fit ``y = s·P`` robustly; ``found`` becomes P, its error, 0, 0. Returns the number of samples kept."""
    n = y.size
    if n == 0:
        return 0
    kept[:n] = True
    if n == 2:
        _judge_pair(y, s, v, per_signal, clip, kept)
    elif n > 2 and not (alike and _all_agree(y, s, w, v, per_signal, clip, kept)):
        start = _median_ratio(y, s, z) if alike else _best_ratio(y, s, v, per_signal, clip)
        if n > 3 and not alike:
            # That of one sample is noisy: what is near it makes a better one, and only that one decides.
            _keep_near(y, s, v, per_signal, clip, start, 0.0, z, kept)
            start = _mean_scale(y, s, w, kept)[0]
        if _clip(y, s, v, per_signal, clip, start, 0.0, z, kept) == 1 and n == 3:
            _keep_lowest(y, s, kept)
    value, sum_ss = _mean_scale(y, s, w, kept)
    spread, count = 0.0, 0
    for k in range(n):
        if kept[k]:
            count += 1
            spread += (w[k] * s[k]) ** 2 * (v[k] + max(s[k] * value, 0.0) * per_signal)
    found[0], found[1], found[2], found[3] = value, math.sqrt(spread) / sum_ss, 0.0, 0.0
    return count


@kernel
def _mean_scale(y: Float64, s: Float64, w: Float64, kept: Flag) -> tuple[float, float]:
    """Least-squares P of the samples kept, and Σ w s²."""
    sum_ss, sum_sy = 0.0, 0.0
    for k in range(y.size):
        if kept[k]:
            sum_ss += w[k] * s[k] * s[k]
            sum_sy += w[k] * s[k] * y[k]
    return sum_sy / sum_ss, sum_ss


@kernel
def _median(values: Float64) -> float:
    """Median; sorts by insertion, which for a few samples is far quicker than `numpy.median`. The order is kept."""
    n = values.size
    ordered = np.empty(n)
    for k in range(n):
        value, j = values[k], k
        while j > 0 and ordered[j - 1] > value:
            ordered[j] = ordered[j - 1]
            j -= 1
        ordered[j] = value
    return float(0.5 * (ordered[(n - 1) // 2] + ordered[n // 2]))


@kernel
def _all_agree(y: Float64, s: Float64, w: Float64, v: Float64, per_signal: float, clip: float, kept: Flag) -> bool:
    """Whether no sample can be far from the median, which most pixels show without one.

    A median differs from the mean by no more than the rms deviation.
    """
    value = _mean_scale(y, s, w, kept)[0]
    largest, squares = 0.0, 0.0
    for k in range(y.size):
        square = (y[k] - s[k] * value) ** 2 / (v[k] + max(s[k] * value, 0.0) * per_signal)
        squares += square
        largest = max(largest, square)
    return math.sqrt(largest) + math.sqrt(squares / y.size) <= clip


@kernel
def _median_ratio(y: Float64, s: Float64, z: Float64) -> float:
    """A robust P where scales are alike: the median of y/s."""
    n = y.size
    for k in range(n):
        z[k] = y[k] / s[k]
    return _median(z[:n])


@kernel
def _best_ratio(y: Float64, s: Float64, v: Float64, per_signal: float, clip: float) -> float:
    """A robust P where scales differ much: the y/s to which most samples are near."""
    best, found = np.inf, 0.0
    for i in range(y.size):
        ratio, cost = y[i] / s[i], 0.0
        for k in range(y.size):
            model = s[k] * ratio
            most = clip if y[k] > model else BELOW * clip
            cost += min(abs(y[k] - model) / math.sqrt(v[k] + max(model, 0.0) * per_signal), most)
        if cost < best:
            best, found = cost, ratio
    return found


@kernel
def _judge_pair(y: Float64, s: Float64, v: Float64, per_signal: float, clip: float, kept: Flag) -> None:
    """Of two samples that disagree drop the higher: hits are positive."""
    low = 0 if y[0] / s[0] <= y[1] / s[1] else 1
    signal = max(y[low] / s[low], 0.0)
    variance = 0.0
    for k in range(2):
        variance += (v[k] + abs(s[k]) * signal * per_signal) / s[k] ** 2
    if abs(y[0] / s[0] - y[1] / s[1]) > clip * math.sqrt(variance):
        kept[1 - low] = False


@kernel
def _keep_lowest(y: Float64, s: Float64, kept: Flag) -> None:
    """Of three samples that all disagree the lowest is kept: two hits of three are likelier than two dips."""
    low = 0
    for k in range(1, y.size):
        if y[k] / s[k] < y[low] / s[low]:
            low = k
    for k in range(y.size):
        kept[k] = k == low


@kernel
def _clip(
    y: Float64,
    s: Float64,
    v: Float64,
    per_signal: float,
    clip: float,
    value: float,
    zero: float,
    z: Float64,
    kept: Flag,
) -> int:
    """Keep samples within ``clip`` scales of the model: noise or, from four on, their own MAD."""
    n = y.size
    count = _keep_near(y, s, v, per_signal, clip, value, zero, z, kept)
    if n >= 4:
        limit = clip * max(1.0, MAD_TO_SIGMA * _median(z[:n]))
        count = 0
        for k in range(n):
            kept[k] = z[k] <= limit
            count += kept[k]
    return count


@kernel
def _keep_near(
    y: Float64,
    s: Float64,
    v: Float64,
    per_signal: float,
    limit: float,
    value: float,
    zero: float,
    z: Float64,
    kept: Flag,
) -> int:
    """Keep samples within ``limit`` times their noise of the model; ``z`` becomes their distances."""
    count = 0
    for k in range(y.size):
        model = s[k] * value + zero
        z[k] = abs(y[k] - model) / math.sqrt(v[k] + max(s[k] * value, 0.0) * per_signal)
        kept[k] = z[k] <= limit
        count += kept[k]
    return count


@kernel
def _fit_line(
    y: Float64,
    s: Float64,
    w: Float64,
    v: Float64,
    per_signal: float,
    clip: float,
    z: Float64,
    kept: Flag,
    found: Float64,
) -> int:
    """Fit ``y = s·P + Z`` robustly; ``found`` becomes P, its error, Z, its error. Returns how many samples are kept."""
    n = y.size
    if not _best_pair(y, s, v, per_signal, clip, found):
        return 0
    # The line through two samples is noisy: what is near it makes a better one, and only that one decides.
    count = _clip(y, s, v, per_signal, 2 * clip, found[0], found[2], z, kept)
    for _ in range(MOST_ROUNDS):
        if not _least_squares(y, s, w, v, per_signal, kept, found):
            return 0
        before = 0
        for k in range(n):
            before += (k + 1) * kept[k]
        count = _clip(y, s, v, per_signal, clip, found[0], found[2], z, kept)
        for k in range(n):
            before -= (k + 1) * kept[k]
        if before == 0:
            break
    return count if _least_squares(y, s, w, v, per_signal, kept, found) else 0


@kernel
def _best_pair(y: Float64, s: Float64, v: Float64, per_signal: float, clip: float, found: Float64) -> bool:
    """Of the lines through two samples that to which most samples are near; false if all have one scale."""
    n, best = y.size, np.inf
    step = max(1, n * (n - 1) // 2 // MOST_PAIRS)
    number = 0
    for i in range(n):
        for j in range(i + 1, n):
            number += 1
            if s[i] == s[j] or (number - 1) % step:
                continue
            value = (y[j] - y[i]) / (s[j] - s[i])
            zero, cost = y[i] - s[i] * value, 0.0
            for k in range(n):
                model = s[k] * value + zero
                most = clip if y[k] > model else BELOW * clip
                cost += min(abs(y[k] - model) / math.sqrt(v[k] + max(s[k] * value, 0.0) * per_signal), most)
            if cost < best:
                best, found[0], found[2] = cost, value, zero
    return bool(best < np.inf)


@kernel
def _least_squares(
    y: Float64, s: Float64, w: Float64, v: Float64, per_signal: float, kept: Flag, found: Float64
) -> bool:
    """Weighted straight line through the samples kept, with errors; false if they have only one scale."""
    s0, s1, s2, t0, t1 = 0.0, 0.0, 0.0, 0.0, 0.0
    lowest, highest = np.inf, -np.inf
    for k in range(y.size):
        if kept[k]:
            s0 += w[k]
            s1 += w[k] * s[k]
            s2 += w[k] * s[k] * s[k]
            t0 += w[k] * y[k]
            t1 += w[k] * s[k] * y[k]
            lowest, highest = min(lowest, s[k]), max(highest, s[k])
    if not highest > lowest:
        return False
    determinant = s0 * s2 - s1 * s1
    value, zero = (s0 * t1 - s1 * t0) / determinant, (s2 * t0 - s1 * t1) / determinant
    of_value, of_zero = 0.0, 0.0
    for k in range(y.size):
        if kept[k]:
            variance = v[k] + max(s[k] * value, 0.0) * per_signal
            of_value += (w[k] * (s0 * s[k] - s1)) ** 2 * variance
            of_zero += (w[k] * (s2 - s1 * s[k])) ** 2 * variance
    found[0], found[1] = value, math.sqrt(of_value) / determinant
    found[2], found[3] = zero, math.sqrt(of_zero) / determinant
    return True


@kernel
def runs_of(flags: Flag) -> NDArray[np.int32]:
    """Runs of true values along x of ``flags[k, y, x]`` as rows ``(k, y, x0, length)``."""
    count = 0
    for fill in range(2):
        runs = np.empty((count, 4), np.int32)
        count = 0
        for k in range(flags.shape[0]):
            for y in range(flags.shape[1]):
                x = 0
                while x < flags.shape[2]:
                    begin = x
                    while x < flags.shape[2] and flags[k, y, x]:
                        x += 1
                    if x > begin:
                        if fill:
                            runs[count, 0], runs[count, 1], runs[count, 2], runs[count, 3] = k, y, begin, x - begin
                        count += 1
                    x += 1
    return runs
