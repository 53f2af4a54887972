"""Calibration types for tests of the runner: a mean that takes its time, and some that go wrong."""

from __future__ import annotations

from dataclasses import replace

from cpp_framework.declare import CalibrationType, Inputs, Requires
from cpp_framework.hookspecs import hookimpl

MEAN = CalibrationType(
    name="mean",
    title="Mean of a stack",
    revision=1,
    inputs=(Inputs("bias"),),
    config="run_functions:MeanConfig",
    product="run_functions:Mean",
    measure="run_functions:measure",
    solve="run_functions:solve",
    verify="run_functions:verify",
)
POOLED = replace(
    MEAN,
    name="pooled",
    title="Level of a detector over that of its focal plane",
    inputs=(Inputs("bias", frames=False),),
    product="run_functions:Level",
    pool="run_functions:pool",
    solve="run_functions:solve_pooled",
)


@hookimpl
def cpp_calibration_types() -> list[CalibrationType]:
    return [
        MEAN,
        POOLED,
        replace(POOLED, name="unpooled", title="its pool raises", pool="run_functions:pool_that_raises"),
        replace(MEAN, name="deadly", title="kills its worker on detector 1", solve="run_functions:solve_deadly"),
        replace(MEAN, name="jealous", title="kills its worker if not alone", solve="run_functions:solve_jealous"),
        replace(MEAN, name="needy", title="needs a mean", requires=(Requires("mean"),)),
    ]
