"""Settings of the flat."""

from __future__ import annotations

from cpp_framework.declare import Config, setting


class FlatConfig(Config):
    """Settings of the flat; `cpp produce --type flat --set faint=500` changes one."""

    clip: float = setting(
        4.0, "a sample further than this from its pixel's median is rejected", unit="sigma", ge=3.0, le=20.0
    )
    saturated: float = setting(
        0.01, "an exposure is refused in an amplifier with more than this fraction of saturated pixels", unit="1", ge=0
    )
    faint: float = setting(
        100.0, "an exposure with a lower level is refused", unit="adu, or electron where a gain is known", ge=0
    )
    deviant: float = setting(
        0.02,
        "an exposure whose amplifiers or illumination deviate from the stack by more than this fraction is refused",
        unit="1",
        gt=0,
    )
    shutter_ratio: float = setting(
        2.0, "shutter shading is fitted if the longest exposure is this many times the shortest", unit="1", gt=1
    )
    shutter_order: int = setting(4, "order of the polynomial the shutter shading is fitted with", unit="1", ge=1, le=8)
