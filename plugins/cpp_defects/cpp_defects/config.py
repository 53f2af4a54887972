"""Settings of the defects."""

from __future__ import annotations

from typing import Literal

from cpp_framework.declare import Config, setting


class DefectsConfig(Config):
    """Settings of the defects; `cpp produce --type defects --set dark_threshold=3` changes one."""

    mode: Literal["value", "sigma"] = setting(
        "value",
        "what a pixel must exceed: a threshold in its own unit and n_sigma errors (value), "
        "or n_sigma times the scatter of its amplifier (sigma)",
    )
    n_sigma: float = setting(5.0, "least deviation", unit="sigma", ge=3.0)
    dark_threshold: float = setting(
        5.0, "hot: dark rate above the amplifier's median (adu/s where no gain is known)", unit="electron/s", gt=0
    )
    bias_threshold: float = setting(100.0, "hot or cold: bias off its surroundings", unit="adu", gt=0)
    cold_threshold: float = setting(
        0.8, "cold: flat response below this part of the surroundings", unit="1", ge=0, lt=1
    )
    bright_threshold: float = setting(1.2, "hot: flat response above this part of the surroundings", unit="1", gt=1)
    vampire_threshold: float = setting(1.9, "vampire: flat response above this part", unit="1", gt=1)
    vampire_ring: float = setting(
        0.95,
        "vampire: a pixel that is bright in the flat, with neighbours (their median) below this part",
        unit="1",
        le=1,
    )
    vampire_radius: int = setting(8, "radius of the disc masked about a vampire", unit="pixel", ge=0, le=100)
    column_dark: float = setting(1.0, "bad column: median above its surroundings", unit="electron/s", gt=0)
    column_bias: float = setting(20.0, "bad column: median off its surroundings", unit="adu", gt=0)
    column_flat: float = setting(0.05, "bad or blocked column: median response off its surroundings", unit="1", gt=0)
    column_pixels: int = setting(
        50, "a column with so many bad pixels is masked from the first to the last of them", unit="pixel", ge=2
    )
    column_gap: int = setting(
        30, "bad pixels of such a column so many rows apart leave what is between them good", unit="pixel", ge=1
    )
    column_fill: int = setting(1000, "so many bad pixels mask the whole column of the amplifier", unit="pixel", ge=2)
    saturated_fill: int = setting(20, "so many saturated pixels mask the whole column", unit="pixel", ge=1)
    saturated_dilation: int = setting(2, "columns masked on either side of a saturated pixel", unit="pixel", ge=0)
    edge_rows: int = setting(0, "rows masked at the lower and upper border of the detector", unit="pixel", ge=0)
    edge_columns: int = setting(0, "columns masked at the left and right border of the detector", unit="pixel", ge=0)
    regions: tuple[str, ...] = setting(
        (), "regions masked by hand: texts 'x0 y0 width height' (from 0), or lines of a DS9 file in image coordinates"
    )
    interpolation_gap: int = setting(
        11, "longest run of bad pixels, along the shorter direction, that interpolation fills", unit="pixel", ge=1
    )
