"""Gains from pairs of flats: pairing, measurements without frames, pool, provides. For tests of the contract only."""

from cpp_framework.declare import CalibrationType, CheckSpec, Inputs, Need, Requires, Stage

GAINS = CalibrationType(
    name="throwaway_gains",
    title="Gain of each amplifier from pairs of flats",
    revision=1,
    inputs=(Inputs("flat", minimum=2, pairing="exposure_time", frames=False),),
    inputs_up_to=Stage.LINEARITY,
    without=("flat",),
    requires=(Requires("bias", optional=True),),
    provides=("gain",),
    config="throwaway_gains.functions:GainConfig",
    product="throwaway_gains.functions:GainTable",
    measure="throwaway_gains.functions:measure",
    pool="throwaway_gains.functions:pool",
    solve="throwaway_gains.functions:solve",
    verify="throwaway_gains.functions:verify",
    checks=(CheckSpec("nominal", "gain over the nominal one", (Need.GAIN,)),),
    examples="throwaway_gains.examples:EXAMPLES",
)
