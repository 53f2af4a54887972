"""Instrument-signature removal: the core's own stages and the correctors of products, in the order of the stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from cpp_framework.camera.instrument import Instrument
from cpp_framework.camera.raw import RawFrame
from cpp_framework.declare import Config, Corrector, Reach, Stage, load
from cpp_framework.errors import ContractError, IncompatibleError
from cpp_framework.isr.assemble import assemble, finish
from cpp_framework.isr.blocks import ROWWISE, Action, apply_by_rows
from cpp_framework.isr.compatible import fitted
from cpp_framework.isr.gain import NO_GAIN_STAGE, Gains, apply_gains, resolve_gains
from cpp_framework.isr.shared_errors import Subtracted, count_once
from cpp_framework.isr.variance import add_poisson, start_variance
from cpp_framework.model.exposure import Exposure
from cpp_framework.model.image import Image
from cpp_framework.model.product import Product

CORE_STAGES = (Stage.ADC_SATURATION, Stage.SERIAL_OVERSCAN, Stage.PARALLEL_OVERSCAN, Stage.GAIN)
"""Stages in which only the core acts."""


@dataclass(frozen=True)
class Step:
    """One corrector with the product and settings it is called with."""

    type_name: str
    corrector: Corrector
    product: Product
    config: Config | None = None


class Chain:
    """The way of a raw frame of one detector to a corrected image.

    Parameters
    ----------
    instrument : Instrument
    detector_id : int
    up_to : Stage
        Last stage to apply; steps of later stages are left out.
    steps : sequence of Step
        Correctors, in any order; those of one stage act in the order given.
    providers : mapping of str to Product, optional
        Products by type that may provide gains, best first.
    read_noise : mapping of str to float, optional
        Read noise by amplifier [adu], for the variance where there is no overscan.
    gain_stage : bool, optional
        Whether to apply gains at all; without, the image stays in ADU.
    threads : int, optional
        How many amplifiers to correct at once; more than one only where no other process works beside.

    Raises
    ------
    ContractError
        A step acts in a stage that belongs to the core.
    """

    def __init__(
        self,
        instrument: Instrument,
        detector_id: int,
        up_to: Stage,
        steps: Sequence[Step] = (),
        *,
        providers: Mapping[str, Product] | None = None,
        read_noise: Mapping[str, float] | None = None,
        gain_stage: bool = True,
        threads: int = 1,
    ) -> None:
        for step in steps:
            if step.corrector.stage in CORE_STAGES:
                raise ContractError(
                    f"type {step.type_name!r}: corrector {step.corrector.function!r} acts in stage "
                    f"{step.corrector.stage.name}, which belongs to the core"
                )
        self.instrument = instrument
        self.detector = instrument.detector(detector_id)
        self.up_to = up_to
        self.steps = sorted((step for step in steps if step.corrector.stage <= up_to), key=lambda s: s.corrector.stage)
        self.gains = resolve_gains(self.detector, providers or {}) if gain_stage else Gains(source=NO_GAIN_STAGE)
        self._read_noise = dict(read_noise or {})
        self._threads = threads

    @property
    def reach(self) -> Reach:
        """The largest reach of the correctors, and of the parallel overscan, which needs whole amplifiers."""
        order = list(Reach)
        reaches = [step.corrector.reach for step in self.steps]
        parallel = self.instrument.overscan.parallel.method != "none" and self.up_to >= Stage.PARALLEL_OVERSCAN
        reaches.append(Reach.AMPLIFIER if parallel else Reach.ROW)
        return max(reaches, key=order.index)

    def correct(self, raw: RawFrame, exposure: Exposure | None = None, variance: bool = False) -> Image:
        """Correct one raw frame.

        Parameters
        ----------
        raw : RawFrame
        exposure : Exposure, optional
            Recorded in the image instead of that of the raw frame.
        variance : bool
            Whether to carry a variance plane.

        Returns
        -------
        Image
            Assembled and trimmed; ``applied`` names each step.

        Raises
        ------
        IncompatibleError
            The frame is of another detector, or a product does not fit the image.
        InputsMissingError
            A variance is wanted and an amplifier has no read noise.
        """
        if (raw.exposure.instrument, raw.detector.id) != (self.detector.instrument, self.detector.id):
            raise IncompatibleError(
                f"exposure {raw.exposure.id} is of {raw.exposure.instrument} detector {raw.detector.id}, the chain of "
                f"{self.detector.instrument} detector {self.detector.id}",
                hint="an instrument file keeps its name and detectors once exposures are ingested",
            )
        between = any(step.corrector.stage < Stage.PARALLEL_OVERSCAN for step in self.steps)
        image = assemble(raw, self.up_to, fused=not between, threads=self._threads)
        image.exposure = exposure or raw.exposure
        self._apply_stages(image, Stage.ADC_SATURATION, Stage.PARALLEL_OVERSCAN)
        if between and self.up_to >= Stage.PARALLEL_OVERSCAN:
            finish(image, raw, self.up_to)
        self._apply_stages(image, Stage.PARALLEL_OVERSCAN, Stage.BIAS)
        if variance and self.up_to >= Stage.FULL_WELL:
            start_variance(image, self._read_noise)
        self._apply_stages(image, Stage.BIAS, Stage.GAIN)
        if image.variance is not None:
            self._add_poisson(image)
        if self.up_to >= Stage.GAIN:
            apply_gains(image, self.gains)
        self._apply_stages(image, Stage.GAIN, max(Stage) + 1)
        return image

    def _add_poisson(self, image: Image) -> None:
        subtracted = any(step.corrector.stage == Stage.BIAS for step in self.steps)
        add_poisson(image, self.gains, zero_removed=subtracted, threads=self._threads)

    def _apply_stages(self, image: Image, first: Stage, end: int) -> None:
        """Apply the steps of the stages from ``first`` on and before ``end``."""
        steps = [step for step in self.steps if first <= step.corrector.stage < end]
        for by_rows, together in groupby(steps, lambda step: step.corrector.reach in ROWWISE):
            actions = [self._action(step, image) for step in together]
            if by_rows:
                apply_by_rows(actions, image, self._threads)
                continue
            for action in actions:
                action.apply(image)

    def _action(self, step: Step, image: Image) -> Action:
        """A step with its product as this image needs it."""
        earlier = [Subtracted(one.product, one.corrector.stage) for one in self.steps[: self.steps.index(step)]]
        count_once(image, Subtracted(step.product, step.corrector.stage), earlier)
        header = step.product.header
        identity = header.id if header is not None else "without identity"
        name = f"type {step.type_name!r}: {step.corrector.function}"
        line = f"{step.corrector.stage.name.lower().replace('_', ' ')}: {step.type_name} {identity}"
        function = load(step.corrector.function, wanted_by=f"type {step.type_name}")
        return Action(function, fitted(step.product, image, self.detector), step.config, name, line)
