"""Runs a calibration type's functions on a stack as the framework would, without a repository."""

from __future__ import annotations

from typing import Any

from cpp_framework.declare import CalibrationType, Config, Inputs, load
from cpp_framework.model import Header, InputRecord, Measurement, Product
from cpp_framework.model.context import Context
from cpp_framework.model.identity import digest_of, new_id
from cpp_framework.testing.stacks import Stack


def run_type(
    calibration: CalibrationType,
    stack: Stack,
    config: Config | None = None,
    seed: int = 0,
) -> Product:
    """Measure, pool and solve one stack.

    Parameters
    ----------
    calibration : CalibrationType
    stack : Stack
        Images by the names of the type's inputs (without an optional one if it is to be absent), and the products it
        needs; exposures of a paired selection follow one another.
    config : Config, optional
        The type's defaults if left out.
    seed : int

    Returns
    -------
    Product
        As `solve` returned it, without a header.
    """
    chosen = config if config is not None else load(calibration.config, wanted_by=calibration.name)()
    ctx = Context(stack.detector, seed=seed)
    given = [one for one in calibration.inputs if one.minimum or one.name in stack.images]
    measured = {one.name: measure_all(calibration, one, stack, chosen, ctx) for one in given}
    shared = None
    if calibration.pool:
        shared = load(calibration.pool, wanted_by=calibration.name)({stack.detector.id: measured}, chosen, ctx)
    inputs = {one.name: stack.frames(one.name, measured[one.name], shared) for one in given}
    product: Product = load(calibration.solve, wanted_by=calibration.name)(inputs, stack.needs, chosen, ctx)
    return product


def measure_all(
    calibration: CalibrationType, inputs: Inputs, stack: Stack, config: Config, ctx: Context
) -> list[Measurement]:
    """Measurements of one selection, in order of exposure (or pair); empty for a type without `measure`."""
    if not calibration.measure:
        return []
    measure = load(calibration.measure, wanted_by=calibration.name)
    images = list(stack.images[inputs.name])
    groups: list[Any] = list(zip(images[::2], images[1::2], strict=True)) if inputs.pairing else list(images)
    return [measure(group, config, ctx) for group in groups]


def with_header(calibration: CalibrationType, product: Product, stack: Stack) -> Product:
    """Return the product with a header like the one the framework gives it."""
    detector = stack.detector
    records = tuple(
        InputRecord(
            exposure=image.exposure.id,
            number=image.exposure.number,
            selection=name,
            digest=digest_of(image.exposure.id),
            used=image.exposure.id not in product.refused,
            reason=product.refused.get(image.exposure.id, ""),
        )
        for name, images in stack.images.items()
        for image in images
        if image.exposure is not None
    )
    header = Header(
        id=new_id(),
        type=calibration.name,
        title=calibration.title,
        revision=calibration.revision,
        instrument=detector.instrument,
        detector=detector.id,
        detector_name=detector.name,
        key={"detector": detector.id},
        recipe=digest_of(calibration.name),
        inputs=records,
    )
    return product.with_header(header)
