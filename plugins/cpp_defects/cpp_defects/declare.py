"""What the defects say about themselves: what they are made from, stages, checks, and where the functions are."""

from __future__ import annotations

from cpp_framework.declare import CalibrationType, CheckSpec, Corrector, Need, Reach, Requires, Stage

CHECKS = (
    CheckSpec("X1_completeness", "share of the deviant pixels (in three frames and a third of them) that are masked"),
    CheckSpec("X2_purity", "impure share: share of masked pixels (hot, cold) that never deviate"),
    CheckSpec("X3_amplifier", "masked share of each amplifier", (), "CCD-012"),
    CheckSpec("X3_detector", "masked share of the detector"),
    CheckSpec("X4_tails", "residuals of unmasked pixels beyond 4, 5 and 6 sigma, over a Gaussian's share"),
    CheckSpec("X6_persistence", "pixels masked now and before, over those masked now or before", (Need.PREVIOUS,)),
)

DEFECTS = CalibrationType(
    name="defects",
    title="Defects",
    revision=1,
    requires=(Requires("bias", optional=True), Requires("dark", optional=True), Requires("flat", optional=True)),
    key=("detector", "binning", "mode"),
    config="cpp_defects.config:DefectsConfig",
    product="cpp_defects.product:Defects",
    solve="cpp_defects.solve:solve",
    verify="cpp_defects.verify:verify",
    correctors=(
        Corrector("cpp_defects.apply:mask_defects", Stage.DEFECTS, Reach.PIXEL),
        Corrector("cpp_defects.apply:interpolate", Stage.INTERPOLATION, Reach.DETECTOR),
    ),
    checks=CHECKS,
    examples="cpp_defects.examples:EXAMPLES",
)
