"""What a worker does: correct and measure one exposure, or solve one unit. It writes files, never the registry."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from cpp_framework.camera.raw import read_raw
from cpp_framework.config import recipe_settings
from cpp_framework.declare import CalibrationType, Config, Inputs, Stage, load
from cpp_framework.errors import ContractError
from cpp_framework.isr.chain import Chain
from cpp_framework.isr.gain import Gains
from cpp_framework.isr.spool import SpooledFrames
from cpp_framework.model import fits as product_fits
from cpp_framework.model.context import Context, Frames, Measurements
from cpp_framework.model.identity import digest_of
from cpp_framework.model.image import Image
from cpp_framework.model.measurement import Measurement
from cpp_framework.model.product import Product
from cpp_framework.plan.chain import build_chain
from cpp_framework.plan.recipe import measurement_parts, measurement_recipe
from cpp_framework.plan.unit import PlannedExposure
from cpp_framework.plugins import installed
from cpp_framework.run.frames import MeasuredFrames
from cpp_framework.run.job import Job, Measured, Shared, Staged
from cpp_framework.run.provenance import make_header
from cpp_framework.store.files import storage_errors
from cpp_framework.store.measurements import read_measurement, write_measurement


def correct_and_measure(job: Job, selection: str, index: int) -> Measured:
    """Correct exposure (or pair) ``index`` of a selection, keep the frame if `solve` wants it, and measure it."""
    calibration, inputs = _calibration(job), _inputs(job, selection)
    planned = _group(job, inputs, index)
    cached = _measurement_path(job, calibration, planned)
    known = read_measurement(cached) if calibration.measure else None
    if known is not None and not inputs.frames:
        return Measured(selection, index, known)
    start = time.perf_counter()
    images = [_correct(job, one) for one in planned]
    if inputs.frames:
        for offset, image in enumerate(images):
            job.spools[selection].write(index * len(planned) + offset, image)
    corrected = time.perf_counter()
    if calibration.measure and known is None:
        known = _measure(job, calibration, inputs, images)
        write_measurement(cached, known)
    return Measured(selection, index, known, corrected - start, time.perf_counter() - corrected)


def pool(job: Job, measurements: Measurements) -> Measurement:
    """Run a type's `pool` on the measurements of all detectors of one focal plane."""
    calibration = _calibration(job)
    function: Callable[..., Measurement] = load(calibration.pool, wanted_by=calibration.name)
    return function(measurements, _config(job, calibration), _context(job))


def solve(job: Job, shared: Shared) -> Staged:
    """Make the product of one unit and write it, complete with header, to its staging file."""
    start = time.perf_counter()
    calibration = _calibration(job)
    config, needs = _config(job, calibration), _needs(job)
    inputs = {one.name: _frames(job, one, shared) for one in calibration.inputs if job.unit.inputs.get(one.name)}
    function: Callable[..., Product] = load(calibration.solve, wanted_by=calibration.name)
    product = function(inputs, needs, config, _context(job))
    product_class = load(calibration.product, wanted_by=calibration.name)
    if not isinstance(product, product_class):
        raise ContractError(
            f"solve of {calibration.name!r} returned a {type(product).__name__}; it declares {product_class.__name__}"
        )
    product = _with_header(job, calibration, product, _applied(inputs))
    solved = time.perf_counter()
    with storage_errors(job.staged):
        job.staged.unlink(missing_ok=True)  # a killed worker may have left a part of it
        product_fits.write(product, job.staged)
    assert product.header is not None
    return Staged(job.staged, product.header.model_dump_json(), solved - start, time.perf_counter() - solved)


def unit_of(job: Job) -> str:
    """Unit of the frames `solve` will see."""
    chain = _chain(job)
    return "electron" if chain.up_to >= Stage.GAIN and chain.gains.values else "adu"


