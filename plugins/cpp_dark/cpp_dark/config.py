"""Settings of the dark."""

from __future__ import annotations

from typing import Literal

from cpp_framework.declare import Config, UsedBy, setting


class DarkConfig(Config):
    """Settings of the dark; `cpp produce --type dark --set clip=5` changes one."""

    clip: float = setting(
        4.0, "a sample further than this from what its pixel's rate predicts is rejected", unit="sigma", ge=3.0, le=20.0
    )
    offsets: Literal["auto", "free", "none"] = setting(
        "auto",
        "free: fit the level of each exposure and amplifier too, the rate is then relative; "
        "auto: only where there is no overscan and the level drifts",
    )
    hot: float = setting(
        5.0, "a pixel with a higher rate is hot (in adu/s where no gain is known)", unit="electron/s", gt=0
    )
    block: int = setting(
        32, "side of the blocks whose means are searched for glow", unit="pixel", used_by=UsedBy.VERIFY, ge=4
    )
