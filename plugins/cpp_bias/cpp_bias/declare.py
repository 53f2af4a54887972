"""What the bias says about itself: inputs, stage, checks, and where its functions are."""

from __future__ import annotations

from cpp_framework.declare import CalibrationType, CheckSpec, Corrector, Inputs, Need, Reach, Stage

CHECKS = (
    CheckSpec("B1_level", "mean of each held-out residual", (Need.GAIN, Need.TWO_EXPOSURES), "DMTN-101 4.2"),
    CheckSpec(
        "B2_noise",
        "noise of each held-out residual over its expectation",
        (Need.OVERSCAN, Need.TWO_EXPOSURES),
        "DMTN-101 4.3",
    ),
    CheckSpec("B3_columns", "scatter of column means over that of white noise", (Need.TWO_EXPOSURES,)),
    CheckSpec("B3_rows", "scatter of row means over that of white noise", (Need.TWO_EXPOSURES,)),
    CheckSpec("B3_blocks", "reduced chi-square of block means", (Need.TWO_EXPOSURES,)),
    CheckSpec("B3_row_line", "amplitude of the strongest line in the row means", (Need.TWO_EXPOSURES,)),
    CheckSpec("B3_column_line", "amplitude of the strongest line in the column means", (Need.TWO_EXPOSURES,)),
    CheckSpec("B3_stream_line", "amplitude of the strongest line along the rows", (Need.TWO_EXPOSURES,)),
    CheckSpec("B4_noise_penalty", "noise added to every image corrected with it", (), "DMTN-101 4.1"),
    CheckSpec(
        "B5_halves_noise",
        "scatter of even minus odd exposures over its prediction",
        (Need.OVERSCAN, Need.FOUR_EXPOSURES),
    ),
    CheckSpec("B5_halves_mean", "mean of even minus odd exposures over its error", (Need.FOUR_EXPOSURES,)),
    CheckSpec("B6_stability", "range of the level over the exposures", (Need.FOUR_EXPOSURES,)),
    CheckSpec("B6_shifts", "fraction of exposures whose level makes a step", (Need.TWO_EXPOSURES,)),
    CheckSpec("B7_correlation", "mean correlation of amplifiers in readout order", (Need.TWO_EXPOSURES,)),
    CheckSpec("B8_corner", "readout corner minus the amplifier's mean", (Need.GAIN, Need.TWO_EXPOSURES)),
)

BIAS = CalibrationType(
    name="bias",
    title="Master bias",
    revision=2,
    inputs=(Inputs("bias", key=("detector", "binning", "mode"), minimum=1),),
    inputs_up_to=Stage.FULL_WELL,
    provides=("read_noise",),
    config="cpp_bias.config:BiasConfig",
    product="cpp_bias.product:Bias",
    solve="cpp_bias.solve:solve",
    verify="cpp_bias.verify:verify",
    correctors=(Corrector("cpp_bias.apply:subtract", Stage.BIAS, Reach.PIXEL),),
    checks=CHECKS,
    examples="cpp_bias.examples:EXAMPLES",
)