def _with_header(job: Job, calibration: CalibrationType, product: Product, applied: tuple[str, ...]) -> Product:
    gains = _chain(job).gains if unit_of(job) == "electron" else Gains()
    header = make_header(
        job,
        calibration,
        job.instrument.detector(job.unit.detector),
        refused=product.refused,
        applied=applied,
        gains=gains.values,
        gain_source=gains.source,
        owner=installed().owners.get(calibration.name, ""),
    )
    return product.with_header(header)


def _applied(inputs: Mapping[str, Frames]) -> tuple[str, ...]:
    """What was done to the exposures, in order; the same for all of a selection."""
    steps = [step for frames in inputs.values() if isinstance(frames, SpooledFrames) for step in frames.applied(0)]
    return tuple(dict.fromkeys(steps))


def _measure(job: Job, calibration: CalibrationType, inputs: Inputs, images: list[Image]) -> Measurement:
    function: Callable[..., Measurement] = load(calibration.measure, wanted_by=calibration.name)
    given: Image | tuple[Image, ...] = tuple(images) if inputs.pairing else images[0]
    found = function(given, _config(job, calibration), _context(job))
    if not isinstance(found, Measurement):
        raise ContractError(f"measure of {calibration.name!r} returned a {type(found).__name__}, not a Measurement")
    return found


def _frames(job: Job, inputs: Inputs, shared: Shared) -> Frames:
    measurements = shared.measurements.get(inputs.name, ())
    if not inputs.frames:
        return MeasuredFrames(job.spools[inputs.name], measurements, shared.pooled)
    return job.spools[inputs.name].frames(measurements, shared.pooled)


def _group(job: Job, inputs: Inputs, index: int) -> list[PlannedExposure]:
    size = 2 if inputs.pairing else 1
    return list(job.unit.inputs[inputs.name][index * size : (index + 1) * size])


def _correct(job: Job, planned: PlannedExposure) -> Image:
    raw = read_raw(Path(planned.exposure.path), job.instrument, planned.exposure)
    return _chain(job).correct(raw)


def _measurement_path(job: Job, calibration: CalibrationType, planned: list[PlannedExposure]) -> Path:
    settings = recipe_settings(_config(job, calibration))
    unit = job.unit
    parts = measurement_parts(calibration, job.instrument, unit.detector, unit.needs, settings, unit.without)
    return job.measurements / f"{measurement_recipe(parts, [one.digest for one in planned])}.npz"


def _calibration(job: Job) -> CalibrationType:
    return installed().type(job.unit.type)


def _inputs(job: Job, selection: str) -> Inputs:
    return next(inputs for inputs in _calibration(job).inputs if inputs.name == selection)


def _config(job: Job, calibration: CalibrationType) -> Config:
    config: Config = load(calibration.config, wanted_by=calibration.name).model_validate(dict(job.unit.settings))
    return config


def _context(job: Job) -> Context:
    detector = job.instrument.detector(job.unit.detector)
    # The seed follows the recipe, so that a type that draws random numbers makes the same product again.
    return Context(detector, seed=int(digest_of(job.unit.recipe)[:8], 16), threads=job.threads)


def _needs(job: Job) -> dict[str, Product]:
    return {name: _need_product(name, need.path) for name, need in job.unit.needs.items()}


@lru_cache(maxsize=8)
def _need_product(type_name: str, path: Path) -> Product:
    product_class: Any = load(installed().type(type_name).product, wanted_by=type_name)
    return product_fits.read(path, product_class)


_CHAINS: dict[str, Chain] = {}
"""The chain of the last unit: a worker meets the exposures of one unit one after another."""


def _chain(job: Job) -> Chain:
    chain = _CHAINS.get(job.unit.recipe)
    if chain is None:
        unit = job.unit
        chain = build_chain(_calibration(job), job.instrument, unit.detector, _needs(job), installed(), unit.without)
        _CHAINS.clear()
        _CHAINS[job.unit.recipe] = chain
    return chain
