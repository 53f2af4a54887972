"""What a worker does: correct one exposure of one detector and write it. It never touches the registry."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cpp_framework.apply.cards import carry_over
from cpp_framework.apply.output import CalibrationRecord, to_hdus
from cpp_framework.apply.request import GAIN, ApplyRequest, Choice, Target
from cpp_framework.camera.hdu import read_headers
from cpp_framework.camera.instrument import Instrument
from cpp_framework.camera.raw import read_raw
from cpp_framework.declare import Config, Stage, load
from cpp_framework.errors import StoreError
from cpp_framework.isr.chain import Chain, Step
from cpp_framework.model import fits as product_fits
from cpp_framework.model.detector import Detector
from cpp_framework.model.image import Image
from cpp_framework.model.product import Product
from cpp_framework.plan.unit import Need
from cpp_framework.plugins import installed
from cpp_framework.store.files import file_sha256, publish, storage_errors, sync_file, sync_folder, temporary_path


@dataclass(frozen=True)
class ApplyJob:
    """Everything a worker needs for one target. ``force`` lets the file replace one that is there."""

    target: Target
    instrument: Instrument
    request: ApplyRequest
    force: bool = False
    command: str = ""
    threads: int = 1

    @property
    def calibrations(self) -> tuple[Any, ...]:
        """What decides the chain: targets of equal calibrations share it."""
        needs = tuple(str(choice.need.path) for choice in self.target.choices if choice.need)
        detector = (self.instrument.name, self.target.exposure.detector)
        return (*detector, int(self.request.up_to), GAIN in self.request.without, self.threads, *needs)


@dataclass(frozen=True)
class Written:
    """What a worker did to an image: steps in order, unit, seconds it took."""

    steps: tuple[str, ...]
    unit: str
    seconds: float


def apply_to(job: ApplyJob) -> Written:
    """Correct the raw frame of a job and write it.

    Raises
    ------
    CppError
        The raw file or a product cannot be read, they do not go together, or the file cannot be written.
    """
    start = time.perf_counter()
    image, records = correct(job)
    exposure = job.target.exposure
    headers = read_headers(Path(exposure.path))
    carried = carry_over(headers, job.instrument.layout(exposure.detector), image)
    hdus = to_hdus(image, records, carried, file_sha256(Path(exposure.path)), job.command)
    _write(hdus, job.target.output, job.force)
    return Written(tuple(image.applied), image.unit, time.perf_counter() - start)


def correct(job: ApplyJob) -> tuple[Image, list[CalibrationRecord]]:
    """Correct the raw frame of a job: the image with its variance, and the record of every calibration type."""
    exposure = job.target.exposure
    calibrated = _calibrations(job)
    raw = read_raw(Path(exposure.path), job.instrument, exposure)
    return calibrated.chain.correct(raw, exposure, variance=True), calibrated.records_of(job.target.choices)


@dataclass(frozen=True)
class _Calibrations:
    """Products in memory, and the chain they make for one instrument, as its file was then."""

    key: tuple[Any, ...]
    products: Mapping[str, Product]
    chain: Chain

    def records_of(self, choices: tuple[Choice, ...]) -> list[CalibrationRecord]:
        return [self._record(choice) for choice in choices]

    def _record(self, choice: Choice) -> CalibrationRecord:
        product = self.products.get(choice.type)
        if product is None or product.header is None or choice.need is None:
            return CalibrationRecord(choice.type, stages=choice.stages, why=choice.why)
        header = product.header
        stages = tuple(stage for stage in choice.stages if self._acts(choice.type, stage))
        return CalibrationRecord(
            choice.type, header.id, header.digest, header.created, stages, choice.why.replace("…", "to")
        )

    def _acts(self, type_name: str, stage: Stage) -> bool:
        if any((step.type_name, step.corrector.stage) == (type_name, stage) for step in self.chain.steps):
            return True
        return stage is Stage.GAIN and self.chain.gains.source.startswith(f"{type_name} ")


_LAST: list[_Calibrations] = []
"""Calibrations of the last job: a worker meets those with equal ones one after another."""


def _calibrations(job: ApplyJob) -> _Calibrations:
    key = (job.instrument, job.calibrations)
    if not _LAST or _LAST[0].key != key:
        _LAST.clear()  # before the next are read: both may not fit into memory
        products = {
            choice.type: _read(choice.type, choice.need) for choice in job.target.choices if choice.need is not None
        }
        _LAST.append(_Calibrations(key, products, _chain(job, products)))
    return _LAST[0]


def _chain(job: ApplyJob, products: Mapping[str, Product]) -> Chain:
    plugins, request = installed(), job.request
    steps: list[Step] = []
    for name, product in products.items():
        declared = plugins.type(name)
        config: Config = load(declared.config, wanted_by=f"type {name!r}")()
        steps += [Step(name, corrector, product, config) for corrector in declared.correctors]
    detector = job.target.exposure.detector
    return Chain(
        job.instrument,
        detector,
        request.up_to,
        steps,
        providers={name: one for name, one in products.items() if GAIN in plugins.type(name).provides},
        read_noise=_read_noise(job.instrument.detector(detector), products),
        gain_stage=GAIN not in request.without,
        threads=job.threads,
    )


def _read_noise(detector: Detector, products: Mapping[str, Product]) -> dict[str, float]:
    """Read noise [adu] of amplifiers of a camera without overscan, from the first product that tells it."""
    found: dict[str, float] = {}
    for product in products.values():
        for name, noise in product.provided("read_noise").items():
            gain = detector.amplifier(name).gain
            if noise.unit == "adu":
                found.setdefault(name, noise.value)
            elif noise.unit == "electron" and gain is not None:
                found.setdefault(name, noise.value / gain)
    return found


def _read(type_name: str, need: Need) -> Product:
    product_class: Any = load(installed().type(type_name).product, wanted_by=type_name)
    product = product_fits.read(need.path, product_class)
    if product.content_digest() != need.record.digest:
        raise StoreError(
            f"{need.path}: its content is not what was stored (digest {need.record.digest[:12]})",
            hint="restore it from a copy, or produce it again",
        )
    return product


def _write(hdus: Any, output: Path, force: bool) -> None:
    """Write under a temporary name beside, then give it its own: whoever sees the file sees all of it."""
    staged = temporary_path(output.parent, output.name)
    try:
        with storage_errors(output):
            hdus.writeto(staged, checksum=True)
            if force:
                sync_file(staged)
                staged.replace(output)
                sync_folder(output.parent)
        if not force:
            publish(staged, output)
    finally:
        staged.unlink(missing_ok=True)
