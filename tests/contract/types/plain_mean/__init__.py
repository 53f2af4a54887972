"""The plainest type that keeps the contract: the mean of a stack. The broken types are variations of it."""

from cpp_framework.declare import CalibrationType, CheckSpec, Corrector, Inputs, Reach, Stage

PLAIN = CalibrationType(
    name="plain_mean",
    title="Mean of a stack",
    revision=1,
    inputs=(Inputs("bias"),),
    config="plain_mean.functions:PlainConfig",
    product="plain_mean.functions:Plain",
    measure="plain_mean.functions:measure",
    solve="plain_mean.functions:solve",
    verify="plain_mean.functions:verify",
    correctors=(Corrector("plain_mean.functions:subtract", Stage.BIAS, Reach.PIXEL),),
    checks=(CheckSpec("level", "mean level of each amplifier"),),
    examples="plain_mean.examples:EXAMPLES",
)
