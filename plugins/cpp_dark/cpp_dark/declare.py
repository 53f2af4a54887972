"""What the dark says about itself: inputs, stage, checks, and where its functions are."""

from __future__ import annotations

from cpp_framework.declare import CalibrationType, CheckSpec, Corrector, Inputs, Need, Reach, Requires, Stage

KEY = ("detector", "binning", "mode")

CHECKS = (
    CheckSpec("D1_level", "mean of each held-out residual", (Need.GAIN, Need.TWO_EXPOSURES), "DMTN-101 5.2"),
    CheckSpec(
        "D2_noise",
        "noise of each held-out residual over its expectation",
        (Need.GAIN, Need.OVERSCAN, Need.TWO_EXPOSURES),
        "DMTN-101 5.3",
    ),
    CheckSpec("D3_columns", "scatter of column means over that of white noise", (Need.TWO_EXPOSURES,)),
    CheckSpec("D3_rows", "scatter of row means over that of white noise", (Need.TWO_EXPOSURES,)),
    CheckSpec("D3_blocks", "reduced chi-square of block means", (Need.TWO_EXPOSURES,)),
    CheckSpec("D4_noise_penalty", "noise added to an image of the median dark time"),
    CheckSpec(
        "D5_halves_noise",
        "scatter of the rate of even minus odd exposures over its prediction",
        (Need.GAIN, Need.OVERSCAN, Need.FOUR_EXPOSURES),
        "DMTN-101 5.5-5.7",
    ),
    CheckSpec(
        "D5_halves_mean",
        "mean rate of even minus odd exposures over its error",
        (Need.FOUR_EXPOSURES,),
        "DMTN-101 5.5-5.7",
    ),
    CheckSpec("D6_linearity", "slope of the residual mean with dark time", (Need.GAIN, Need.TWO_EXPOSURES)),
    CheckSpec("D7_current", "95th percentile of the rate, noise deconvolved", (Need.GAIN,), "CCD-014"),
    CheckSpec("D8_glow", "brightest block above the median rate", (Need.GAIN,)),
    CheckSpec("D8_gradient", "gradient of the rate across the amplifier", (Need.GAIN,)),
    CheckSpec("D9_hot_pixels", "fraction of hot pixels", (Need.GAIN,), "CCD-012"),
    CheckSpec("D9_growth", "hot pixels over those of the previous dark", (Need.GAIN, Need.PREVIOUS)),
    CheckSpec("D10_cosmic_rays", "rate of cosmic rays"),
    CheckSpec("D10_tail", "samples far below the dark: what should have been rejected", (Need.TWO_EXPOSURES,)),
)

DARK = CalibrationType(
    name="dark",
    title="Dark rate",
    revision=1,
    inputs=(Inputs("dark", key=KEY, minimum=1), Inputs("bias", key=KEY, minimum=0, unless="bias")),
    inputs_up_to=Stage.CTI,
    requires=(Requires("bias", optional=True),),
    config="cpp_dark.config:DarkConfig",
    product="cpp_dark.product:Dark",
    solve="cpp_dark.solve:solve",
    verify="cpp_dark.verify:verify",
    correctors=(Corrector("cpp_dark.apply:subtract", Stage.DARK, Reach.PIXEL),),
    checks=CHECKS,
    examples="cpp_dark.examples:EXAMPLES",
)
