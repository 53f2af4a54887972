"""What the flat says about itself: inputs, stage, checks, and where its functions are."""

from __future__ import annotations

from cpp_framework.declare import CalibrationType, CheckSpec, Corrector, Inputs, Need, Reach, Requires, Stage

CHECKS = (
    CheckSpec("F1_noise", "variance of each held-out residual over its expectation", (Need.GAIN, Need.TWO_EXPOSURES)),
    CheckSpec("F2_level", "mean of each held-out residual over the level", (Need.TWO_EXPOSURES,)),
    CheckSpec("F2_flatness", "P99 - P1 of block means of each flat-fielded exposure", (Need.TWO_EXPOSURES,)),
    CheckSpec("F3_boundaries", "step across each boundary of amplifiers", (Need.TWO_EXPOSURES,), "DMTN-101 6.3"),
    CheckSpec("F4_tearing", "deviation of the columns at the amplifier's edges", (Need.TWO_EXPOSURES,)),
    CheckSpec("F5_detectors", "scatter of the detectors' mean responses", (Need.GAIN,)),
    CheckSpec("F6_prnu", "scatter from pixel to pixel beyond photon noise"),
    CheckSpec("F6_change", "that scatter minus the previous product's", (Need.PREVIOUS,)),
    CheckSpec("F7_halves", "rms of block means of even minus odd exposures", (Need.FOUR_EXPOSURES,)),
    CheckSpec("F7_previous", "rms of block means of the ratio to the previous product", (Need.PREVIOUS,)),
    CheckSpec("F8_support", "pixels that are not above zero or not finite, and not masked"),
    CheckSpec("F8_outliers", "fraction of unmasked pixels below 0.8 or above 1.2 of their surroundings"),
    CheckSpec("F8_normalisation", "mean of each amplifier over its throughput in the focal plane"),
)

FLAT = CalibrationType(
    name="flat",
    title="Flat field",
    revision=1,
    inputs=(Inputs("flat", key=("detector", "binning", "mode", "filter"), minimum=1),),
    requires=(Requires("bias"), Requires("dark", optional=True)),
    inputs_up_to=Stage.BRIGHTER_FATTER,
    config="cpp_flat.config:FlatConfig",
    product="cpp_flat.product:Flat",
    measure="cpp_flat.measure:measure",
    pool="cpp_flat.pool:pool",
    solve="cpp_flat.solve:solve",
    verify="cpp_flat.verify:verify",
    correctors=(Corrector("cpp_flat.apply:divide", Stage.FLAT, Reach.PIXEL),),
    checks=CHECKS,
    examples="cpp_flat.examples:EXAMPLES",
)
