"""First stages: flag ADC saturation, subtract the overscans, flag full well, and place amplifiers in the image.

Without a corrector between the overscans (crosstalk) all of it is one pass over the pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from cpp_framework.camera.instrument import OverscanRule, OverscanRules
from cpp_framework.camera.raw import RawAmplifier, RawFrame
from cpp_framework.declare import Stage
from cpp_framework.isr import _kernels
from cpp_framework.isr.overscan import OverscanLevels, measure_levels
from cpp_framework.model.detector import Detector
from cpp_framework.model.image import AmplifierRecord, Float, Image, oriented
from cpp_framework.model.mask import Mask

SIDES = ("serial_prescan", "serial_overscan", "parallel_prescan", "parallel_overscan")
_BITS = np.array([Mask.SAT, Mask.FULL_WELL, Mask.NOT_FINITE], np.uint32)


def assemble(raw: RawFrame, up_to: Stage, *, fused: bool, threads: int = 1) -> Image:
    """Make the assembled, trimmed image [adu] of a raw frame.

    Parameters
    ----------
    raw : RawFrame
    up_to : Stage
        Last stage to apply.
    fused : bool
        Whether to go up to FULL_WELL at once; otherwise stop after SERIAL_OVERSCAN (`finish` does the rest).
    threads : int
        How many amplifiers to work on at once; the outcome does not depend on it.

    Returns
    -------
    Image
        An amplifier without any variation below ADC saturation has no pixels: it is flagged DEAD_AMPLIFIER and its
        record stays empty.
    """
    image = _empty_image(raw)
    rules = raw.instrument.overscan
    limits = sorted({amp.adc_maximum for amp in raw.detector.amplifiers if amp.adc_maximum is not None})
    saturation = f"raw >= {', '.join(f'{limit:g}' for limit in limits)}" if limits else "limit unknown"
    image.applied.append(f"ADC saturation: {saturation}")
    if up_to >= Stage.SERIAL_OVERSCAN:
        image.applied.append(_describe("serial", rules.serial, "row", image.detector))
    if fused:
        _describe_later(image, rules, up_to)
    place = partial(_place, image, rules, up_to, fused)
    with ThreadPoolExecutor(threads) as pool:
        sides = pool.map(place, raw.amplifiers.values())
        image.overscans = dict(zip(raw.amplifiers, sides, strict=True))
    return image


def finish(image: Image, raw: RawFrame, up_to: Stage) -> None:
    """Subtract the parallel overscan and flag full well in an image that was assembled unfused."""
    rules = raw.instrument.overscan
    _describe_later(image, rules, up_to)
    for name, amplifier in raw.amplifiers.items():
        view, record = image.amp(name), image.records[name]
        if view.mask[0, 0] & Mask.DEAD_AMPLIFIER:
            continue
        sides = image.overscans[name]
        columns, levels = _columns(amplifier, sides, rules, up_to)
        full_well = _limit(view.amplifier.full_well, up_to >= Stage.FULL_WELL)
        _kernels.subtract_columns(view.data, view.mask, columns, full_well, np.uint32(Mask.FULL_WELL))
        if levels is not None:
            _record_parallel(record, columns, levels, sides["parallel_overscan"], rules.parallel)
            _flag(view.mask.T, levels)


def _empty_image(raw: RawFrame) -> Image:
    detector = raw.detector
    mask = np.zeros(detector.shape, np.uint32)
    data = np.empty(detector.shape, np.float32)
    if sum(amp.box.width * amp.box.height for amp in detector.amplifiers) != data.size:
        data[:] = np.nan
        mask[:] = Mask.NO_DATA
        for amp in detector.amplifiers:
            mask[amp.box.slices] = 0
    records = {amp.name: AmplifierRecord() for amp in detector.amplifiers}
    return Image(data, mask, detector, exposure=raw.exposure, window=raw.window, records=records)


def _place(image: Image, rules: OverscanRules, up_to: Stage, fused: bool, raw: RawAmplifier) -> dict[str, Float]:
    """Correct and place one amplifier; return its pre- and overscans less their row levels [adu]."""
    amp = raw.amplifier
    height, width = raw.data.shape
    saturation = _limit(amp.adc_maximum, True)
    sections = {name: getattr(raw, name).astype(np.float32) for name in SIDES if getattr(raw, name).size}
    serial = None
    if up_to >= Stage.SERIAL_OVERSCAN and "serial_overscan" in sections:
        first, quantum = raw.origins["serial_overscan"][0], _quantum(raw)
        section = sections["serial_overscan"]
        serial = measure_levels(section, rules.serial, first, saturation=saturation, quantum=quantum)
    sides = {}
    for name, section in sections.items():
        section[section >= saturation] = np.nan
        levels = serial.spread(raw.origins[name][0], len(section)) if serial else np.zeros(len(section))
        sides[name] = (section - levels[:, None]).astype(np.float32)
    rows = serial.spread(0, height) if serial else np.zeros(height)
    columns, parallel = _columns(raw, sides, rules, up_to) if fused else (np.zeros(width, np.float32), None)
    full_well = _limit(amp.full_well, fused and up_to >= Stage.FULL_WELL)
    data, mask = oriented(image.data, amp), oriented(image.mask, amp)
    varies = _kernels.place(raw.data, rows, columns, saturation, full_well, _BITS, data, mask)
    if not varies and raw.data[0, 0] < saturation:
        mask |= np.uint32(Mask.DEAD_AMPLIFIER)
        return sides
    record = image.records[amp.name]
    if serial is not None:
        record.bias_level = float(rows.mean())
        if serial.common:
            record.amplifier_variance = serial.variance
        else:
            record.level_variance, record.level_length = serial.variance, serial.length
        if serial.step is not None:
            record.step, record.step_row = serial.step.size, serial.first + serial.step.line
            record.step_alarm = serial.step.false_alarm
        _record_noise(record, serial)
        _flag(mask, serial)
    if parallel is not None:
        _record_parallel(record, columns, parallel, sides["parallel_overscan"], rules.parallel)
        _flag(mask.T, parallel)
    return sides


def _columns(
    raw: RawAmplifier, sides: Mapping[str, Float], rules: OverscanRules, up_to: Stage
) -> tuple[NDArray[np.float32], OverscanLevels | None]:
    """Level of every column of data; subtracts it from the parallel overscan too."""
    width = raw.data.shape[1]
    if up_to < Stage.PARALLEL_OVERSCAN or "parallel_overscan" not in sides:
        return np.zeros(width, np.float32), None
    section, first = sides["parallel_overscan"], raw.origins["parallel_overscan"][1]
    levels = measure_levels(section.T, rules.parallel, first, saturation=math.inf, quantum=_quantum(raw))
    if levels is None:
        return np.zeros(width, np.float32), None
    section -= levels.spread(first, section.shape[1]).astype(np.float32)
    return levels.spread(0, width).astype(np.float32), levels


def _record_parallel(
    record: AmplifierRecord,
    columns: NDArray[np.float32],
    levels: OverscanLevels,
    section: NDArray[np.float32],
    rule: OverscanRule,
) -> None:
    record.bias_level = (record.bias_level or 0.0) + float(columns.mean(dtype=np.float64))
    used = section[rule.skip_leading : len(section) - rule.skip_trailing]
    # An error of the serial level that all rows have in common has been subtracted with these rows.
    shared = _shared_by_columns(used, levels, record)
    record.amplifier_variance = shared / max(len(used), 1)
    if levels.common:
        record.amplifier_variance += levels.variance
    elif levels.noise is not None:
        # The noise was measured down the columns, where what rows share counts as well: columns do not differ by it.
        known = record.level_variance or shared
        record.column_variance = levels.variance * max(1 - known / levels.noise.value**2, 0.0)
    if record.read_noise is None:
        _record_noise(record, levels)


def _shared_by_columns(section: NDArray[np.float32], levels: OverscanLevels, record: AmplifierRecord) -> float:
    """Variance [adu²] of what a row of a parallel overscan has in common beyond white noise.

    A few rows measure it badly, often as nothing. The serial levels brought in their noise: it is at least that, and
    more than that of one row counts where the rows share it.
    """
    known = record.level_variance * min(max(record.level_length, 1.0), max(len(section), 1))
    if len(section) < 2 or levels.noise is None:
        return known
    usable = levels.good[: section.shape[1]]
    means = np.asarray(np.nanmean(section[:, usable], axis=1, dtype=np.float64))
    means = means[np.isfinite(means)]
    if len(means) < 2:
        return known
    beyond = float(np.var(means, ddof=1)) - levels.noise.value**2 / max(int(usable.sum()), 1)
    return max(beyond, known)


def _record_noise(record: AmplifierRecord, levels: OverscanLevels) -> None:
    if levels.noise is not None:
        record.read_noise, record.read_noise_error = levels.noise.value, levels.noise.error


def _flag(mask: NDArray[np.uint32], levels: OverscanLevels) -> None:
    mask[levels.flagged(levels.unusable, len(mask))] |= np.uint32(Mask.BAD_OVERSCAN)
    mask[levels.flagged(levels.wild, len(mask))] |= np.uint32(Mask.SUSPECT)


def _quantum(raw: RawAmplifier) -> float:
    return 0.0 if raw.data.dtype.kind == "f" else 1.0


def _limit(value: float | None, wanted: bool) -> float:
    return value if wanted and value is not None else math.inf


def _describe_later(image: Image, rules: OverscanRules, up_to: Stage) -> None:
    if up_to >= Stage.PARALLEL_OVERSCAN:
        image.applied.append(_describe("parallel", rules.parallel, "column", image.detector))
    if up_to >= Stage.FULL_WELL:
        known = any(amp.full_well is not None for amp in image.detector.amplifiers)
        image.applied.append("full well: flagged above the subtracted level" if known else "full well: limit unknown")


def _describe(direction: str, rule: OverscanRule, line: str, detector: Detector) -> str:
    if not any(getattr(amp, f"{direction}_overscan") for amp in detector.amplifiers):
        return f"{direction} overscan: none"
    name, _, per_line = rule.method.partition("_")
    scope = f"per {line}" if per_line else "of the section"
    if rule.knots is not None:
        scope = f"with a knot every {rule.knots} {line}s"
    return (
        f"{direction} overscan: {name} {scope}, {rule.skip_leading} leading and {rule.skip_trailing} trailing skipped"
    )
