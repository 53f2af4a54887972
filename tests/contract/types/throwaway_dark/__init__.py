"""A dark fitted jointly with the bias: two named selections, one product, for tests of the contract only."""

from cpp_framework.declare import CalibrationType, CheckSpec, Corrector, Inputs, Reach, Stage

DARK = CalibrationType(
    name="throwaway_dark",
    title="Dark rate from biases and darks together",
    revision=1,
    inputs=(Inputs("bias", name="zeros", minimum=2), Inputs("dark", name="darks", minimum=1)),
    without=("bias",),
    config="throwaway_dark.functions:DarkConfig",
    product="throwaway_dark.functions:Dark",
    solve="throwaway_dark.functions:solve",
    verify="throwaway_dark.functions:verify",
    correctors=(Corrector("throwaway_dark.functions:subtract", Stage.DARK, Reach.PIXEL),),
    checks=(CheckSpec("rate", "mean dark rate"),),
    examples="throwaway_dark.examples:EXAMPLES",
)
