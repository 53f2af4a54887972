"""Instrument-signature removal: the core's own stages and the correctors of products, in the order of the stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cpp_framework.camera.instrument import Instrument
from cpp_framework.camera.raw import RawFrame
from cpp_framework.declare import Config, Corrector, Reach, Stage, load
from cpp_framework.errors import ContractError, IncompatibleError
from cpp_framework.isr.assemble import assemble, finish
from cpp_framework.isr.compatible import fitted
from cpp_framework.isr.gain import apply_gains, resolve_gains
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
        self.gains = resolve_gains(self.detector, providers or {})
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
        for stage in Stage:
            if stage > self.up_to:
                break
            if stage == Stage.PARALLEL_OVERSCAN and between:
                finish(image, raw, self.up_to)
            if stage == Stage.GAIN:
                if image.variance is not None:
                    self._add_poisson(image)
                apply_gains(image, self.gains)
            for step in self.steps:
                if step.corrector.stage == stage:
                    self._apply(step, image)
            if stage == Stage.FULL_WELL and variance:
                start_variance(image, self._read_noise)
        if image.variance is not None and self.up_to < Stage.GAIN:
            self._add_poisson(image)
        return image

    def _add_poisson(self, image: Image) -> None:
        subtracted = any(step.corrector.stage == Stage.BIAS for step in self.steps)
        add_poisson(image, self.gains, zero_removed=subtracted)

    def _apply(self, step: Step, image: Image) -> None:
        corrector = step.corrector
        function = load(corrector.function, wanted_by=f"type {step.type_name}")
        shape = image.data.shape
        function(image, fitted(step.product, image, self.detector), step.config)
        if image.data.dtype != np.float32 or image.data.shape != shape:
            raise ContractError(
                f"type {step.type_name!r}: {corrector.function} left data of {image.data.dtype} {image.data.shape}; "
                f"a corrector must keep float32 {shape}"
            )
        header = step.product.header
        identity = header.id if header is not None else "without identity"
        image.applied.append(f"{corrector.stage.name.lower().replace('_', ' ')}: {step.type_name} {identity}")
