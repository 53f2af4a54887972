"""Settings of the bias."""

from __future__ import annotations

from cpp_framework.declare import Config, UsedBy, setting


class BiasConfig(Config):
    """Settings of the bias; `cpp produce --type bias --set clip=5` changes one."""

    clip: float = setting(
        4.0, "a sample further than this from its pixel's median is rejected", unit="sigma", ge=3.0, le=20.0
    )
    corner: int = setting(
        200,
        "side of the box at the readout corner compared with the amplifier's mean, at most half the amplifier",
        unit="pixel",
        used_by=UsedBy.VERIFY,
        ge=8,
    )
