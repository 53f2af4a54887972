"""What the product says in numbers: per amplifier, per exposure, and as a whole."""

from __future__ import annotations

import math

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from cpp_dark.cosmic_rays import cosmic_ray_rates
from cpp_dark.estimator import rate_coefficients
from cpp_dark.fit import DarkFit
from cpp_dark.noise import OVERSCAN
from cpp_dark.rates import Skewness, high_rate, median_rate
from cpp_dark.stack import DarkStack
from cpp_framework.model import Amplifier, AmplifierResult, AmplifierStatus, Mask, Measured, Product
from cpp_framework.model.mask import UNUSABLE


def amplifier_results(
    stack: DarkStack, fit: DarkFit, hits: NDArray[np.bool_] | None, bias: Product | None, unit: str
) -> dict[str, AmplifierResult]:
    """Status, remarks and values of each amplifier."""
    rays = cosmic_ray_rates(stack.frames, fit, stack.noise, stack.times, stack.refusals.used, hits)
    results = {}
    for i, amp in enumerate(stack.frames.detector.amplifiers):
        if amp.name in stack.refusals.dead:
            results[amp.name] = AmplifierResult(status=AmplifierStatus.DEAD, reason=stack.refusals.dead[amp.name])
            continue
        used = stack.refusals.used[:, i]
        read = stack.noise.read[used, i]
        pooled = Measured(
            value=math.sqrt(float(np.mean(read**2))), error=stack.noise.errors[amp.name], unit=stack.frames.unit
        )
        values = {
            "read_noise": pooled,
            "exposures": Measured(value=int(used.sum()), unit="exposures"),
            **_rates(stack, fit, i, amp, bias, pooled, unit),
        }
        if amp.name in rays:
            values["cosmic_rays"] = rays[amp.name]
        results[amp.name] = AmplifierResult(reason=_remarks(stack, amp.name, int(used.sum())), values=values)
    return results


def _rates(
    stack: DarkStack, fit: DarkFit, index: int, amp: Amplifier, bias: Product | None, read: Measured, unit: str
) -> dict[str, Measured]:
    """Median and 95th percentile of the rate; none where no pixel is usable."""
    good = (fit.mask[amp.box.slices] & np.uint32(UNUSABLE)) == 0
    rates, errors = fit.image[amp.box.slices][good], fit.error[amp.box.slices][good]
    if not np.any(np.isfinite(rates)):
        return {}
    common = math.sqrt(_level_variance(stack, fit, index, amp, bias))
    relative = (read.error or 0.0) / read.value if read.value else 0.0
    used = stack.refusals.used[:, index]
    factors = rate_coefficients(fit.times[used], fit.weights[used], joint=stack.joint)
    # With free offsets rates count from their median: how much signal there is, nobody knows.
    gain = None if stack.free_offsets else stack.noise.gains.get(amp.name)
    skewness = Skewness.of(factors, fit.times[used], float(np.nanmedian(rates)), gain)
    median = (0.0, common) if stack.free_offsets else median_rate(rates, errors, common, skewness)
    high = high_rate(rates, errors, relative, common, skewness)
    found = {"median": Measured(value=median[0], error=median[1], unit=unit)}
    if math.isfinite(high[0]):
        found["p95"] = Measured(value=high[0], error=high[1], unit=unit)
    return found


def _level_variance(stack: DarkStack, fit: DarkFit, index: int, amp: Amplifier, bias: Product | None) -> float:
    """Variance of the rate that all pixels of an amplifier share: noise of the overscan levels, error of the bias."""
    used = stack.refusals.used[:, index]
    factors = rate_coefficients(fit.times[used], fit.weights[used], joint=stack.joint)
    electron = stack.frames.unit == "electron"
    variance, gain = 0.0, 1.0
    for k, factor in zip(np.flatnonzero(used), factors, strict=True):
        record = stack.frames.records(amp.name)[k]
        gain = (record.gain or 1.0) if electron else 1.0
        rows, columns = amp.box.height, amp.box.width
        of_rows = record.level_variance * min(1.0, record.level_length / rows)
        level = of_rows + record.column_variance / columns + record.amplifier_variance
        variance += (factor * gain) ** 2 * level
    if bias is not None and amp.name in bias.amplifiers and "level" in bias.amplifiers[amp.name].values:
        shared = (bias.amplifiers[amp.name].values["level"].error or 0.0) * gain
        variance += (float(np.sum(factors)) * shared) ** 2
    return float(variance) if math.isfinite(variance) else 0.0


def _remarks(stack: DarkStack, amplifier: str, n: int) -> str:
    """What a user of this amplifier should know."""
    source = stack.noise.sources[amplifier]
    remarks = [] if source == OVERSCAN else [f"read noise from {source}"]
    if stack.free_offsets:
        remarks.append("the level of each exposure was fitted: rates count from the amplifier's median")
    if stack.joint:
        remarks.append("no bias: the zero was fitted with the rate")
    if stack.few:
        remarks.append(f"{n} exposures: cosmic rays were told by their shape; hits of one pixel stay")
    elif n == 2:
        remarks.append("two exposures: negative outliers cannot be told and stay")
    return "; ".join(remarks)


def metrics(stack: DarkStack, fit: DarkFit, hot: float, unit: str) -> dict[str, Measured]:
    """Numbers about the whole product."""
    exposed = stack.times[stack.in_stack]
    usable = (fit.mask & np.uint32(Mask.NO_DATA | Mask.DEAD_AMPLIFIER)) == 0
    rejected = int(fit.rejected[:, 3].sum())
    samples = int(fit.used.sum(dtype=np.int64)) + rejected
    found = {
        "relative": Measured(value=int(stack.free_offsets), unit="1"),
        "exposures": Measured(value=int(np.sum(exposed > 0)), unit="exposures"),
        "dark_time": Measured(value=float(exposed.sum()), unit="s"),
        "hot_pixels": Measured(value=int(np.sum(usable & (fit.image > hot))), unit="pixel"),
        "hot_above": Measured(value=hot, unit=unit),
        "unstable_pixels": Measured(value=int(np.sum((fit.mask & np.uint32(Mask.UNSTABLE)) != 0)), unit="pixel"),
    }
    if samples:
        found["rejected_fraction"] = Measured(value=rejected / samples, unit="1")
    return found


def exposure_table(stack: DarkStack, fit: DarkFit) -> Table:
    """One row per exposure and amplifier: dark time, level, total noise of a typical sample, offset and weight.

    Noise and offset are NaN where the exposure was not used.
    """
    unit, frames = stack.frames.unit, stack.frames
    names = [amp.name for amp in frames.detector.amplifiers]
    places = [(k, i) for k in range(len(frames.exposures)) for i in range(len(names))]
    k, i = np.array(places, int).reshape(-1, 2).T
    used = stack.refusals.used[k, i]
    table = Table(
        {
            "EXPOSURE": [frames.exposures[one].id for one in k],
            "AMPLIFIER": [names[one] for one in i],
            "DARK_TIME": stack.times[k],
            "LEVEL": stack.statistics.levels[k, i],
            "NOISE": stack.noise.total[k, i],
            "OFFSET": np.where(used, fit.offsets[k, i], math.nan),
            "WEIGHT": np.where(used, fit.weights[k], 0.0),
            "USED": used,
        }
    )
    for column, what in {"DARK_TIME": "s", "LEVEL": unit, "NOISE": unit, "OFFSET": unit}.items():
        table[column].unit = what
    return table
