"""Combine the flats of one detector, scaled by the lamp levels that `pool` solved for the whole focal plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from cpp_flat.config import FlatConfig
from cpp_flat.corrections import correction_variance
from cpp_flat.illumination import fit_illumination, illumination_metrics
from cpp_flat.noise import FlatNoise, flat_noise
from cpp_flat.pool import Pooled
from cpp_flat.product import Flat
from cpp_flat.shaded import EvenlyLit
from cpp_flat.surface import Surface
from cpp_framework.errors import ContractError
from cpp_framework.model import UNUSABLE, AmplifierResult, AmplifierStatus, Mask, Measured
from cpp_framework.model.context import Context, Frames, Inputs, Needs
from cpp_framework.stats import Combined, clipped_moments, fit_stack

NORMALISATION = "pixel-weighted mean over the focal plane of the clipped means (5 sigma) of the good amplifiers = 1"


def solve(inputs: Inputs, needs: Needs, config: FlatConfig, ctx: Context) -> Flat:
    """Fit the response of every pixel to exposures of known lamp level.

    Parameters
    ----------
    inputs : mapping of str to Frames
        The selection ``flat``: exposures corrected up to the brighter-fatter effect, with what `pool` found.
    needs : mapping of str to Product
        A ``bias`` may tell the read noise; the errors of ``bias`` and ``dark`` are part of the flat's.
    config : FlatConfig
    ctx : Context

    Returns
    -------
    Flat
        Dimensionless. Dead amplifiers are NaN and masked.

    Raises
    ------
    ContractError
        The frames come without what `pool` returns.
    """
    frames = inputs["flat"]
    if frames.shared is None:
        raise ContractError("the flat is solved with lamp levels from its pool(), and the frames have none")
    pooled = Pooled.read(frames.shared, frames.detector.id, frames.detector.shape)
    stack = _stack(frames, needs, pooled)
    for what, why in stack.reasons.items():
        ctx.log.warning("flat: %s refused: %s", what, why)
    fitted = fit_stack(
        frames if pooled.shading is None else EvenlyLit(frames, pooled.shading),
        stack.noise.of_stack,
        scales=stack.levels,
        weights=stack.weights,
        used_exposures=stack.used,
        clip=config.clip,
        threads=ctx.threads,
    )
    _mask_unusable(fitted, frames, pooled)
    of_corrections = correction_variance(frames, needs, stack.levels, stack.weights, stack.used)
    good = (fitted.mask & np.uint32(UNUSABLE)) == 0
    response = np.where(good, fitted.image, np.float32(np.nan))
    illumination = fit_illumination(frames.detector, response)
    return Flat(
        unit="1",
        image=fitted.image,
        error=np.sqrt(np.square(fitted.error) + of_corrections),
        mask=fitted.mask,
        used=fitted.used,
        rejected=_all_rejected(frames, fitted, stack),
        stacked=tuple(one.id for one, inside in zip(frames.exposures, stack.inside, strict=True) if inside),
        scales=stack.levels[stack.inside],
        weights=stack.weights[stack.inside],
        amplifiers=_amplifiers(frames, response, stack, pooled),
        metrics=_metrics(fitted, stack, pooled, illumination),
        refused=stack.reasons,
        tables=_tables(frames, stack, pooled, illumination),
    )


@dataclass(frozen=True)
class _Stack:
    """Which exposures count where (bool ``[exposure, amplifier]``), and with what level, weight and noise.

    ``inside`` are the exposures that count anywhere; the others have level and weight 1, which nothing looks at.
    """

    used: NDArray[np.bool_]
    inside: NDArray[np.bool_]
    levels: NDArray[np.float64]
    weights: NDArray[np.float64]
    noise: FlatNoise
    reasons: dict[str, str]


def _stack(frames: Frames, needs: Needs, pooled: Pooled) -> _Stack:
    names = [amp.name for amp in frames.detector.amplifiers]
    used = np.array([[(one.id, name) not in pooled.unused for name in names] for one in frames.exposures])
    inside: NDArray[np.bool_] = np.any(used, axis=1)
    levels = np.array([pooled.levels[one.id] for one in frames.exposures])
    levels[~inside] = 1.0
    noise = flat_noise(frames, needs, levels, used)
    weights = np.where(inside, _weights(levels, noise), 1.0)
    return _Stack(used, inside, levels, weights, noise, _reasons(frames, pooled))


def _weights(levels: NDArray[np.float64], noise: FlatNoise) -> NDArray[np.float64]:
    """One over the variance of a typical sample of each exposure."""
    read = np.mean([one.value**2 for one in noise.read_noise.values()] or [0.0])
    light = np.mean([1 / one.value for one in noise.gain.values()] or [0.0])
    weights: NDArray[np.float64] = 1 / np.maximum(read + light * levels, 1 / 12)
    return weights


def _reasons(frames: Frames, pooled: Pooled) -> dict[str, str]:
    """Refusals by exposure, where it is refused in all live amplifiers, else by exposure/amplifier."""
    alive = [amp.name for amp in frames.detector.amplifiers if amp.name not in pooled.dead]
    reasons: dict[str, str] = {}
    for exposure in frames.exposures:
        bad = [name for name in alive if (exposure.id, name) in pooled.unused]
        why = [pooled.refused.get((exposure.id, name), "no usable pixel with light") for name in bad]
        if bad and len(bad) == len(alive):
            reasons[exposure.id] = f"{why[0]} (amplifier {bad[0]}; refused in all)" if len(set(why)) > 1 else why[0]
        else:
            reasons |= {f"{exposure.id}/{name}": reason for name, reason in zip(bad, why, strict=True)}
    return reasons


def _mask_unusable(fitted: Combined, frames: Frames, pooled: Pooled) -> None:
    """Mask dead amplifiers, and pixels without a response to divide by."""
    for name in pooled.dead:
        box = frames.detector.amplifier(name).box.slices
        fitted.mask[box] |= np.uint32(Mask.DEAD_AMPLIFIER | Mask.NO_DATA)
    fitted.mask[fitted.image <= 0] |= np.uint32(Mask.BAD)


def _all_rejected(frames: Frames, fitted: Combined, stack: _Stack) -> NDArray[np.int32]:
    """Runs of clipped samples and of refused amplifiers, by index into the exposures that are in the stack."""
    runs = [fitted.rejected]
    for k, i in np.argwhere(~stack.used & stack.inside[:, None]):
        box = frames.detector.amplifiers[i].box
        runs.append(np.array([(k, y, box.x0, box.width) for y in range(box.y0, box.y1)], np.int32))
    together = np.concatenate(runs)
    together[:, 0] = (np.cumsum(stack.inside) - 1)[together[:, 0]]
    return together[np.lexsort((together[:, 2], together[:, 1], together[:, 0]))]


def _amplifiers(
    frames: Frames, response: NDArray[np.float32], stack: _Stack, pooled: Pooled
) -> dict[str, AmplifierResult]:
    results = {}
    for i, amp in enumerate(frames.detector.amplifiers):
        if amp.name in pooled.dead:
            results[amp.name] = AmplifierResult(status=AmplifierStatus.DEAD, reason=pooled.dead[amp.name])
            continue
        which = np.flatnonzero(stack.used[:, i])
        if which.size == 0:
            reason = "every exposure is refused here: see the refusals"
            results[amp.name] = AmplifierResult(status=AmplifierStatus.FAILED, reason=reason)
            continue
        level = clipped_moments(response[amp.box.slices])
        values = {
            "throughput": Measured(
                value=pooled.throughput[amp.name], error=pooled.throughput_errors[amp.name], unit="1"
            ),
            "response": Measured(value=level.mean, error=level.error, unit="1"),
            "read_noise": stack.noise.read_noise[amp.name],
            "exposures": Measured(value=which.size, unit="exposures"),
        }
        if amp.name in stack.noise.gain:
            values["gain_used"] = stack.noise.gain[amp.name]
        results[amp.name] = AmplifierResult(reason=_remarks(stack.noise.source[amp.name], which.size), values=values)
    return results


def _remarks(source: str, n: int) -> str:
    """What a user of this amplifier should know."""
    remarks = [] if source == "read noise from the overscan" else [source]
    if n == 1:
        remarks.append("one exposure: outliers cannot be told and stay")
    if n == 2:
        remarks.append("two exposures: negative outliers cannot be told and stay")
    return "; ".join(remarks)


def _metrics(fitted: Combined, stack: _Stack, pooled: Pooled, illumination: Surface | None) -> dict[str, Measured]:
    samples = int(fitted.used.sum(dtype=np.int64)) + fitted.rejected_samples
    metrics = {
        "exposures": Measured(value=int(stack.inside.sum()), unit="exposures"),
        "unstable_pixels": Measured(value=fitted.unstable_pixels, unit="pixel"),
        "not_above_zero": Measured(value=int(np.count_nonzero(fitted.mask & Mask.BAD)), unit="pixel"),
    }
    if samples:
        metrics["rejected_fraction"] = Measured(value=fitted.rejected_samples / samples, unit="1")
    if illumination is not None:
        metrics |= illumination_metrics(illumination)
    if pooled.shading is not None:
        metrics |= _shading_metrics(pooled.shading)
    return metrics


def _shading_metrics(shading: Surface) -> dict[str, Measured]:
    """The largest delay anywhere, and the largest in its own errors."""
    y, x = (np.linspace(0, n - 1, 33) for n in shading.shape)
    grid = np.meshgrid(x, y)
    delay, error = shading.at(*grid), shading.error_at(*grid)
    largest = np.unravel_index(np.argmax(np.abs(delay)), delay.shape)
    return {
        "shutter_largest_delay": Measured(value=float(delay[largest]), error=float(error[largest]), unit="s"),
        "shutter_significance": Measured(value=float(np.max(np.abs(delay) / error)), unit="sigma"),
    }


def _tables(frames: Frames, stack: _Stack, pooled: Pooled, illumination: Surface | None) -> dict[str, Table]:
    detectors = len(set(pooled.table["DETECTOR"]))
    statements = {
        "normalisation": NORMALISATION,
        "focal plane": f"{len(pooled.table)} amplifiers of {detectors} detectors",
        "levels": f"scales of the exposures are their lamp levels in {frames.unit}",
        "illumination": "ln(response) over this detector, fitted and left in the flat",
        "shutter": "delay relative to the focal plane's mean; the flat is that of infinitely long exposures"
        if pooled.shading is not None
        else "no shading fitted: exposure times do not differ enough, or none is significant",
    }
    tables = {
        "FOCAL_PLANE": pooled.table,
        "STATEMENTS": Table({"SUBJECT": list(statements), "STATEMENT": list(statements.values())}),
    }
    if illumination is not None:
        tables["ILLUMINATION"] = illumination.table("")
    if pooled.shading is not None:
        tables["SHUTTER"] = pooled.shading.table("s")
    levels = Table({"EXPOSURE": [one.id for one, i in zip(frames.exposures, stack.inside, strict=True) if i]})
    if len(levels):
        levels["TIME"] = [one.exposure_time for one, i in zip(frames.exposures, stack.inside, strict=True) if i]
        levels["LEVEL"] = stack.levels[stack.inside]
        levels["ERROR"] = [pooled.level_errors[exposure] for exposure in levels["EXPOSURE"]]
        levels["TIME"].unit, levels["LEVEL"].unit, levels["ERROR"].unit = "s", frames.unit, frames.unit
        tables["LEVELS"] = levels
    return tables
