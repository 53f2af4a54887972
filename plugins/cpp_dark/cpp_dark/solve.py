"""Fit the dark rate to a stack of dark exposures, with the zero of a bias or of its own."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cpp_dark.config import DarkConfig
from cpp_dark.cosmic_rays import find_in_single_exposures
from cpp_dark.errors import with_surrounding_noise
from cpp_dark.fit import DarkFit, Fitting, Plane, fit_rate, fit_relative_rate, with_bias_error
from cpp_dark.frames import StackedFrames
from cpp_dark.product import Dark
from cpp_dark.stack import BIAS, DarkStack, prepare
from cpp_dark.summary import amplifier_results, exposure_table, metrics
from cpp_framework.model import ImageProduct, Mask
from cpp_framework.model.context import Context, Inputs, Needs


def solve(inputs: Inputs, needs: Needs, config: DarkConfig, ctx: Context) -> Dark:
    """Refuse exposures that do not belong, measure the noise and fit rate × dark time.

    Parameters
    ----------
    inputs : mapping of str to Frames
        The selection ``dark`` and, where there is no bias product, ``bias`` if there are bias exposures: corrected up
        to charge transfer.
    needs : mapping of str to Product
        ``bias``, if its zero was subtracted from the exposures.
    config : DarkConfig
    ctx : Context

    Returns
    -------
    Dark
        [electron/s], or [adu/s] where no gain is known. Dead amplifiers are NaN and masked.

    Raises
    ------
    InputsMissingError
        There is no bias, and all exposures have one dark time: zero and rate cannot be told apart.
    """
    stack = prepare(inputs, needs, config)
    for what, why in stack.refusals.reasons.items():
        ctx.log.warning("dark: %s refused: %s", what, why)
    hits = None
    if stack.few:
        hits = find_in_single_exposures(stack.frames, stack.refusals.used, stack.noise)
        stack = replace(stack, frames=stack.frames.without(hits))
    fitting = Fitting(
        frames=stack.frames,
        noise=stack.noise.of_stack(stack.frames),
        times=np.where(stack.in_stack, stack.times, 0.0),
        weights=stack.noise.weights(stack.times),
        used=stack.refusals.used,
        joint=stack.joint,
        clip=config.clip,
        threads=ctx.threads,
    )
    fit = fit_relative_rate(fitting, stack.statistics.levels) if stack.free_offsets else fit_rate(fitting)
    fit = with_surrounding_noise(fit, stack.frames, stack.refusals.used, joint=stack.joint)
    if (bias := needs.get(BIAS)) is not None:
        assert isinstance(bias, ImageProduct)
        fit = with_bias_error(fit, bias_error(bias, stack.frames), stack.frames, stack.refusals.used)
    return _product(stack, _with_hits(fit, hits), hits, needs, config)


def bias_error(bias: ImageProduct, frames: StackedFrames) -> Plane:
    """Error of the bias in the unit of the frames; the bias is in ADU."""
    error = bias.error.copy()
    if frames.unit == "electron":
        for amp in frames.detector.amplifiers:
            gains = [record.gain for record in frames.records(amp.name) if record.gain is not None]
            error[amp.box.slices] *= np.float32(gains[0] if gains else math.nan)
    return error


def _with_hits(fit: DarkFit, hits: NDArray[np.bool_] | None) -> DarkFit:
    """List hits found in single exposures with the rejected samples; a pixel that was hit in all has no data."""
    if hits is None:
        return fit
    mask = fit.mask.copy()
    mask[(fit.used == 0) & np.any(hits, axis=0)] |= np.uint32(Mask.CR)
    runs = [fit.rejected]
    for k, y in np.argwhere(np.any(hits, axis=2)):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], hits[k, y].view(np.int8), [0]])))
        runs.append(np.array([(k, y, x0, x1 - x0) for x0, x1 in edges.reshape(-1, 2)], np.int32))
    return replace(fit, mask=mask, rejected=np.concatenate(runs))


def _product(stack: DarkStack, fit: DarkFit, hits: NDArray[np.bool_] | None, needs: Needs, config: DarkConfig) -> Dark:
    detector, refusals, in_stack = stack.frames.detector, stack.refusals, stack.in_stack
    for name in refusals.dead:
        fit.mask[detector.amplifier(name).box.slices] |= np.uint32(Mask.DEAD_AMPLIFIER | Mask.NO_DATA)
    unit = f"{stack.frames.unit}/s"
    amplifiers = amplifier_results(stack, fit, hits, needs.get(BIAS), unit)
    return Dark(
        unit=unit,
        image=fit.image,
        error=fit.error,
        mask=fit.mask,
        used=fit.used,
        zero=fit.zero,
        zero_error=fit.zero_error,
        rejected=_all_rejected(stack, fit),
        stacked=tuple(one.id for one, used in zip(stack.frames.exposures, in_stack, strict=True) if used),
        scales=fit.times[in_stack],
        weights=fit.weights[in_stack],
        offsets=fit.offsets[in_stack] if stack.free_offsets else np.zeros((0, 0)),
        amplifiers=amplifiers,
        metrics=metrics(stack, fit, config.hot, unit),
        refused=refusals.reasons,
        tables={"EXPOSURES": exposure_table(stack, fit)},
    )


def _all_rejected(stack: DarkStack, fit: DarkFit) -> NDArray[np.int32]:
    """Runs of samples left out and of refused amplifiers, by index into the exposures that are in the stack."""
    runs = [fit.rejected]
    for k, i in np.argwhere(~stack.refusals.used & stack.in_stack[:, None]):
        box = stack.frames.detector.amplifiers[i].box
        runs.append(np.array([(k, y, box.x0, box.width) for y in range(box.y0, box.y1)], np.int32))
    together = np.concatenate(runs)
    together[:, 0] = (np.cumsum(stack.in_stack) - 1)[together[:, 0]]
    return together[np.lexsort((together[:, 2], together[:, 1], together[:, 0]))]
