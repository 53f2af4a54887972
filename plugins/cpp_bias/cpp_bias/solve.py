"""Combine a stack of bias exposures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cpp_bias.config import BiasConfig
from cpp_bias.product import Bias
from cpp_bias.refuse import Refusals, refuse
from cpp_framework.model import AmplifierResult, AmplifierStatus, Mask, Measured
from cpp_framework.model.context import Context, Frames, Inputs, Needs
from cpp_framework.stats import (
    Combined,
    StackNoise,
    clipped_moments,
    combine,
    measure_stack_noise,
    noise_penalty,
)


def solve(inputs: Inputs, needs: Needs, config: BiasConfig, ctx: Context) -> Bias:  # noqa: ARG001  (bias needs nothing)
    """Refuse exposures that do not belong, measure the noise and average the rest.

    Parameters
    ----------
    inputs : mapping of str to Frames
        The selection ``bias``: overscan-corrected exposures [adu] with their measurements.
    needs : mapping of str to Product
        Not used.
    config : BiasConfig
    ctx : Context

    Returns
    -------
    Bias
        [adu]. Dead amplifiers are NaN and masked.
    """
    frames = inputs["bias"]
    refusals = refuse(frames)
    for what, why in refusals.reasons.items():
        ctx.log.warning("bias: %s refused: %s", what, why)
    noise = measure_stack_noise(frames, refusals.used)
    combined = combine(frames, noise, used_exposures=refusals.used, clip=config.clip, threads=ctx.threads)
    mask = combined.mask
    for name in refusals.dead:
        mask[frames.detector.amplifier(name).box.slices] |= np.uint32(Mask.DEAD_AMPLIFIER | Mask.NO_DATA)
    in_stack: NDArray[np.bool_] = np.any(refusals.used, axis=1)
    return Bias(
        unit=frames.unit,
        image=combined.image,
        error=combined.error,
        mask=mask,
        used=combined.used,
        rejected=_all_rejected(frames, combined, refusals, in_stack),
        stacked=tuple(one.id for one, used in zip(frames.exposures, in_stack, strict=True) if used),
        amplifiers=_amplifiers(frames, combined, noise, refusals),
        metrics=_metrics(combined, int(in_stack.sum())),
        refused=refusals.reasons,
    )


def _all_rejected(
    frames: Frames, combined: Combined, refusals: Refusals, in_stack: NDArray[np.bool_]
) -> NDArray[np.int32]:
    """Runs of clipped samples and of refused amplifiers, by index into the exposures that are in the stack."""
    runs = [combined.rejected]
    for k, i in np.argwhere(~refusals.used & in_stack[:, None]):
        box = frames.detector.amplifiers[i].box
        runs.append(np.array([(k, y, box.x0, box.width) for y in range(box.y0, box.y1)], np.int32))
    together = np.concatenate(runs)
    together[:, 0] = (np.cumsum(in_stack) - 1)[together[:, 0]]
    return together[np.lexsort((together[:, 2], together[:, 1], together[:, 0]))]


def _amplifiers(
    frames: Frames, combined: Combined, noise: StackNoise, refusals: Refusals
) -> dict[str, AmplifierResult]:
    results = {}
    for i, amp in enumerate(frames.detector.amplifiers):
        if amp.name in refusals.dead:
            results[amp.name] = AmplifierResult(status=AmplifierStatus.DEAD, reason=refusals.dead[amp.name])
            continue
        which = np.flatnonzero(refusals.used[:, i])
        level = clipped_moments(combined.image[amp.box.slices])
        results[amp.name] = AmplifierResult(
            reason=_remarks(noise.source[amp.name], which.size),
            values={
                "read_noise": _read_noise(frames, noise, amp.name, which),
                "level": Measured(value=level.mean, error=level.error, unit=frames.unit),
                "exposures": Measured(value=which.size, unit="exposures"),
            },
        )
    return results


def _read_noise(frames: Frames, noise: StackNoise, amplifier: str, which: NDArray[np.intp]) -> Measured:
    """Read noise of one exposure, pooled over the exposures used: overscan alone, without the noise of its level."""
    if noise.source[amplifier] != "overscan":
        return Measured(value=noise.variance(amplifier)[0] ** 0.5, error=noise.error[amplifier], unit=frames.unit)
    records = [frames.records(amplifier)[k] for k in which]
    values = np.array([record.read_noise for record in records], float)
    errors = np.array([record.read_noise_error for record in records], float)
    pooled = float(np.sqrt(np.mean(values**2)))
    error = float(np.sqrt(np.sum((values * errors) ** 2))) / (which.size * pooled)
    return Measured(value=pooled, error=error, unit=frames.unit)


def _remarks(source: str, n: int) -> str:
    """What a user of this amplifier should know."""
    remarks = [] if source == "overscan" else [f"read noise from {source}"]
    if n == 1:
        remarks.append("one exposure: outliers cannot be told and stay")
    if n == 2:
        remarks.append("two exposures: negative outliers cannot be told and stay")
    return "; ".join(remarks)


def _metrics(combined: Combined, exposures: int) -> dict[str, Measured]:
    samples = int(combined.used.sum(dtype=np.int64)) + combined.rejected_samples
    metrics = {
        "exposures": Measured(value=exposures, unit="exposures"),
        "unstable_pixels": Measured(value=combined.unstable_pixels, unit="pixel"),
    }
    if samples:
        metrics["rejected_fraction"] = Measured(value=combined.rejected_samples / samples, unit="1")
    if exposures:
        metrics["noise_penalty"] = Measured(value=noise_penalty(exposures), unit="1")
    return metrics
