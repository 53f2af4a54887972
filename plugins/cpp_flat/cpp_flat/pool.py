"""One lamp level per exposure for the whole focal plane, and what must be left out: from all detectors together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from cpp_flat.config import FlatConfig
from cpp_flat.focal_plane import FocalPlane, gather
from cpp_flat.rank_one import RankOne, fit_rank_one
from cpp_flat.refuse import Refusals, refuse
from cpp_flat.shutter import Shading, fit_shading, lighting, times_differ
from cpp_flat.surface import Surface
from cpp_framework.model import Measurement
from cpp_framework.model.context import Context, Measurements

CONVERGED = 1e-8
"""Relative change of the lamp levels below which shading and levels agree."""

ROUNDS = 50
"""Each round makes the change smaller by about δ/t, so a handful do; more means that the data contradict the model."""


def pool(measurements: Measurements, config: FlatConfig, ctx: Context) -> Measurement:
    """Solve lamp levels, amplifier throughputs and shutter shading, and say which exposures are refused where.

    Returns
    -------
    Measurement
        What `Pooled.read` reads.
    """
    plane = gather({detector: by_selection["flat"] for detector, by_selection in measurements.items()})
    refusals, fit = refuse(plane, config)
    shading = None
    if times_differ(plane.times[refusals.used.any(axis=0)], config.shutter_ratio):
        shading, fit = _with_shading(plane, refusals, fit, config.shutter_order, ctx)
    return _packed(plane, refusals, fit, shading)


def _with_shading(
    plane: FocalPlane, refusals: Refusals, fit: RankOne, order: int, ctx: Context
) -> tuple[Shading | None, RankOne]:
    """Shading and levels that agree with each other; no shading if noise explains it."""
    without = fit
    for _ in range(ROUNDS):
        shading = fit_shading(plane, fit.level, refusals.used, order)
        if shading is None or not shading.significant:
            return None, without
        lit = lighting(plane, shading)
        errors = np.where(refusals.used, plane.errors / lit, np.nan)
        before, fit = fit.level, fit_rank_one(plane.levels / lit, errors, plane.pixels)
        if np.nanmax(np.abs(fit.level / before - 1)) < CONVERGED:
            return shading, fit
    ctx.log.warning("flat: shutter shading and lamp levels do not converge in %d rounds: no shading fitted", ROUNDS)
    return None, without


def _packed(plane: FocalPlane, refusals: Refusals, fit: RankOne, shading: Shading | None) -> Measurement:
    arrays: dict[str, NDArray[np.float64] | NDArray[np.int64]] = {
        "level": fit.level,
        "level_error": fit.level_error,
        "throughput": fit.throughput,
        "throughput_error": fit.throughput_error,
        "pixels": plane.pixels,
        "detector": np.array([detector for detector, _ in plane.amplifiers], np.int64),
    }
    for detector, surface in (shading.surfaces if shading is not None else {}).items():
        arrays[f"shutter_powers_{detector}"] = surface.powers
        arrays[f"shutter_coefficients_{detector}"] = surface.coefficients
        arrays[f"shutter_covariance_{detector}"] = surface.covariance
    values = {
        "exposures": list(plane.exposures),
        "amplifiers": [name for _, name in plane.amplifiers],
        "refused": [[a, plane.exposures[e], reason] for (a, e), reason in sorted(refusals.why.items())],
        "unused": [[int(a), plane.exposures[e]] for a, e in np.argwhere(~refusals.used)],
        "dead": [[a, reason] for a, reason in sorted(refusals.dead.items())],
    }
    return Measurement(arrays, values)


@dataclass(frozen=True)
class Pooled:
    """What `pool` found, as `solve` of one detector sees it.

    ``levels`` and ``level_errors`` are by exposure id, in the unit of the frames. ``refused`` maps
    (exposure, amplifier) to the reason, ``unused`` holds all such pairs without a usable level, ``dead`` maps
    amplifiers to why they are dead. ``throughput`` and its error are by amplifier. ``table`` lists all amplifiers of
    the focal plane.
    """

    levels: Mapping[str, float]
    level_errors: Mapping[str, float]
    throughput: Mapping[str, float]
    throughput_errors: Mapping[str, float]
    refused: Mapping[tuple[str, str], str]
    unused: frozenset[tuple[str, str]]
    dead: Mapping[str, str]
    table: Table
    shading: Surface | None

    @classmethod
    def read(cls, shared: Measurement, detector: int, shape: tuple[int, int]) -> Pooled:
        """Take out what concerns one detector."""
        arrays, values = shared.arrays, shared.values
        exposures, names = values["exposures"], values["amplifiers"]
        own = {int(i): names[i] for i in np.flatnonzero(arrays["detector"] == detector)}
        shading = None
        if f"shutter_powers_{detector}" in arrays:
            parts = [arrays[f"shutter_{part}_{detector}"] for part in ("powers", "coefficients", "covariance")]
            shading = Surface(shape, *parts)
        return cls(
            levels=dict(zip(exposures, arrays["level"].tolist(), strict=True)),
            level_errors=dict(zip(exposures, arrays["level_error"].tolist(), strict=True)),
            throughput={name: float(arrays["throughput"][i]) for i, name in own.items()},
            throughput_errors={name: float(arrays["throughput_error"][i]) for i, name in own.items()},
            refused={(exposure, own[a]): reason for a, exposure, reason in values["refused"] if a in own},
            unused=frozenset((exposure, own[a]) for a, exposure in values["unused"] if a in own),
            dead={own[a]: reason for a, reason in values["dead"] if a in own},
            table=_focal_plane_table(shared),
            shading=shading,
        )


def _focal_plane_table(shared: Measurement) -> Table:
    arrays = shared.arrays
    table = Table({"DETECTOR": arrays["detector"], "AMPLIFIER": np.array(shared.values["amplifiers"])})
    for column, array, unit in (
        ("THROUGHPUT", "throughput", "1"),
        ("ERROR", "throughput_error", "1"),
        ("PIXELS", "pixels", "pixel"),
    ):
        table[column] = arrays[array]
        table[column].unit = unit
    return table
