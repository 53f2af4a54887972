"""Which exposures are left out of which amplifiers, and which amplifiers are dead."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cpp_flat.config import FlatConfig
from cpp_flat.focal_plane import FocalPlane
from cpp_flat.rank_one import RankOne, fit_rank_one

Float = NDArray[np.float64]

SIGNIFICANT, SCATTER = 5.0, 6.0
"""An exposure deviates if neither its errors (× 5) nor the scatter of the stack (× 6 median deviations) explain it."""

FEWEST = 3
"""Exposures it takes to say which of them deviates, and amplifiers to say which of them does."""

POLISH_ROUNDS, POLISHED = 20, 1e-6
"""Medians only find what deviates by percents; the fit itself is least squares."""


@dataclass
class Refusals:
    """What is left out: ``used`` is bool ``[amplifier, exposure]``, ``why`` the reasons by (amplifier, exposure).

    ``dead`` maps amplifiers (index in the focal plane) to why they are dead.
    """

    used: NDArray[np.bool_]
    why: dict[tuple[int, int], str] = field(default_factory=dict)
    dead: dict[int, str] = field(default_factory=dict)

    def refuse(self, amplifier: int, exposure: int, reason: str) -> None:
        """Leave an exposure out of an amplifier; the first reason stays."""
        self.used[amplifier, exposure] = False
        self.why.setdefault((amplifier, exposure), reason)

    def refuse_all(self, exposure: int, reason: str) -> None:
        """Leave an exposure out of every amplifier that still uses it."""
        for amplifier in np.flatnonzero(self.used[:, exposure]):
            self.refuse(int(amplifier), exposure, reason)


def refuse(plane: FocalPlane, config: FlatConfig) -> tuple[Refusals, RankOne]:
    """Refuse saturated, faint and deviating exposures, find dead amplifiers, and fit the rest.

    Saturation is judged in each amplifier: a bright one does not spoil the others. Faintness is the lamp's, judged
    on the level of the whole focal plane. Deviation from the rank-one model is judged in each amplifier, and in the
    illumination of each detector.
    """
    refusals = Refusals(np.isfinite(plane.levels) & np.isfinite(plane.errors) & (np.nan_to_num(plane.levels) > 0))
    for amplifier, exposure in np.argwhere(np.nan_to_num(plane.saturated) > config.saturated):
        fraction = plane.saturated[amplifier, exposure]
        refusals.refuse(
            int(amplifier),
            int(exposure),
            f"{100 * fraction:.3g} % of the pixels are saturated, limit {100 * config.saturated:.3g} %",
        )
    _find_dead(plane, refusals)
    fit = _fit(plane, refusals)
    for exposure in np.flatnonzero(fit.level < config.faint):
        reason = f"level {fit.level[exposure]:.4g} {plane.unit} is below {config.faint:g} {plane.unit}: too faint"
        refusals.refuse_all(int(exposure), reason)
    _refuse_deviating_amplifiers(plane, refusals, config.deviant)
    fit = _fit(plane, refusals)
    if _refuse_deviating_illumination(plane, refusals, fit.level, config.deviant):
        fit = _fit(plane, refusals)
    for exposure in np.flatnonzero(refusals.used.any(axis=0) & np.isnan(fit.level)):
        refusals.refuse_all(int(exposure), "no good amplifier is shared with the other exposures: no common level")
    return refusals, fit


def _fit(plane: FocalPlane, refusals: Refusals) -> RankOne:
    return fit_rank_one(plane.levels, np.where(refusals.used, plane.errors, np.nan), plane.pixels)


def _find_dead(plane: FocalPlane, refusals: Refusals) -> None:
    for amplifier in np.flatnonzero(~refusals.used.any(axis=1)):
        taken = np.isfinite(plane.saturated[amplifier])
        if any((int(amplifier), int(exposure)) in refusals.why for exposure in np.flatnonzero(taken)):
            why = "saturated in every exposure that has light"
        elif not np.isfinite(plane.levels[amplifier]).any():
            why = "no usable pixel in any exposure"
        elif not np.isfinite(plane.errors[amplifier]).any():
            why = "every pixel has the same value in all exposures"
        else:
            why = "no light in any exposure"
        refusals.dead[int(amplifier)] = why


def _refuse_deviating_amplifiers(plane: FocalPlane, refusals: Refusals, limit: float) -> None:
    """Refuse an exposure in amplifiers whose light does not follow the lamp.

    Of two amplifiers nobody can say which deviates: the exposure is refused in both.
    """
    exposures = np.flatnonzero(refusals.used.any(axis=0))
    amplifiers = np.flatnonzero(refusals.used.any(axis=1))
    if exposures.size < FEWEST:
        return
    inside = np.ix_(amplifiers, exposures)
    logs = np.log(np.where(refusals.used[inside], plane.levels[inside], np.nan))
    deviation = _polished(logs)
    scatter = SCATTER * np.nanmedian(np.abs(deviation), axis=1, keepdims=True)
    bound = np.maximum(np.maximum(limit, scatter), SIGNIFICANT * (plane.errors / plane.levels)[inside])
    for a, e in np.argwhere(np.abs(deviation) > bound):
        amplifier, exposure = int(amplifiers[a]), int(exposures[e])
        reason = (
            f"level {plane.levels[amplifier, exposure]:.5g} {plane.unit} deviates by {100 * deviation[a, e]:+.2g} % "
            f"from the amplifier's response times the lamp level, limit {100 * bound[a, e]:.2g} %"
        )
        if np.count_nonzero(refusals.used[:, exposure]) < FEWEST:
            refusals.refuse_all(exposure, reason)
        else:
            refusals.refuse(amplifier, exposure, reason)


def _polished(logs: Float) -> Float:
    """Residuals of log B = log G + log E by medians, which wild cells do not move (Tukey 1977, median polish).

    Every row and column has a finite cell. Each round takes medians out of columns, then rows.
    """
    left = logs
    for _ in range(POLISH_ROUNDS):
        before = left
        left = left - np.nanmedian(left, axis=0)
        left = left - np.nanmedian(left, axis=1, keepdims=True)
        if np.nanmax(np.abs(left - before)) < POLISHED:
            break
    return left


def _refuse_deviating_illumination(plane: FocalPlane, refusals: Refusals, levels: Float, limit: float) -> bool:
    """Refuse exposures whose light falls differently on a detector's blocks; say whether there were any."""
    found = False
    for detector, blocks in plane.blocks.items():
        used = refusals.used[blocks.amplifier] & np.isfinite(blocks.levels) & (np.nan_to_num(blocks.levels) > 0)
        taken = np.flatnonzero(used.any(axis=0))
        used = used[:, taken]
        whole = used.all(axis=1)
        if taken.size < FEWEST or not whole.any():
            continue
        inside = np.ix_(whole, taken)
        pattern = np.log(blocks.levels[inside] / levels[taken])
        off = np.abs(pattern - np.median(pattern, axis=1, keepdims=True))
        deviation = 1.4826 * np.median(off, axis=0)
        noise = np.median(blocks.errors[inside] / blocks.levels[inside], axis=0)
        bound = np.maximum(max(limit, SCATTER * float(np.median(deviation))), SIGNIFICANT * noise)
        for k in np.flatnonzero(deviation > bound):
            found = True
            reason = (
                f"the illumination of detector {detector} deviates by {100 * deviation[k]:.2g} % from the other "
                f"exposures', limit {100 * bound[k]:.2g} %"
            )
            for amplifier in plane.amplifiers_of(detector):
                if refusals.used[amplifier, taken[k]]:
                    refusals.refuse(int(amplifier), int(taken[k]), reason)
    return found
