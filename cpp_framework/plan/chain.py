"""The correction chain of one unit: which products are applied to its exposures, up to which stage."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from cpp_framework.camera.instrument import Instrument
from cpp_framework.declare import CalibrationType, Config, Stage, load
from cpp_framework.isr.chain import Chain, Step
from cpp_framework.model.product import Product
from cpp_framework.plan.unit import GAIN
from cpp_framework.plugins import Plugins


def build_chain(
    calibration: CalibrationType,
    instrument: Instrument,
    detector: int,
    needs: Mapping[str, Product],
    plugins: Plugins,
    without: Collection[str] = (),
) -> Chain:
    """Chain that brings exposures to where the type wants them: its needs' correctors up to ``inputs_up_to``.

    With ``gain`` in ``without`` there is no gain stage: the image stays in ADU.
    """
    steps = []
    providers: dict[str, Product] = {}
    for name, product in needs.items():
        if name in calibration.without:
            continue
        owner = plugins.type(name)
        if "gain" in owner.provides and calibration.inputs_up_to >= Stage.GAIN:
            providers[name] = product
        config: Config = load(owner.config, wanted_by=f"type {name!r}")()
        steps += [Step(name, corrector, product, config) for corrector in owner.correctors]
    return Chain(
        instrument,
        detector,
        calibration.inputs_up_to,
        steps,
        providers=providers,
        gain_stage=GAIN not in without,
    )
