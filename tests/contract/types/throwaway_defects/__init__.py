"""Defects from a dark alone: a type without exposures. For tests of the contract only."""

from cpp_framework.declare import CalibrationType, CheckSpec, Corrector, Reach, Requires, Stage

DEFECTS = CalibrationType(
    name="throwaway_defects",
    title="Hot pixels of a dark",
    revision=1,
    requires=(Requires("throwaway_dark"),),
    config="throwaway_defects.functions:DefectConfig",
    product="throwaway_defects.functions:Defects",
    solve="throwaway_defects.functions:solve",
    verify="throwaway_defects.functions:verify",
    correctors=(Corrector("throwaway_defects.functions:flag", Stage.DEFECTS, Reach.PIXEL),),
    checks=(CheckSpec("budget", "fraction of pixels flagged"),),
    examples="throwaway_defects.examples:EXAMPLES",
)
