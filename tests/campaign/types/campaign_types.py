"""A chain of calibration types for tests of campaigns: base, rate, response, and spots made from those alone."""

from __future__ import annotations

from dataclasses import replace

from cpp_framework.declare import CalibrationType, CheckSpec, Inputs, Requires
from cpp_framework.hookspecs import hookimpl

BASE = CalibrationType(
    name="base",
    title="Mean of bias frames",
    revision=1,
    inputs=(Inputs("bias", minimum=2),),
    config="campaign_functions:ChainConfig",
    product="campaign_functions:Plane",
    solve="campaign_functions:solve",
    verify="campaign_functions:verify",
    checks=(CheckSpec("sound", "as the environment says"),),
)
RATE = replace(BASE, name="rate", inputs=(Inputs("dark"),), requires=(Requires("base"),))
RESPONSE = replace(
    BASE,
    name="response",
    inputs=(Inputs("flat", key=("detector", "filter")),),
    requires=(Requires("base"), Requires("rate", optional=True), Requires("spots", optional=True)),
)
SPOTS = replace(
    BASE,
    name="spots",
    inputs=(),
    key=("detector",),
    requires=(Requires("rate", optional=True), Requires("response", optional=True)),
)


@hookimpl
def cpp_calibration_types() -> list[CalibrationType]:
    return [BASE, RATE, RESPONSE, SPOTS]
